package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// LikeItem marks an item as liked by a person and returns how many like it now.
// To like twice is to like once. The seller hears of it by KindItemLiked, but
// at most once in Rules.LikeNoticeEvery.
func (s *Store) LikeItem(ctx context.Context, item market.ItemID, by market.UserID) (likes int64, change Change, err error) {
	err = s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		it, err := s.readItem(ctx, tx, item, true)
		if err != nil {
			return err
		}
		if err := it.CanLike(by); err != nil {
			return err
		}
		likes = it.LikeCount
		if liked, err := hasLike(ctx, tx, item, by); err != nil || liked {
			return err
		}
		likes++
		notice, send := s.rules.NextLikeNotice(it.LikeNotice, now)
		if _, err := tx.ExecContext(ctx, "INSERT INTO likes (item_id, user_id, created_at) VALUES (?, ?, ?)",
			int64(item), int64(by), sqldb.Micros(now)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE items SET like_count = like_count + 1, like_notice_at = ? WHERE id = ?",
			sqldb.Micros(notice), int64(item)); err != nil {
			return err
		}
		change.add(TagDetail(item))
		tx.OnCommit(func() { s.metrics.count(eventItemLiked) })
		if !send {
			return nil
		}
		j := newJob(KindItemLiked, ItemLiked{Item: item, User: by})
		j.RunAt = notice
		_, err = s.queue.EnqueueTx(ctx, tx, j)
		return err
	})
	if err != nil {
		return 0, Change{}, failed(err, "like item %d", int64(item))
	}
	return likes, change, nil
}

// UnlikeItem takes a like back and returns how many like the item now. To take
// back what is not there does nothing.
func (s *Store) UnlikeItem(ctx context.Context, item market.ItemID, by market.UserID) (likes int64, change Change, err error) {
	err = s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		change = Change{}
		it, err := s.readItem(ctx, tx, item, true)
		if err != nil {
			return err
		}
		likes = it.LikeCount
		n, err := exec(ctx, tx, "DELETE FROM likes WHERE item_id = ? AND user_id = ?", int64(item), int64(by))
		if err != nil || n == 0 {
			return err
		}
		likes--
		change.add(TagDetail(item))
		_, err = tx.ExecContext(ctx, "UPDATE items SET like_count = like_count - 1 WHERE id = ?", int64(item))
		return err
	})
	if err != nil {
		return 0, Change{}, failed(err, "unlike item %d", int64(item))
	}
	return likes, change, nil
}

func hasLike(ctx context.Context, q sqldb.Querier, item market.ItemID, by market.UserID) (bool, error) {
	var one int
	err := q.QueryRowContext(ctx, "SELECT 1 FROM likes WHERE item_id = ? AND user_id = ?", int64(item), int64(by)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Liked returns which of some items a person likes.
func (s *Store) Liked(ctx context.Context, by market.UserID, items ...market.ItemID) ([]market.ItemID, error) {
	if len(items) == 0 {
		return nil, nil
	}
	ids := padded(items)
	rows, err := s.db.QueryContext(ctx, "SELECT item_id FROM likes WHERE item_id IN "+s.db.Dialect().In(len(ids))+" AND user_id = ?", append(ids, int64(by))...)
	if err != nil {
		return nil, failed(err, "read likes of user %d", int64(by))
	}
	var liked []market.ItemID
	err = each(rows, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		liked = append(liked, market.ItemID(id))
		return err
	})
	return liked, failed(err, "read likes of user %d", int64(by))
}
