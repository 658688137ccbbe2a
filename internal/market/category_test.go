package market_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

func tree(t *testing.T) *market.Tree {
	t.Helper()
	tree, err := market.NewTree([]market.Category{
		{ID: 12, Parent: 10, Position: 2, Name: "Chairs"},
		{ID: 10, Position: 2, Name: "Furniture"},
		{ID: 11, Parent: 10, Position: 1, Name: "Tables"},
		{ID: 20, Position: 1, Name: "Books"},
		{ID: 121, Parent: 12, Name: "Armchairs"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTree(t *testing.T) {
	tr := tree(t)
	var order []market.CategoryID
	for _, c := range tr.All() {
		order = append(order, c.ID)
	}
	if diff := cmp.Diff([]market.CategoryID{20, 10, 11, 12, 121}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]market.CategoryID{0, 10, 12, 121}, tr.Lists(121)); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
	if tr.Lists(99) != nil || tr.Lists(0) != nil || tr.Path(99) != nil {
		t.Error("a category that does not exist has lists")
	}
	if diff := cmp.Diff([]market.CategoryID{11, 12}, tr.Children(10)); diff != "" {
		t.Errorf("children (-want +got):\n%s", diff)
	}
	for id, leaf := range map[market.CategoryID]bool{10: false, 12: false, 121: true, 20: true, 99: false, 0: false} {
		if tr.Leaf(id) != leaf {
			t.Errorf("Leaf(%d) = %v", id, !leaf)
		}
	}
	if p := tr.Path(12); len(p) != 2 || p[0].Name != "Furniture" || p[1].Name != "Chairs" {
		t.Errorf("path of 12: %+v", p)
	}
}

func TestTreeRefuses(t *testing.T) {
	for name, all := range map[string][]market.Category{
		"circle":         {{ID: 1, Parent: 2}, {ID: 2, Parent: 1}},
		"own parent":     {{ID: 1, Parent: 1}},
		"missing parent": {{ID: 1}, {ID: 2, Parent: 9}},
		"twice":          {{ID: 1}, {ID: 1}},
		"zero":           {{ID: 0}},
		"negative":       {{ID: -1}},
		"too deep":       {{ID: 1}, {ID: 2, Parent: 1}, {ID: 3, Parent: 2}, {ID: 4, Parent: 3}, {ID: 5, Parent: 4}},
	} {
		if tr, err := market.NewTree(all); err == nil {
			t.Errorf("%s: NewTree = %+v, want an error", name, tr.All())
		}
	}
	if tr, err := market.NewTree(nil); err != nil || len(tr.All()) != 0 {
		t.Errorf("no categories: %v", err)
	}
}
