package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// Batch is a piece of a data set that Import writes. A thousand items make a
// good piece: memory stays flat however large the whole is.
type Batch struct {
	Categories []market.Category
	Brands     []market.Brand
	Users      []ImportedUser
	Items      []market.Item // with their photos; LikeCount and CommentCount are not looked at
	Likes      []Like
	Comments   []market.Comment // of items that are here or were imported before

	// Later leaves the items out of all lists, and of search, until Build. It is for
	// so many items that their batches together would be slow.
	Later bool
}

// ImportedUser is a user with the hash of the password; "" lets nobody log in.
type ImportedUser struct {
	market.User
	PasswordHash string
}

// Like is a person's mark on an item.
type Like struct {
	Item      market.ItemID
	User      market.UserID
	CreatedAt time.Time
}

// Import writes a batch, all of it or nothing but for the categories and the
// brands, which are transactions of their own before the rest. It is for data that a program
// made or that another system has checked: the rules of texts and prices are
// not asked, and no jobs are enqueued.
//
// Users, items and comments carry their ids, which should grow with their times
// (market.IDs makes such); photos without one get one. Counts of likes and
// comments follow from what is imported. A category that exists already must
// come back under the same parent and gets the new names. Items may be in any
// state but reserved; those on sale are in a known category without any below
// it. Anything that is there already is market.CodeConflict.
func (s *Store) Import(ctx context.Context, b Batch) (Change, error) {
	if len(b.Categories) > 0 {
		if err := s.importCategories(ctx, b.Categories); err != nil {
			return Change{}, failed(err, "import categories")
		}
	}
	if len(b.Brands) > 0 {
		if err := s.importBrands(ctx, b.Brands); err != nil {
			return Change{}, failed(err, "import brands")
		}
	}
	items, listings, err := s.prepareItems(ctx, b)
	if err != nil {
		return Change{}, failed(err, "import items")
	}
	brands, err := s.Brands(ctx)
	if err != nil {
		return Change{}, failed(err, "import items")
	}
	err = s.db.Tx(ctx, func(tx *sqldb.Tx) error { return s.importBatch(ctx, tx, brands, b, items, listings) })
	if err != nil {
		return Change{}, failed(err, "import batch")
	}
	return importChange(b, listings), nil
}

// listing is a row of listings.
type listing struct {
	list  market.CategoryID
	item  market.ItemID
	price market.Money
}

// prepareItems fills in what follows from the rest of the batch.
func (s *Store) prepareItems(ctx context.Context, b Batch) ([]market.Item, []listing, error) {
	items := slices.Clone(b.Items)
	slices.SortFunc(items, func(a, b market.Item) int { return cmp.Compare(a.ID, b.ID) })
	at := make(map[market.ItemID]int, len(items))
	var listings []listing
	for i := range items {
		item := &items[i]
		at[item.ID] = i
		item.LikeCount, item.CommentCount, item.Version = 0, 0, max(item.Version, 1)
		if item.ID <= 0 || item.Seller <= 0 || !item.State.Valid() || item.State == market.ItemReserved {
			return nil, nil, fmt.Errorf("item %d of user %d is %q: it needs ids and a state other than reserved", int64(item.ID), int64(item.Seller), item.State)
		}
		lists, err := s.listsOfItem(ctx, item.Category)
		if err != nil {
			return nil, nil, fmt.Errorf("item %d: category %d: %w", int64(item.ID), int64(item.Category), err)
		}
		if err := s.checkBrand(ctx, item.Brand); err != nil || item.Brand < 0 {
			return nil, nil, fmt.Errorf("item %d: brand %d: %w", int64(item.ID), int64(item.Brand), errBadBrand)
		}
		for _, list := range shownOn(*item, lists) {
			listings = append(listings, listing{list, item.ID, item.Price})
		}
	}
	for _, l := range b.Likes {
		if i, here := at[l.Item]; here {
			items[i].LikeCount++
		}
	}
	for _, c := range b.Comments {
		if i, here := at[c.Item]; here {
			items[i].CommentCount++
		}
	}
	// In the order of the primary key, so that pages are filled one by one.
	slices.SortFunc(listings, func(a, b listing) int { return cmp.Or(cmp.Compare(a.list, b.list), cmp.Compare(a.item, b.item)) })
	return items, listings, nil
}

func (s *Store) importBatch(ctx context.Context, tx *sqldb.Tx, brands *Brands, b Batch, items []market.Item, listings []listing) error {
	if err := s.insert(ctx, tx, tableUsers, len(b.Users), func(i int) []any {
		return userValues(b.Users[i].User, b.Users[i].PasswordHash)
	}); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	photos := s.photosOf(items)
	if err := s.insert(ctx, tx, tablePhotos, len(photos), func(i int) []any { return photos[i] }); err != nil {
		return fmt.Errorf("photos: %w", err)
	}
	if err := s.insert(ctx, tx, tableItems, len(items), func(i int) []any { return itemValues(items[i]) }); err != nil {
		return fmt.Errorf("items: %w", err)
	}
	if b.Later && len(items) > 0 {
		if err := s.leaveToBuild(ctx, tx); err != nil {
			return err
		}
		listings = nil
	} else if err := s.importIndex(ctx, tx, brands, items); err != nil {
		return fmt.Errorf("grams: %w", err)
	}
	if err := s.insert(ctx, tx, tableListings, len(listings), func(i int) []any {
		return []any{int64(listings[i].list), int64(listings[i].item), int64(listings[i].price)}
	}); err != nil {
		return fmt.Errorf("listings: %w", err)
	}
	// The items of a batch are a narrow part of the primary key, their fans are
	// all over the other index: in its order a page of it is touched once.
	likes := slices.Clone(b.Likes)
	slices.SortFunc(likes, func(x, y Like) int {
		return cmp.Or(cmp.Compare(x.User, y.User), x.CreatedAt.Compare(y.CreatedAt), cmp.Compare(x.Item, y.Item))
	})
	if err := s.insert(ctx, tx, tableLikes, len(likes), func(i int) []any {
		l := likes[i]
		return []any{int64(l.Item), int64(l.User), sqldb.Micros(l.CreatedAt)}
	}); err != nil {
		return fmt.Errorf("likes: %w", err)
	}
	if err := s.insert(ctx, tx, tableComments, len(b.Comments), func(i int) []any { return commentValues(b.Comments[i]) }); err != nil {
		return fmt.Errorf("comments: %w", err)
	}
	return s.countOlder(ctx, tx, b, items)
}

// photosOf returns the rows of the items' photos, and gives ids to those that
// have none.
func (s *Store) photosOf(items []market.Item) [][]any {
	var rows [][]any
	for i := range items {
		item := &items[i]
		item.Photos = slices.Clone(item.Photos)
		for j := range item.Photos {
			p := &item.Photos[j]
			if p.ID == 0 {
				p.ID = market.PhotoID(s.ids.Next(s.time()))
			}
			rows = append(rows, []any{int64(p.ID), int64(item.Seller), int64(item.ID), p.Name, p.Width, p.Height, sqldb.Micros(item.CreatedAt)})
		}
	}
	return rows
}

// countOlder adds the batch's likes and comments to the items of earlier
// batches.
func (s *Store) countOlder(ctx context.Context, tx *sqldb.Tx, b Batch, items []market.Item) error {
	here := make(map[market.ItemID]bool, len(items))
	for _, i := range items {
		here[i.ID] = true
	}
	type counts struct{ likes, comments int64 }
	older := map[market.ItemID]counts{}
	for _, l := range b.Likes {
		if !here[l.Item] {
			c := older[l.Item]
			c.likes++
			older[l.Item] = c
		}
	}
	for _, m := range b.Comments {
		if !here[m.Item] {
			c := older[m.Item]
			c.comments++
			older[m.Item] = c
		}
	}
	for id, c := range older {
		n, err := exec(ctx, tx, "UPDATE items SET like_count = like_count + ?, comment_count = comment_count + ? WHERE id = ?", c.likes, c.comments, int64(id))
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("likes or comments of item %d: %w", int64(id), market.ErrItemNotFound)
		}
	}
	return nil
}

// importCategories writes the categories that are new and renames the others.
// To run again does no harm. The items of the batch need the tree that results.
func (s *Store) importCategories(ctx context.Context, categories []market.Category) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		all, err := readCategories(ctx, tx)
		if err != nil {
			return err
		}
		known := make(map[market.CategoryID]int, len(all))
		for i, c := range all {
			known[c.ID] = i
		}
		var fresh []market.Category
		for _, c := range categories {
			i, old := known[c.ID]
			if !old {
				fresh = append(fresh, c)
				continue
			}
			if all[i].Parent != c.Parent {
				return market.Errorf(market.CodeConflict, "", "category %d cannot move to another parent", int64(c.ID))
			}
			if all[i] == c {
				continue
			}
			all[i] = c
			if _, err := tx.ExecContext(ctx, "UPDATE categories SET position = ?, name = ?, name_ja = ? WHERE id = ?",
				c.Position, c.Name, c.NameJA, int64(c.ID)); err != nil {
				return err
			}
		}
		if _, err := market.NewTree(slices.Concat(all, fresh)); err != nil {
			return market.Wrap(market.CodeInvalid, "", err, "the categories make no tree")
		}
		return s.insert(ctx, tx, tableCategories, len(fresh), func(i int) []any {
			c := fresh[i]
			return []any{int64(c.ID), int64(c.Parent), c.Position, c.Name, c.NameJA}
		})
	})
	if err == nil {
		s.tree.now.Store(nil)
	}
	return err
}

// importChange names every list that got something.
func importChange(b Batch, listings []listing) Change {
	var c Change
	if len(b.Categories) > 0 || len(b.Brands) > 0 {
		c.add(TagCategories)
	}
	for i, l := range listings { // sorted by list
		if i == 0 || listings[i-1].list != l.list {
			c.add(TagList(l.list))
		}
	}
	seen := map[string]bool{}
	one := func(tag string) {
		if !seen[tag] {
			seen[tag] = true
			c.add(tag)
		}
	}
	for _, i := range b.Items {
		one(TagUser(i.Seller))
	}
	for _, l := range b.Likes {
		one(TagDetail(l.Item))
	}
	for _, m := range b.Comments {
		one(TagDetail(m.Item))
	}
	return c
}
