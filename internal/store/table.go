package store

import (
	"context"
	"strings"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// table is what an insert names.
type table struct {
	name    string
	columns []string
}

// The tables that rows are inserted into in bulk or from several places.
var (
	tableUsers = table{"users", []string{"id", "email", "password_hash", "name", "locale", "created_at", "updated_at"}}
	tableItems = table{"items", []string{
		"id", "seller_id", "category_id", "title", "price", "item_condition", "state", "shelf", "version", "like_count", "comment_count",
		"like_notice_at", "created_at", "updated_at", "photos", "description", "brand_id",
	}}
	tableListings = table{"listings", []string{"category_id", "item_id", "price"}}
	tablePhotos   = table{"photos", []string{"id", "owner_id", "item_id", "name", "width", "height", "created_at"}}
	tableLikes    = table{"likes", []string{"item_id", "user_id", "created_at"}}
	tableComments = table{"comments", []string{"id", "item_id", "author_id", "body", "created_at"}}
	tableOrders   = table{"orders", []string{
		"id", "item_id", "live_item_id", "buyer_id", "seller_id", "state", "price", "fee", "currency", "charge_id", "failure", "version",
		"deadline_at", "paid_at", "created_at", "updated_at",
	}}
	tableCategories = table{"categories", []string{"id", "parent_id", "position", "name", "name_ja"}}
	tableBrands     = table{"brands", []string{"id", "name", "name_ja"}}
	tableGrams      = table{"grams", []string{"shelf", "gram", "item_id", "price"}}
	tableTexts      = table{"texts", []string{"item_id", "shelf", "price", "body"}}
)

func userValues(u market.User, passwordHash string) []any {
	return []any{int64(u.ID), u.Email, passwordHash, u.Name, string(u.Locale), sqldb.Micros(u.CreatedAt), sqldb.Micros(u.UpdatedAt)}
}

func itemValues(i market.Item) []any {
	var notice int64
	if !i.LikeNotice.IsZero() {
		notice = sqldb.Micros(i.LikeNotice)
	}
	return []any{
		int64(i.ID), int64(i.Seller), int64(i.Category), i.Title, int64(i.Price), string(i.Condition), string(i.State), shelf(i.State), i.Version,
		i.LikeCount, i.CommentCount, notice, sqldb.Micros(i.CreatedAt), sqldb.Micros(i.UpdatedAt), encodePhotos(i.Photos), i.Description,
		int64(i.Brand),
	}
}

func commentValues(c market.Comment) []any {
	return []any{int64(c.ID), int64(c.Item), int64(c.Author), c.Body, sqldb.Micros(c.CreatedAt)}
}

func orderValues(o market.Order) []any {
	return []any{
		int64(o.ID), int64(o.Item), liveItem(o), int64(o.Buyer), int64(o.Seller), string(o.State), int64(o.Price), int64(o.Fee), o.Currency,
		o.ChargeID, string(o.Failure), o.Version, nullTime(o.DeadlineAt), nullTime(o.PaidAt), sqldb.Micros(o.CreatedAt), sqldb.Micros(o.UpdatedAt),
	}
}

// maxParams bounds the parameters of one statement: SQLite takes 32,766, and a
// statement of this size is far from MySQL's largest packet even with the
// longest descriptions.
const maxParams = 4096

// insert inserts n rows, many of them by one statement. Every statement but the
// last has the same text, so that it is prepared once.
func (s *Store) insert(ctx context.Context, tx *sqldb.Tx, t table, n int, values func(i int) []any) error {
	return s.insertEnding(ctx, tx, t, "", n, values)
}

// insertEnding is insert of rows that may be there already: ending says what
// becomes of them.
func (s *Store) insertEnding(ctx context.Context, tx *sqldb.Tx, t table, ending string, n int, values func(i int) []any) error {
	chunk := maxParams / len(t.columns)
	head := "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES "
	params := make([]any, 0, min(n, chunk)*len(t.columns))
	for start := 0; start < n; start += chunk {
		rows := min(chunk, n-start)
		params = params[:0]
		for i := start; i < start+rows; i++ {
			params = append(params, values(i)...)
		}
		if _, err := tx.ExecContext(ctx, head+s.db.Dialect().Rows(rows, len(t.columns))+ending, params...); err != nil {
			return err
		}
	}
	return nil
}
