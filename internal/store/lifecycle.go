package store

import (
	"context"
	"fmt"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// ShipOrder writes down that the seller has sent the item.
func (s *Store) ShipOrder(ctx context.Context, id market.OrderID, by market.UserID) (market.Order, Change, error) {
	return s.act(ctx, id, by, market.OrderShip, "")
}

// CancelOrder gives up an order that was paid and not sent; the buyer's money
// goes back by a job KindOrderRefund.
func (s *Store) CancelOrder(ctx context.Context, id market.OrderID, by market.UserID, note string) (market.Order, Change, error) {
	return s.act(ctx, id, by, market.OrderCancel, note)
}

// DisputeOrder writes down what the buyer finds wrong. The money stays held
// until ResolveOrder.
func (s *Store) DisputeOrder(ctx context.Context, id market.OrderID, by market.UserID, note string) (market.Order, Change, error) {
	return s.act(ctx, id, by, market.OrderProblem, note)
}

// ResolveOrder is the operator's decision of a dispute: the buyer gets the
// money back, or the sale stands.
func (s *Store) ResolveOrder(ctx context.Context, id market.OrderID, refund bool, note string) (market.Order, Change, error) {
	step := market.Step{Event: market.OrderResolveKeep, By: market.ActorOperator, Note: note}
	if refund {
		step.Event = market.OrderResolveRefund
	}
	return s.advance(ctx, id, fixed(step))
}

// DeliverOrder writes down that the carrier has delivered. To be told again, or
// after the buyer has said so, does nothing.
func (s *Store) DeliverOrder(ctx context.Context, id market.OrderID) (market.Order, Change, error) {
	return s.advance(ctx, id, ifStill(market.OrderShipped, market.Step{Event: market.OrderDeliver, By: market.ActorCarrier}))
}

// RefundedOrder writes down that the buyer has the money back. To be told again
// does nothing.
func (s *Store) RefundedOrder(ctx context.Context, id market.OrderID) (market.Order, Change, error) {
	return s.advance(ctx, id, ifStill(market.OrderRefundPending, market.Step{Event: market.OrderRefundDone, By: market.ActorProvider}))
}

// ExpireOrder takes the step that the clock takes when the deadline of an
// order's state has passed. Before that, and in states without one, it does
// nothing.
func (s *Store) ExpireOrder(ctx context.Context, id market.OrderID) (market.Order, Change, error) {
	return s.advance(ctx, id, func(o market.Order, now time.Time) (stepping, error) {
		step, due := market.Overdue(o, now)
		return stepping{step: step, skip: !due}, nil
	})
}

// ReviewOrder writes down what one side thinks of the other: the buyer's review
// is the receipt, the seller's completes the order and shows both.
func (s *Store) ReviewOrder(ctx context.Context, id market.OrderID, d market.ReviewDraft) (market.Order, Change, error) {
	return s.advance(ctx, id, func(o market.Order, now time.Time) (stepping, error) {
		d.ID = market.ReviewID(s.ids.Next(now))
		review, step, err := s.rules.NewReview(o, d, now)
		return stepping{step: step, review: &review}, err
	})
}

// stepping is a step with what belongs to it.
type stepping struct {
	step   market.Step
	skip   bool // there is nothing to do
	review *market.Review
}

// stepFunc decides about the step that a locked order takes.
type stepFunc func(o market.Order, now time.Time) (stepping, error)

func fixed(step market.Step) stepFunc {
	return func(market.Order, time.Time) (stepping, error) { return stepping{step: step}, nil }
}

// ifStill is for those who tell a thing more than once.
func ifStill(state market.OrderState, step market.Step) stepFunc {
	return func(o market.Order, _ time.Time) (stepping, error) {
		return stepping{step: step, skip: o.State != state}, nil
	}
}

// act is a step by one of the order's two people.
func (s *Store) act(ctx context.Context, id market.OrderID, by market.UserID, e market.OrderEvent, note string) (market.Order, Change, error) {
	note, err := s.rules.CheckNote(note)
	if err != nil {
		return market.Order{}, Change{}, err
	}
	return s.advance(ctx, id, func(o market.Order, _ time.Time) (stepping, error) {
		role, err := o.RoleOf(by)
		return stepping{step: market.Step{Event: e, By: market.ActorOf(role), Note: note}}, err
	})
}

// advance takes an order one step on: the order, the money, the item, the
// reviews and the job that tells of it are one transaction.
func (s *Store) advance(ctx context.Context, id market.OrderID, decide stepFunc) (market.Order, Change, error) {
	var order market.Order
	var change Change
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		change = Change{}
		before, err := s.lockOrder(ctx, tx, id)
		if err != nil {
			return err
		}
		st, err := decide(before, now)
		if err != nil {
			return err
		}
		if st.skip {
			order = before
			return nil
		}
		if order, err = s.rules.Advance(before, st.step, now); err != nil {
			return err
		}
		if st.review != nil {
			if err := s.insertReview(ctx, tx, *st.review); err != nil {
				return err
			}
		}
		if err := s.updateOrder(ctx, tx, order); err != nil {
			return err
		}
		if p, ok := market.PostingOf(order); ok {
			if err := s.post(ctx, tx, p, now); err != nil {
				return err
			}
		}
		if change, err = s.follow(ctx, tx, order, now); err != nil {
			return err
		}
		tx.OnCommit(func() { s.metrics.count("order_" + string(order.State)) })
		if err := s.noteOrder(ctx, tx, order, now); err != nil {
			return err
		}
		_, err = s.queue.EnqueueTx(ctx, tx, newJob(kindOf(order.State), OrderRef{Order: id}))
		return err
	})
	if err != nil {
		return market.Order{}, Change{}, failed(err, "advance order %d", int64(id))
	}
	return order, change, nil
}

// lockOrder reads an order and keeps others from changing it. The title comes
// by a read of its own: a lock of the item would not be wanted.
func (s *Store) lockOrder(ctx context.Context, tx *sqldb.Tx, id market.OrderID) (market.Order, error) {
	o, err := scanOrder(tx.QueryRowContext(ctx, "SELECT "+orderColumns+" FROM orders o WHERE o.id = ?"+s.sql.forUpdate, int64(id)))
	if err != nil {
		return market.Order{}, orNotFound(err, market.ErrOrderNotFound)
	}
	err = tx.QueryRowContext(ctx, "SELECT title FROM items WHERE id = ?", int64(o.Item)).Scan(&o.ItemTitle)
	return o, orNotFound(err, nil)
}

// follow does what an order's arrival in its state does to others: a refunded
// item is its seller's again, and a completed order shows its reviews.
func (s *Store) follow(ctx context.Context, tx *sqldb.Tx, o market.Order, now time.Time) (Change, error) {
	switch o.State {
	case market.OrderRefunded:
		item, err := s.readItem(ctx, tx, o.Item, true)
		if err != nil {
			return Change{}, err
		}
		if _, ok := item.State.After(market.ItemReturn); !ok {
			return Change{}, nil // the operator has hidden it
		}
		return s.moveReserved(ctx, tx, item, market.ItemReturn, now)
	case market.OrderCompleted:
		return s.showReviews(ctx, tx, o)
	}
	return Change{}, nil
}

// kindOf is the kind of the job that an order's arrival in a state leaves.
func kindOf(state market.OrderState) string {
	switch state {
	case market.OrderShipped:
		return KindOrderShipped
	case market.OrderDelivered:
		return KindOrderDelivered
	case market.OrderReceived:
		return KindOrderReceived
	case market.OrderCompleted:
		return KindOrderCompleted
	case market.OrderDisputed:
		return KindOrderDisputed
	case market.OrderRefundPending:
		return KindOrderRefund
	case market.OrderRefunded:
		return KindOrderRefunded
	}
	panic(fmt.Sprintf("store: no job for an order that is %s", state))
}
