package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
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
		if err := meet(ctx, tx, by, it.Seller); err != nil {
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
		if err := s.note(ctx, tx, market.Notification{User: it.Seller, Kind: market.NoticeLiked, Item: item, Actor: by}, now); err != nil {
			return err
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

// The list of what a person likes, by when. A page that begins within likes of
// one instant is read in two pieces, as the lists by price are.
const (
	fromLikes = "SELECT " + itemColumns + ", k.created_at FROM likes k LEFT JOIN items i ON i.id = k.item_id WHERE k.user_id = ?"

	sqlLikes      = fromLikes + " AND k.created_at < ? ORDER BY k.created_at DESC, k.item_id DESC LIMIT ?"
	sqlLikesEqual = fromLikes + " AND k.created_at = ? AND k.item_id < ? ORDER BY k.item_id DESC LIMIT ?"
)

// LikedItems returns one page of what a person likes, the latest like first.
// What nobody may see any more is left out, so that a page may have fewer items
// than asked for and another one may follow. Limit 0 means 30; at most 100.
func (s *Store) LikedItems(ctx context.Context, by market.UserID, cursor string, rows int) (ItemPage, error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return ItemPage{}, err
	}
	list := "likes/" + by.String()
	n := limit(rows)
	var likes []likedItem
	before := int64(math.MaxInt64)
	if cursor != "" {
		from, err := market.DecodeCursor(key, list, cursor)
		if err != nil {
			return ItemPage{}, err
		}
		before = from.Key
		if likes, err = s.scanLikes(ctx, likes, sqlLikesEqual, int64(by), from.Key, from.ID, n+1); err != nil {
			return ItemPage{}, failed(err, "read likes of user %d", int64(by))
		}
	}
	if len(likes) <= n {
		if likes, err = s.scanLikes(ctx, likes, sqlLikes, int64(by), before, n+1-len(likes)); err != nil {
			return ItemPage{}, failed(err, "read likes of user %d", int64(by))
		}
	}
	page := ItemPage{Items: make([]market.Item, 0, n)}
	if len(likes) > n {
		likes = likes[:n]
		page.Next = market.Cursor{Key: likes[n-1].at, ID: int64(likes[n-1].item.ID)}.Encode(key, list)
	}
	for _, l := range likes {
		if l.item.State.Public() {
			page.Items = append(page.Items, l.item)
		}
	}
	return page, nil
}

// likedItem is an item with the time of the like.
type likedItem struct {
	item market.Item
	at   int64
}

func (s *Store) scanLikes(ctx context.Context, likes []likedItem, query string, args ...any) ([]likedItem, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var at int64
	r := newItemRow(&at)
	err = each(rows, func(row scanner) error {
		likes = append(likes, likedItem{})
		last := &likes[len(likes)-1]
		err := r.scan(row, &last.item)
		last.at = at
		return err
	})
	return likes, err
}
