package store

import (
	"context"
	"math"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

const fromReviews = "SELECT r.id, r.order_id, r.author_id, COALESCE(u.name, ''), r.subject_id, r.role, r.rating, r.body, r.created_at" +
	" FROM reviews r LEFT JOIN users u ON u.id = r.author_id"

const sqlReviews = fromReviews + " WHERE r.subject_id = ? AND r.shown = 1 AND r.id < ? ORDER BY r.id DESC LIMIT ?"

func scanReview(row scanner) (market.Review, error) {
	var r market.Review
	var created int64
	err := row.Scan((*int64)(&r.ID), (*int64)(&r.Order), (*int64)(&r.Author), &r.AuthorName, (*int64)(&r.Subject),
		(*string)(&r.Role), (*string)(&r.Rating), &r.Body, &created)
	r.CreatedAt = sqldb.FromMicros(created)
	return r, err
}

func (s *Store) insertReview(ctx context.Context, tx *sqldb.Tx, r market.Review) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO reviews (id, order_id, author_id, subject_id, role, rating, body, shown, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
		int64(r.ID), int64(r.Order), int64(r.Author), int64(r.Subject), string(r.Role), string(r.Rating), r.Body, sqldb.Micros(r.CreatedAt))
	return err
}

// showReviews shows the reviews of an order that is completed, and counts them.
func (s *Store) showReviews(ctx context.Context, tx *sqldb.Tx, o market.Order) (Change, error) {
	rows, err := tx.QueryContext(ctx, "SELECT subject_id, rating FROM reviews WHERE order_id = ?", int64(o.ID))
	if err != nil {
		return Change{}, err
	}
	type given struct {
		subject market.UserID
		rating  market.Rating
	}
	var all []given
	if err := each(rows, func(row scanner) error {
		var g given
		err := row.Scan((*int64)(&g.subject), (*string)(&g.rating))
		all = append(all, g)
		return err
	}); err != nil || len(all) == 0 {
		return Change{}, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE reviews SET shown = 1 WHERE order_id = ?", int64(o.ID)); err != nil {
		return Change{}, err
	}
	var change Change
	for _, g := range all {
		column := "good_count"
		if g.rating == market.RatingBad {
			column = "bad_count"
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET "+column+" = "+column+" + 1 WHERE id = ?", int64(g.subject)); err != nil {
			return Change{}, err
		}
		change.add(TagUser(g.subject))
	}
	return change, nil
}

// ReviewPage is a piece of what people say about somebody.
type ReviewPage struct {
	Reviews []market.Review
	Next    string // the cursor of the next page; "" = this is the last
}

// Reviews returns what is shown of the reviews about a person, newest first.
// Limit 0 means 30; at most 100.
func (s *Store) Reviews(ctx context.Context, subject market.UserID, cursor string, rows int) (ReviewPage, error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return ReviewPage{}, err
	}
	list := "reviews/" + subject.String()
	before := market.Cursor{ID: math.MaxInt64}
	if cursor != "" {
		if before, err = market.DecodeCursor(key, list, cursor); err != nil {
			return ReviewPage{}, err
		}
	}
	n := limit(rows)
	found, err := s.db.QueryContext(ctx, sqlReviews, int64(subject), before.ID, n+1)
	if err != nil {
		return ReviewPage{}, failed(err, "read reviews of user %d", int64(subject))
	}
	var page ReviewPage
	if err := each(found, func(row scanner) error {
		r, err := scanReview(row)
		page.Reviews = append(page.Reviews, r)
		return err
	}); err != nil {
		return ReviewPage{}, failed(err, "read reviews of user %d", int64(subject))
	}
	if len(page.Reviews) > n {
		page.Reviews = page.Reviews[:n]
		page.Next = market.Cursor{ID: int64(page.Reviews[n-1].ID)}.Encode(key, list)
	}
	return page, nil
}
