package market

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// CategoryID is the id of a category: a small number, the same in every
// installation of one catalogue, plain decimal outside. 0 stands for the whole
// market.
type CategoryID int64

// String returns the id as a decimal number.
func (id CategoryID) String() string { return strconv.FormatInt(int64(id), 10) }

// ParseCategoryID reads a positive decimal number.
func ParseCategoryID(s string) (CategoryID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > MaxCatalogID || strconv.FormatInt(n, 10) != s {
		return 0, Errorf(CodeInvalid, ReasonInvalidID, "a category is a positive number")
	}
	return CategoryID(n), nil
}

// Category is a node of the tree that items are filed under.
type Category struct {
	ID       CategoryID
	Parent   CategoryID // 0 = top level
	Position int        // order among its siblings
	Name     string     // English
	NameJA   string
}

// MaxCategoryDepth is how deep the tree may be. Every level is a row that a new
// listing writes.
const MaxCategoryDepth = 4

// Tree is all categories. It does not change once it is made and may be shared.
type Tree struct {
	all      []Category // depth first, siblings by position
	index    map[CategoryID]int
	children map[CategoryID][]CategoryID
	lists    map[CategoryID][]CategoryID
}

// NewTree orders categories as a tree. It refuses a missing parent, a circle, a
// repeated id and a tree deeper than MaxCategoryDepth.
func NewTree(categories []Category) (*Tree, error) {
	byID := make(map[CategoryID]Category, len(categories))
	t := &Tree{index: make(map[CategoryID]int, len(categories)), children: map[CategoryID][]CategoryID{}, lists: map[CategoryID][]CategoryID{}}
	for _, c := range categories {
		if _, twice := byID[c.ID]; twice || c.ID <= 0 || c.ID > MaxCatalogID {
			return nil, fmt.Errorf("category %d: its id is not positive, too large or not its own", c.ID)
		}
		byID[c.ID] = c
		t.children[c.Parent] = append(t.children[c.Parent], c.ID)
	}
	for _, siblings := range t.children {
		slices.SortFunc(siblings, func(a, b CategoryID) int {
			return cmp.Or(cmp.Compare(byID[a].Position, byID[b].Position), cmp.Compare(a, b))
		})
	}
	if err := t.walk(byID, 0, []CategoryID{0}); err != nil {
		return nil, err
	}
	if len(t.all) != len(categories) {
		for _, id := range slices.Sorted(maps.Keys(byID)) {
			if _, reached := t.index[id]; !reached {
				return nil, fmt.Errorf("category %d: parent %d does not lead to the top", id, byID[id].Parent)
			}
		}
	}
	return t, nil
}

// walk adds what is below parent; above is parent's lists.
func (t *Tree) walk(byID map[CategoryID]Category, parent CategoryID, above []CategoryID) error {
	for _, id := range t.children[parent] {
		if len(above) > MaxCategoryDepth {
			return fmt.Errorf("category %d: deeper than %d levels", id, MaxCategoryDepth)
		}
		t.index[id] = len(t.all)
		t.all = append(t.all, byID[id])
		t.lists[id] = append(slices.Clip(above), id)
		if err := t.walk(byID, id, t.lists[id]); err != nil {
			return err
		}
	}
	return nil
}

// All returns every category, parents before children, siblings in their
// order. The slice belongs to the tree: do not change it.
func (t *Tree) All() []Category { return t.all }

// Category returns one category.
func (t *Tree) Category(id CategoryID) (Category, bool) {
	i, ok := t.index[id]
	if !ok {
		return Category{}, false
	}
	return t.all[i], true
}

// Children returns the categories right below id (0: the top level). The slice
// belongs to the tree.
func (t *Tree) Children(id CategoryID) []CategoryID { return t.children[id] }

// Leaf reports whether id is a category with nothing below it: only there items
// are filed.
func (t *Tree) Leaf(id CategoryID) bool {
	_, ok := t.index[id]
	return ok && len(t.children[id]) == 0
}

// Path returns the categories from the top level down to id itself, or nil if
// there is no such category.
func (t *Tree) Path(id CategoryID) []Category {
	lists := t.lists[id]
	if lists == nil {
		return nil
	}
	path := make([]Category, len(lists)-1)
	for i, id := range lists[1:] {
		path[i] = t.all[t.index[id]]
	}
	return path
}

// Lists returns the lists that an item of category id appears in: 0 (the whole
// market), the category's ancestors and the category. It is nil if there is no
// such category. The slice belongs to the tree.
func (t *Tree) Lists(id CategoryID) []CategoryID { return t.lists[id] }
