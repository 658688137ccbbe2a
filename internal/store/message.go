package store

import (
	"context"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

const sqlMessages = "SELECT m.id, m.order_id, m.author_id, m.body, m.created_at FROM messages m WHERE m.order_id = ? AND m.id > ? ORDER BY m.id LIMIT ?"

func scanMessage(row scanner) (market.Message, error) {
	var m market.Message
	var created int64
	err := row.Scan((*int64)(&m.ID), (*int64)(&m.Order), (*int64)(&m.Author), &m.Body, &created)
	m.CreatedAt = sqldb.FromMicros(created)
	return m, err
}

// SendMessage writes to the other side of an order, which hears of it by
// KindOrderMessage.
func (s *Store) SendMessage(ctx context.Context, id market.OrderID, author market.UserID, body string) (market.Message, error) {
	var m market.Message
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		o, err := scanOrder(tx.QueryRowContext(ctx, "SELECT "+orderColumns+" FROM orders o WHERE o.id = ?", int64(id)))
		if err != nil {
			return orNotFound(err, market.ErrOrderNotFound)
		}
		if m, err = s.rules.NewMessage(o, market.MessageID(s.ids.Next(now)), author, body, now); err != nil {
			return err
		}
		if err := meet(ctx, tx, o.Buyer, o.Seller); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO messages (id, order_id, author_id, body, created_at) VALUES (?, ?, ?, ?, ?)",
			int64(m.ID), int64(m.Order), int64(m.Author), m.Body, sqldb.Micros(m.CreatedAt)); err != nil {
			return err
		}
		to := o.Seller
		if author == o.Seller {
			to = o.Buyer
		}
		if err := s.note(ctx, tx, market.Notification{User: to, Kind: market.NoticeMessage, Item: o.Item, Order: id, Actor: author}, now); err != nil {
			return err
		}
		_, err = s.queue.EnqueueTx(ctx, tx, newJob(KindOrderMessage, OrderMessage{Order: id, Message: m.ID}))
		return err
	})
	if err != nil {
		return market.Message{}, failed(err, "send message about order %d", int64(id))
	}
	return m, nil
}

// Message returns one message.
func (s *Store) Message(ctx context.Context, id market.MessageID) (market.Message, error) {
	m, err := scanMessage(s.db.QueryRowContext(ctx, "SELECT m.id, m.order_id, m.author_id, m.body, m.created_at FROM messages m WHERE m.id = ?", int64(id)))
	if err != nil {
		return market.Message{}, failed(orNotFound(err, market.Errorf(market.CodeNotFound, "", "there is no such message")), "read message %d", int64(id))
	}
	return m, nil
}

// MessagePage is a piece of what the sides of an order have written.
type MessagePage struct {
	Messages []market.Message
	Next     string // the cursor of the next page; "" = this is the last
}

// Messages returns messages about an order, oldest first. Whose business they
// are is for the caller to look at. Limit 0 means 30; at most 100.
func (s *Store) Messages(ctx context.Context, id market.OrderID, cursor string, rows int) (MessagePage, error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return MessagePage{}, err
	}
	list := "messages/" + id.String()
	var after market.Cursor
	if cursor != "" {
		if after, err = market.DecodeCursor(key, list, cursor); err != nil {
			return MessagePage{}, err
		}
	}
	n := limit(rows)
	found, err := s.db.QueryContext(ctx, sqlMessages, int64(id), after.ID, n+1)
	if err != nil {
		return MessagePage{}, failed(err, "read messages of order %d", int64(id))
	}
	var page MessagePage
	if err := each(found, func(row scanner) error {
		m, err := scanMessage(row)
		page.Messages = append(page.Messages, m)
		return err
	}); err != nil {
		return MessagePage{}, failed(err, "read messages of order %d", int64(id))
	}
	if len(page.Messages) > n {
		page.Messages = page.Messages[:n]
		page.Next = market.Cursor{ID: int64(page.Messages[n-1].ID)}.Encode(key, list)
	}
	return page, nil
}
