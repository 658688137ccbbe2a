package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// AddPhoto remembers that somebody has sent a photo in; p.ID and p.CreatedAt
// are not looked at. The photo can then be shown by one item of its owner.
func (s *Store) AddPhoto(ctx context.Context, p market.Photo) (market.Photo, error) {
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		p.ID, p.CreatedAt = market.PhotoID(s.ids.Next(now)), now
		_, err := tx.ExecContext(ctx, "INSERT INTO photos (id, owner_id, item_id, name, width, height, created_at) VALUES (?, ?, 0, ?, ?, ?, ?)",
			int64(p.ID), int64(p.Owner), p.Name, p.Width, p.Height, sqldb.Micros(now))
		return err
	})
	if err != nil {
		return market.Photo{}, failed(err, "add photo of user %d", int64(p.Owner))
	}
	return p, nil
}

// claimPhotos ties photos to an item and returns them in the order of ids.
// Photos that the item showed before and that ids does not name are free again.
func (s *Store) claimPhotos(ctx context.Context, tx *sqldb.Tx, owner market.UserID, item market.ItemID, ids []market.PhotoID, isNew bool) ([]market.Photo, error) {
	raw := make([]int64, len(ids))
	for i, id := range ids {
		raw[i] = int64(id)
	}
	if !isNew {
		if _, err := tx.ExecContext(ctx, "UPDATE photos SET item_id = 0 WHERE item_id = ?", int64(item)); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	in := s.db.Dialect().In(len(ids))
	n, err := exec(ctx, tx, "UPDATE photos SET item_id = ? WHERE owner_id = ? AND item_id = 0 AND id IN "+in, args(raw, int64(item), int64(owner))...)
	if err != nil {
		return nil, err
	}
	if n != int64(len(ids)) {
		return nil, market.Fieldf("photo_ids", market.ReasonUnknownPhoto, "must be your own photos, and in no other item")
	}
	rows, err := tx.QueryContext(ctx, "SELECT id, name, width, height FROM photos WHERE id IN "+in, args(raw)...)
	if err != nil {
		return nil, err
	}
	photos := make([]market.Photo, len(ids))
	err = each(rows, func(row scanner) error {
		var p market.Photo
		if err := row.Scan((*int64)(&p.ID), &p.Name, &p.Width, &p.Height); err != nil {
			return err
		}
		photos[slices.Index(ids, p.ID)] = p
		return nil
	})
	return photos, err
}

// An item's row holds a copy of what is shown of its photos, so that a list is
// one query: "id:name:width:height" joined by spaces.

func encodePhotos(photos []market.Photo) string {
	var b []byte
	for i, p := range photos {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(p.ID), 10)
		b = append(append(append(b, ':'), p.Name...), ':')
		b = strconv.AppendInt(b, int64(p.Width), 10)
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(p.Height), 10)
	}
	return string(b)
}

func decodePhotos(s string) ([]market.Photo, error) {
	if s == "" {
		return nil, nil
	}
	photos := make([]market.Photo, 0, strings.Count(s, " ")+1)
	for one := range strings.SplitSeq(s, " ") {
		id, rest, ok1 := strings.Cut(one, ":")
		name, rest, ok2 := strings.Cut(rest, ":")
		width, height, ok3 := strings.Cut(rest, ":")
		n, err1 := strconv.ParseInt(id, 10, 64)
		w, err2 := strconv.Atoi(width)
		h, err3 := strconv.Atoi(height)
		if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("photos of an item: %q is not id:name:width:height", one)
		}
		photos = append(photos, market.Photo{ID: market.PhotoID(n), Name: name, Width: w, Height: h})
	}
	return photos, nil
}
