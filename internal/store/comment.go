package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// CommentItem adds a comment to an item; d.ID is not looked at. The seller
// hears of it by KindItemCommented, unless it is the seller's own.
func (s *Store) CommentItem(ctx context.Context, d market.CommentDraft) (market.Comment, Change, error) {
	var comment market.Comment
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		d.ID = market.CommentID(s.ids.Next(now))
		item, err := s.readItem(ctx, tx, d.Item, true)
		if err != nil {
			return err
		}
		if comment, err = s.rules.NewComment(item, d, now); err != nil {
			return err
		}
		if err := meet(ctx, tx, d.Author, item.Seller); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT name FROM users WHERE id = ?", int64(d.Author)).Scan(&comment.AuthorName); err != nil {
			return orNotFound(err, errUserNotFound)
		}
		if err := s.insert(ctx, tx, tableComments, 1, func(int) []any { return commentValues(comment) }); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE items SET comment_count = comment_count + 1 WHERE id = ?", int64(d.Item)); err != nil {
			return err
		}
		tx.OnCommit(func() { s.metrics.count(eventItemCommented) })
		if d.Author == item.Seller {
			return nil
		}
		if err := s.note(ctx, tx, market.Notification{User: item.Seller, Kind: market.NoticeCommented, Item: d.Item, Actor: d.Author}, now); err != nil {
			return err
		}
		_, err = s.queue.EnqueueTx(ctx, tx, newJob(KindItemCommented, ItemCommented{Item: d.Item, Comment: d.ID}))
		return err
	})
	if err != nil {
		return market.Comment{}, Change{}, failed(err, "comment item %d", int64(d.Item))
	}
	return comment, Change{Tags: []string{TagDetail(d.Item)}}, nil
}

// CommentPage is a piece of an item's comments.
type CommentPage struct {
	Comments []market.Comment
	Next     string // the cursor of the next page; "" = this is the last
}

// sqlComments keeps the planners at the comments, as the lists of items do.
const (
	fromComments = "SELECT c.id, c.item_id, c.author_id, COALESCE(u.name, ''), c.body, c.created_at, c.deleted_at FROM comments c LEFT JOIN users u ON u.id = c.author_id"
	sqlComments  = fromComments + " WHERE c.item_id = ? AND c.id > ? ORDER BY c.id LIMIT ?"
)

func scanComment(row scanner) (market.Comment, error) {
	var c market.Comment
	var created int64
	var deleted sql.NullInt64
	err := row.Scan((*int64)(&c.ID), (*int64)(&c.Item), (*int64)(&c.Author), &c.AuthorName, &c.Body, &created, &deleted)
	c.CreatedAt, c.DeletedAt = sqldb.FromMicros(created), timeOrZero(deleted)
	return c, err
}

// Comments returns comments of an item, oldest first. Whether the item exists
// and who may see it is not looked at. Limit 0 means 30; at most 100.
func (s *Store) Comments(ctx context.Context, item market.ItemID, cursor string, rows int) (CommentPage, error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return CommentPage{}, err
	}
	list := "comments/" + item.String()
	var after market.Cursor
	if cursor != "" {
		if after, err = market.DecodeCursor(key, list, cursor); err != nil {
			return CommentPage{}, err
		}
	}
	n := limit(rows)
	found, err := s.db.QueryContext(ctx, sqlComments, int64(item), after.ID, n+1)
	if err != nil {
		return CommentPage{}, failed(err, "read comments of item %d", int64(item))
	}
	var page CommentPage
	if err := each(found, func(row scanner) error {
		c, err := scanComment(row)
		page.Comments = append(page.Comments, c)
		return err
	}); err != nil {
		return CommentPage{}, failed(err, "read comments of item %d", int64(item))
	}
	if len(page.Comments) > n {
		page.Comments = page.Comments[:n]
		page.Next = market.Cursor{ID: int64(page.Comments[n-1].ID)}.Encode(key, list)
	}
	return page, nil
}

// Comment returns one comment.
func (s *Store) Comment(ctx context.Context, id market.CommentID) (market.Comment, error) {
	c, err := scanComment(s.db.QueryRowContext(ctx, fromComments+" WHERE c.id = ?", int64(id)))
	if err != nil {
		return market.Comment{}, failed(orNotFound(err, market.ErrCommentNotFound), "read comment %d", int64(id))
	}
	return c, nil
}

// DeleteComment takes a comment away from an item: its author or the item's
// seller may. What it said is gone, that it was there stays. To delete twice is
// to delete once.
func (s *Store) DeleteComment(ctx context.Context, itemID market.ItemID, id market.CommentID, by market.UserID) (Change, error) {
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		item, err := s.readItem(ctx, tx, itemID, true)
		if err != nil {
			return err
		}
		c, err := scanComment(tx.QueryRowContext(ctx, fromComments+" WHERE c.id = ?", int64(id)))
		if err != nil {
			return orNotFound(err, market.ErrCommentNotFound)
		}
		c, changed, err := c.Delete(item, by, now)
		if err != nil || !changed {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE comments SET body = ?, deleted_at = ? WHERE id = ?", c.Body, sqldb.Micros(c.DeletedAt), int64(id)); err != nil {
			return err
		}
		change.add(TagDetail(itemID))
		_, err = tx.ExecContext(ctx, "UPDATE items SET comment_count = comment_count - 1 WHERE id = ?", int64(itemID))
		return err
	})
	if err != nil {
		return Change{}, failed(err, "delete comment %d", int64(id))
	}
	return change, nil
}
