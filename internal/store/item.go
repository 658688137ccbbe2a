package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// itemColumns is what lists read of an item; others read more after it.
const itemColumns = "i.id, i.seller_id, i.category_id, i.title, i.price, i.item_condition, i.state, i.version," +
	" i.like_count, i.comment_count, i.created_at, i.updated_at, i.photos"

// itemRow is one row of itemColumns. It is filled again and again: dest points
// into it.
type itemRow struct {
	item             market.Item
	created, updated int64
	photos           string
	dest             []any
}

func newItemRow(more ...any) *itemRow {
	r := &itemRow{}
	i := &r.item
	r.dest = append([]any{
		(*int64)(&i.ID), (*int64)(&i.Seller), (*int64)(&i.Category), &i.Title, (*int64)(&i.Price), (*string)(&i.Condition),
		(*string)(&i.State), &i.Version, &i.LikeCount, &i.CommentCount, &r.created, &r.updated, &r.photos,
	}, more...)
	return r
}

// scan reads the row into item.
func (r *itemRow) scan(row scanner, item *market.Item) error {
	if err := r.scanBare(row, item); err != nil {
		return err
	}
	var err error
	item.Photos, err = decodePhotos(r.photos)
	return err
}

// scanBare is scan without the photos, which stay in r.photos.
func (r *itemRow) scanBare(row scanner, item *market.Item) error {
	if err := row.Scan(r.dest...); err != nil {
		return err
	}
	*item = r.item
	item.CreatedAt, item.UpdatedAt = sqldb.FromMicros(r.created), sqldb.FromMicros(r.updated)
	return nil
}

// readItem reads all of an item. Lock locks its row until the transaction ends.
func (s *Store) readItem(ctx context.Context, q sqldb.Querier, id market.ItemID, lock bool) (market.Item, error) {
	query := "SELECT " + itemColumns + ", i.description, i.like_notice_at, i.brand_id FROM items i WHERE i.id = ?"
	if lock {
		query += s.sql.forUpdate
	}
	var item market.Item
	var description string
	var notice, brand int64
	err := newItemRow(&description, &notice, &brand).scan(q.QueryRowContext(ctx, query, int64(id)), &item)
	item.Description, item.Brand = description, market.BrandID(brand)
	if notice != 0 {
		item.LikeNotice = sqldb.FromMicros(notice)
	}
	return item, orNotFound(err, market.ErrItemNotFound)
}

// Item returns an item in whatever state it is: market.Item.CanSee tells who
// may see it.
func (s *Store) Item(ctx context.Context, id market.ItemID) (market.Item, error) {
	item, err := s.readItem(ctx, s.db, id, false)
	if err != nil {
		return market.Item{}, failed(err, "read item %d", int64(id))
	}
	return item, nil
}

// ItemDetail is an item with what is shown beside it.
type ItemDetail struct {
	Item       market.Item
	SellerName string
	Path       []market.Category // from the top level to the item's category
}

// ItemDetail returns an item, in whatever state it is, with what is shown
// beside it, by one query.
func (s *Store) ItemDetail(ctx context.Context, id market.ItemID) (ItemDetail, error) {
	var d ItemDetail
	var description string
	var brand int64
	err := newItemRow(&description, &brand, &d.SellerName).scan(s.db.QueryRowContext(ctx,
		"SELECT "+itemColumns+", i.description, i.brand_id, COALESCE(u.name, '') FROM items i LEFT JOIN users u ON u.id = i.seller_id WHERE i.id = ?",
		int64(id)), &d.Item)
	if err != nil {
		return ItemDetail{}, failed(orNotFound(err, market.ErrItemNotFound), "read item %d", int64(id))
	}
	d.Item.Description, d.Item.Brand = description, market.BrandID(brand)
	tree, err := s.Categories(ctx)
	if err != nil {
		return ItemDetail{}, err
	}
	d.Path = tree.Path(d.Item.Category)
	return d, nil
}

// shelf is the column that seller's lists go by.
func shelf(state market.ItemState) int {
	if state.Public() {
		return 1
	}
	return 0
}

// ListItem puts an item on sale; d.ID is not looked at. The category must be a
// leaf and the photos free and the seller's own.
func (s *Store) ListItem(ctx context.Context, d market.ItemDraft) (market.Item, Change, error) {
	_, err := s.rules.NewItem(d, s.time())
	lists, errCategory := s.listsOfItem(ctx, d.Category)
	if d.Category <= 0 { // the rule has said so
		errCategory = nil
	}
	if err := errors.Join(err, errCategory, s.checkBrand(ctx, d.Brand)); err != nil {
		return market.Item{}, Change{}, err
	}
	var item market.Item
	err = s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		d.ID = market.ItemID(s.ids.Next(now))
		var err error
		if item, err = s.rules.NewItem(d, now); err != nil {
			return err
		}
		if err := s.takesPart(ctx, tx, d.Seller); err != nil {
			return err
		}
		if item.Photos, err = s.claimPhotos(ctx, tx, d.Seller, d.ID, d.Photos, true); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, tableItems, 1, func(int) []any { return itemValues(item) }); err != nil {
			return err
		}
		tx.OnCommit(func() { s.metrics.count(eventItemListed) })
		if err := s.relist(ctx, tx, nil, shownOn(item, lists), item); err != nil {
			return err
		}
		return s.enqueueIndex(ctx, tx, item.ID)
	})
	if err != nil {
		return market.Item{}, Change{}, failed(err, "list item of user %d", int64(d.Seller))
	}
	var c Change
	c.addLists(shownOn(item, lists))
	c.add(TagUser(item.Seller))
	return item, c, nil
}

// relist moves an item from the lists that hold it to those that shall. Equal
// lists get its price.
func (s *Store) relist(ctx context.Context, tx *sqldb.Tx, before, after []market.CategoryID, item market.Item) error {
	if len(before) > 0 && slices.Equal(before, after) {
		_, err := tx.ExecContext(ctx, "UPDATE listings SET price = ? WHERE item_id = ? AND category_id IN "+s.db.Dialect().In(len(after)),
			listArgs(after, int64(item.Price), int64(item.ID))...)
		return err
	}
	if len(before) > 0 {
		if _, err := tx.ExecContext(ctx, "DELETE FROM listings WHERE item_id = ? AND category_id IN "+s.db.Dialect().In(len(before)),
			listArgs(before, int64(item.ID))...); err != nil {
			return err
		}
	}
	return s.insert(ctx, tx, tableListings, len(after), func(i int) []any {
		return []any{int64(after[i]), int64(item.ID), int64(item.Price)}
	})
}

func listArgs(lists []market.CategoryID, before ...any) []any {
	for _, id := range lists {
		before = append(before, int64(id))
	}
	return before
}

// EditItem changes an item as its seller wants it. An edit that changes nothing
// writes nothing.
func (s *Store) EditItem(ctx context.Context, e market.ItemEdit) (market.Item, Change, error) {
	if _, err := s.Categories(ctx); err != nil { // so that the transaction need not read them
		return market.Item{}, Change{}, err
	}
	if e.Category != nil && *e.Category > 0 {
		if _, err := s.listsOfItem(ctx, *e.Category); err != nil {
			return market.Item{}, Change{}, err
		}
	}
	if e.Brand != nil {
		if err := s.checkBrand(ctx, *e.Brand); err != nil {
			return market.Item{}, Change{}, err
		}
	}
	var after market.Item
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		e := e // a second run begins anew
		before, err := s.readItem(ctx, tx, e.ID, true)
		if err != nil {
			return err
		}
		if e.Photos != nil && samePhotos(before.Photos, *e.Photos) {
			e.Photos = nil
		}
		if after, err = s.rules.Edit(before, e, now); err != nil {
			return err
		}
		if after.Version == before.Version {
			return nil
		}
		if e.Photos != nil {
			if after.Photos, err = s.claimPhotos(ctx, tx, after.Seller, after.ID, *e.Photos, false); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE items SET category_id = ?, brand_id = ?, title = ?, description = ?, price = ?, item_condition = ?, state = ?, shelf = ?,"+
			" photos = ?, version = ?, updated_at = ? WHERE id = ?",
			int64(after.Category), int64(after.Brand), after.Title, after.Description, int64(after.Price), string(after.Condition), string(after.State), shelf(after.State),
			encodePhotos(after.Photos), after.Version, sqldb.Micros(after.UpdatedAt), int64(after.ID)); err != nil {
			return err
		}
		change, err = s.move(ctx, tx, before, after)
		tx.OnCommit(func() { s.metrics.count(eventItemEdited) })
		return err
	})
	if err != nil {
		return market.Item{}, Change{}, failed(err, "edit item %d", int64(e.ID))
	}
	return after, change, nil
}

func samePhotos(photos []market.Photo, ids []market.PhotoID) bool {
	return slices.EqualFunc(photos, ids, func(p market.Photo, id market.PhotoID) bool { return p.ID == id })
}

// move makes the lists follow a change of an item, and says what it touched.
func (s *Store) move(ctx context.Context, tx *sqldb.Tx, before, after market.Item) (Change, error) {
	change := Change{Tags: []string{TagItem(after.ID), TagUser(after.Seller)}}
	if needsIndex(before, after) {
		if err := s.enqueueIndex(ctx, tx, after.ID); err != nil {
			return Change{}, err
		}
	}
	if before.State == after.State && before.Category == after.Category && before.Brand == after.Brand && before.Price == after.Price {
		return change, nil
	}
	from, err := s.shownIn(ctx, tx, before)
	if err != nil {
		return Change{}, err
	}
	to, err := s.shownIn(ctx, tx, after)
	if err != nil {
		return Change{}, err
	}
	if err := s.relist(ctx, tx, from, to, after); err != nil {
		return Change{}, err
	}
	change.addLists(from)
	for _, id := range to {
		if !slices.Contains(from, id) {
			change.add(TagList(id))
		}
	}
	return change, nil
}

// shownIn returns the lists that hold an item: none unless it is on sale or
// sold.
func (s *Store) shownIn(ctx context.Context, tx *sqldb.Tx, item market.Item) ([]market.CategoryID, error) {
	if item.State != market.ItemOnSale && item.State != market.ItemSold {
		return nil, nil
	}
	categories, err := s.listsInTx(ctx, tx, item.Category)
	return shownOn(item, categories), err
}
