package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

const (
	orderColumns = "o.id, o.item_id, o.buyer_id, o.seller_id, o.state, o.price, o.fee, o.currency, o.charge_id, o.failure," +
		" o.note, o.version, o.deadline_at, o.paid_at, o.shipped_at, o.ended_at, o.created_at, o.updated_at"
	fromOrders = "SELECT " + orderColumns + ", COALESCE(i.title, '') FROM orders o LEFT JOIN items i ON i.id = o.item_id"

	sqlOrdersOfBuyer  = fromOrders + " WHERE o.buyer_id = ? AND o.id < ? ORDER BY o.id DESC LIMIT ?"
	sqlOrdersOfSeller = fromOrders + " WHERE o.seller_id = ? AND o.id < ? ORDER BY o.id DESC LIMIT ?"

	sqlOrdersOfBuyerIn  = fromOrders + " WHERE o.state = ? AND o.buyer_id = ? AND o.id < ? ORDER BY o.id DESC LIMIT ?"
	sqlOrdersOfSellerIn = fromOrders + " WHERE o.state = ? AND o.seller_id = ? AND o.id < ? ORDER BY o.id DESC LIMIT ?"

	sqlOrdersOverdue = "SELECT o.id FROM orders o WHERE o.deadline_at <= ? ORDER BY o.deadline_at, o.id LIMIT ?"
)

func scanOrder(row scanner, more ...any) (market.Order, error) {
	var o market.Order
	var deadline, paid, shipped, ended sql.NullInt64
	var created, updated int64
	err := row.Scan(append([]any{
		(*int64)(&o.ID), (*int64)(&o.Item), (*int64)(&o.Buyer), (*int64)(&o.Seller), (*string)(&o.State), (*int64)(&o.Price), (*int64)(&o.Fee),
		&o.Currency, &o.ChargeID, (*string)(&o.Failure), &o.Note, &o.Version,
		&deadline, &paid, &shipped, &ended, &created, &updated,
	}, more...)...)
	o.DeadlineAt, o.PaidAt, o.ShippedAt, o.EndedAt = timeOrZero(deadline), timeOrZero(paid), timeOrZero(shipped), timeOrZero(ended)
	o.CreatedAt, o.UpdatedAt = sqldb.FromMicros(created), sqldb.FromMicros(updated)
	return o, err
}

// Order returns an order: market.Order.RoleOf tells whose business it is.
func (s *Store) Order(ctx context.Context, id market.OrderID) (market.Order, error) {
	var title string
	o, err := scanOrder(s.db.QueryRowContext(ctx, fromOrders+" WHERE o.id = ?", int64(id)), &title)
	if err != nil {
		return market.Order{}, failed(orNotFound(err, market.ErrOrderNotFound), "read order %d", int64(id))
	}
	o.ItemTitle = title
	return o, nil
}

// OrderQuery names a list of orders: those of a person as buyer or as seller,
// newest first.
type OrderQuery struct {
	User   market.UserID
	Role   market.Role       // "" = buyer
	State  market.OrderState // "" = any
	Cursor string            // OrderPage.Next of the page before; "" = the first page
	Limit  int               // rows; 0 = 30, at most 100
}

// OrderPage is a piece of a list of orders.
type OrderPage struct {
	Orders []market.Order
	Next   string // the cursor of the next page; "" = this is the last
}

// Orders returns one page of a person's orders.
func (s *Store) Orders(ctx context.Context, q OrderQuery) (OrderPage, error) {
	query, in := sqlOrdersOfBuyer, sqlOrdersOfBuyerIn
	switch q.Role {
	case "", market.RoleBuyer:
		q.Role = market.RoleBuyer
	case market.RoleSeller:
		query, in = sqlOrdersOfSeller, sqlOrdersOfSellerIn
	default:
		return OrderPage{}, market.Fieldf("role", market.ReasonMalformed, "must be buyer or seller")
	}
	var params []any
	if q.State != "" {
		if !q.State.Valid() {
			return OrderPage{}, market.Fieldf("state", market.ReasonMalformed, "must be a state of an order")
		}
		query, params = in, []any{string(q.State)}
	}
	key, err := s.listKey(ctx)
	if err != nil {
		return OrderPage{}, err
	}
	list := "orders/" + string(q.Role) + "/" + q.User.String() + "/" + string(q.State)
	before := market.Cursor{ID: math.MaxInt64}
	if q.Cursor != "" {
		if before, err = market.DecodeCursor(key, list, q.Cursor); err != nil {
			return OrderPage{}, err
		}
	}
	n := limit(q.Limit)
	rows, err := s.db.QueryContext(ctx, query, append(params, int64(q.User), before.ID, n+1)...)
	if err != nil {
		return OrderPage{}, failed(err, "read orders of user %d", int64(q.User))
	}
	var page OrderPage
	if err := each(rows, func(row scanner) error {
		var title string
		o, err := scanOrder(row, &title)
		o.ItemTitle = title
		page.Orders = append(page.Orders, o)
		return err
	}); err != nil {
		return OrderPage{}, failed(err, "read orders of user %d", int64(q.User))
	}
	if len(page.Orders) > n {
		page.Orders = page.Orders[:n]
		page.Next = market.Cursor{ID: int64(page.Orders[n-1].ID)}.Encode(key, list)
	}
	return page, nil
}

// Overdue returns orders whose deadline has passed, most overdue first. Their
// jobs deal with them; what stays here has lost its job.
func (s *Store) Overdue(ctx context.Context, rows int) ([]market.OrderID, error) {
	found, err := s.db.QueryContext(ctx, sqlOrdersOverdue, sqldb.Micros(s.time()), limit(rows))
	if err != nil {
		return nil, failed(err, "read overdue orders")
	}
	var ids []market.OrderID
	err = each(found, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, market.OrderID(id))
		return err
	})
	return ids, failed(err, "read overdue orders")
}

// ReserveItem takes an item for one buyer and makes the order that waits for
// its payment; p.ID is not looked at. Of any number of buyers at once exactly
// one gets it; the others get market.CodeConflict, with ReasonItemSold or, if
// that is why, ReasonPriceChanged or ReasonOwnItem. A job KindOrderSettle looks
// after the order from Rules.SettleAfter on.
func (s *Store) ReserveItem(ctx context.Context, p market.Purchase) (market.Order, Change, error) {
	// Whoever comes too late is told so without a transaction: the crowd around
	// a wanted item does not queue for the database's write lock.
	seen, err := s.readItem(ctx, s.db, p.Item, false)
	if err == nil {
		_, _, err = s.rules.Reserve(seen, p, s.time())
	}
	if err == nil {
		_, err = s.Categories(ctx) // so that the transaction need not read them
	}
	var order market.Order
	var change Change
	if err == nil {
		err = s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
			var err error
			order, change, err = s.reserve(ctx, tx, p, now)
			return err
		})
	}
	if err != nil {
		if market.ReasonOf(err) == market.ReasonItemSold {
			s.metrics.count(eventReserveLost)
		}
		return market.Order{}, Change{}, failed(err, "reserve item %d", int64(p.Item))
	}
	return order, change, nil
}

func (s *Store) reserve(ctx context.Context, tx *sqldb.Tx, p market.Purchase, now time.Time) (market.Order, Change, error) {
	// This write decides. It repeats the rule's conditions, so that it needs no
	// lock taken before it.
	won, err := exec(ctx, tx, "UPDATE items SET state = ?, version = version + 1, updated_at = ? WHERE id = ? AND state = ? AND price = ? AND seller_id <> ?",
		string(market.ItemReserved), sqldb.Micros(now), int64(p.Item), string(market.ItemOnSale), int64(p.ExpectedPrice), int64(p.Buyer))
	if err != nil {
		return market.Order{}, Change{}, err
	}
	item, err := s.readItem(ctx, tx, p.Item, false)
	if err != nil {
		return market.Order{}, Change{}, err
	}
	if won == 0 {
		if _, _, err := s.rules.Reserve(item, p, now); err != nil {
			return market.Order{}, Change{}, err
		}
		return market.Order{}, Change{}, market.Errorf(market.CodeConflict, market.ReasonItemSold, "somebody else was first")
	}
	if err := meet(ctx, tx, p.Buyer, item.Seller); err != nil {
		return market.Order{}, Change{}, err
	}
	if err := s.takesPart(ctx, tx, p.Buyer); err != nil {
		return market.Order{}, Change{}, err
	}
	before := item
	before.State, before.Version = market.ItemOnSale, item.Version-1
	p.ID = market.OrderID(s.ids.Next(now))
	item, order, err := s.rules.Reserve(before, p, now)
	if err != nil {
		return market.Order{}, Change{}, err
	}
	if err := s.insert(ctx, tx, tableOrders, 1, func(int) []any { return orderValues(order) }); err != nil {
		return market.Order{}, Change{}, err
	}
	change, err := s.move(ctx, tx, before, item)
	if err != nil {
		return market.Order{}, Change{}, err
	}
	settle := newJob(KindOrderSettle, OrderRef{Order: order.ID})
	settle.RunAt = now.Add(s.rules.SettleAfter)
	if _, err := s.queue.EnqueueTx(ctx, tx, settle); err != nil {
		return market.Order{}, Change{}, err
	}
	tx.OnCommit(func() { s.metrics.count(eventItemReserved) })
	return order, change, nil
}

// SettleOrder writes down that an order's charge succeeded: the order waits for
// its shipment, the item is sold, and the seller hears of it by KindOrderPaid.
// To settle again with the same charge does nothing.
//
// An order that was cancelled before is market.CodeConflict with
// ReasonOrderCancelled: the caller must refund the charge.
func (s *Store) SettleOrder(ctx context.Context, id market.OrderID, charge market.Charge) (market.Order, Change, error) {
	order, change, err := s.decide(ctx, id, market.ItemSettle, func(o market.Order, now time.Time) (market.Order, bool, error) {
		return s.rules.Settle(o, charge, now)
	})
	return order, change, failed(err, "settle order %d", int64(id))
}

// ReleaseOrder writes down that an order will not be paid: it is cancelled and
// its item on sale again. Event is market.OrderDeclined or market.OrderExpired;
// failure is kept as the reason. To release again does nothing; an order that
// is paid is market.CodeConflict with ReasonOrderPaid.
func (s *Store) ReleaseOrder(ctx context.Context, id market.OrderID, event market.OrderEvent, failure market.Reason) (market.Order, Change, error) {
	order, change, err := s.decide(ctx, id, market.ItemRelease, func(o market.Order, now time.Time) (market.Order, bool, error) {
		return s.rules.Release(o, event, failure, now)
	})
	return order, change, failed(err, "release order %d", int64(id))
}

// decide ends a reservation: rule says what becomes of the order, event what
// becomes of the item.
func (s *Store) decide(ctx context.Context, id market.OrderID, event market.ItemEvent,
	rule func(o market.Order, now time.Time) (market.Order, bool, error),
) (market.Order, Change, error) {
	if _, err := s.Categories(ctx); err != nil { // so that the transaction need not read them
		return market.Order{}, Change{}, err
	}
	var order market.Order
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		before, err := s.lockOrder(ctx, tx, id)
		if err != nil {
			return err
		}
		var changed bool
		if order, changed, err = rule(before, now); err != nil {
			return err
		}
		item, err := s.readItem(ctx, tx, order.Item, true)
		if err != nil {
			return err
		}
		if !changed {
			return nil
		}
		if err := s.updateOrder(ctx, tx, order); err != nil {
			return err
		}
		if change, err = s.moveReserved(ctx, tx, item, event, now); err != nil {
			return err
		}
		if event == market.ItemRelease {
			tx.OnCommit(func() { s.metrics.count(eventOrderCancelled) })
			return nil
		}
		tx.OnCommit(func() { s.metrics.count(eventOrderPaid) })
		p, _ := market.PostingOf(order)
		if err := s.post(ctx, tx, p, now); err != nil {
			return err
		}
		if err := s.noteOrder(ctx, tx, order, now); err != nil {
			return err
		}
		_, err = s.queue.EnqueueTx(ctx, tx, newJob(KindOrderPaid, OrderRef{Order: id}))
		return err
	})
	if err != nil {
		return market.Order{}, Change{}, err
	}
	return order, change, nil
}

// moveReserved takes a reserved item to its next state.
func (s *Store) moveReserved(ctx context.Context, tx *sqldb.Tx, item market.Item, event market.ItemEvent, now time.Time) (Change, error) {
	before := item
	var ok bool
	if item.State, ok = item.State.After(event); !ok {
		return Change{}, fmt.Errorf("item %d is %s: it cannot %s", int64(item.ID), item.State, event)
	}
	item.Version++
	item.UpdatedAt = now
	if _, err := tx.ExecContext(ctx, "UPDATE items SET state = ?, shelf = ?, version = ?, updated_at = ? WHERE id = ?",
		string(item.State), shelf(item.State), item.Version, sqldb.Micros(now), int64(item.ID)); err != nil {
		return Change{}, err
	}
	return s.move(ctx, tx, before, item)
}

func (s *Store) updateOrder(ctx context.Context, tx *sqldb.Tx, o market.Order) error {
	_, err := tx.ExecContext(ctx, "UPDATE orders SET state = ?, live_item_id = ?, charge_id = ?, failure = ?, note = ?, version = ?,"+
		" deadline_at = ?, paid_at = ?, shipped_at = ?, ended_at = ?, updated_at = ? WHERE id = ?",
		string(o.State), liveItem(o), o.ChargeID, string(o.Failure), o.Note, o.Version,
		nullTime(o.DeadlineAt), nullTime(o.PaidAt), nullTime(o.ShippedAt), nullTime(o.EndedAt), sqldb.Micros(o.UpdatedAt), int64(o.ID))
	return err
}

// liveItem is the item that an order holds, or NULL.
func liveItem(o market.Order) any {
	if !o.State.Live() {
		return nil
	}
	return int64(o.Item)
}
