package api

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/store"
)

// lifecycleJobs are the handlers of what orders leave behind on their way.
func (a *API) lifecycleJobs() map[string]job.Handler {
	return map[string]job.Handler{
		store.KindOrderShipped:   a.tell(market.RoleBuyer, shippedText),
		store.KindOrderDelivered: a.tell(market.RoleBuyer, deliveredText),
		store.KindOrderReceived:  a.tell(market.RoleSeller, receivedText),
		store.KindOrderCompleted: a.tell(market.RoleBuyer, completedText),
		store.KindOrderDisputed:  a.tell(market.RoleSeller, disputedText),
		store.KindOrderRefunded:  a.tell(market.RoleBuyer, refundedText),
		store.KindOrderRefund:    a.orderRefund,
		store.KindOrderMessage:   a.orderMessage,
		store.KindPayout:         a.payout,
	}
}

// orderText says a piece of news about an order.
type orderText func(l market.Locale, o market.Order) (title, body string)

// tell returns a handler that tells one side of an order how it stands. News
// that is old by now is told all the same: the app opens the order and shows
// what is.
func (a *API) tell(to market.Role, text orderText) job.Handler {
	return func(ctx context.Context, j *job.Job) error {
		p, err := payload[store.OrderRef](j)
		if err != nil {
			return err
		}
		o, err := a.store.Order(ctx, p.Order)
		if err != nil {
			return unlessGone(err)
		}
		return a.notifyOrder(ctx, j, o, to, text)
	}
}

func (a *API) notifyOrder(ctx context.Context, j *job.Job, o market.Order, to market.Role, text orderText) error {
	user := o.Buyer
	if to == market.RoleSeller {
		user = o.Seller
	}
	return a.notify(ctx, j, user, notice{
		item: o.Item, order: o.ID, sound: true,
		text: func(l market.Locale) (string, string) { return text(l, o) },
	})
}

// providerInterval is how long a refund or a payout waits for a provider that
// is away or has not decided.
const providerInterval = time.Minute

// orderRefund gives the buyer's money back, and tells both sides that the order
// is cancelled once that is done. The job stays until it has succeeded: money is not
// forgotten.
func (a *API) orderRefund(ctx context.Context, j *job.Job) error {
	p, err := payload[store.OrderRef](j)
	if err != nil {
		return err
	}
	o, err := a.store.Order(ctx, p.Order)
	if err != nil {
		return unlessGone(err)
	}
	if o.State == market.OrderRefundPending {
		if err := a.refund(ctx, o); err != nil {
			a.log.LogAttrs(ctx, slog.LevelWarn, "order not refunded yet", slog.String("order_id", o.ID.String()), slog.Any("error", err))
			return job.Snooze(providerInterval)
		}
		_, change, err := a.store.RefundedOrder(ctx, o.ID)
		if err != nil {
			return err
		}
		a.purge(change)
	}
	return a.notifyOrder(ctx, j, o, market.RoleSeller, cancelledText)
}

func (a *API) refund(ctx context.Context, o market.Order) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.ChargeTimeout)
	defer cancel()
	_, err := a.pay.Refund(ctx, o.ChargeKey())
	return err
}

func (a *API) orderMessage(ctx context.Context, j *job.Job) error {
	p, err := payload[store.OrderMessage](j)
	if err != nil {
		return err
	}
	o, err := a.store.Order(ctx, p.Order)
	var m market.Message
	if err == nil {
		m, err = a.store.Message(ctx, p.Message)
	}
	var author market.User
	if err == nil {
		author, err = a.store.User(ctx, m.Author)
	}
	if err != nil {
		return unlessGone(err)
	}
	if blocked, err := a.store.Blocked(ctx, o.Buyer, o.Seller); err != nil || blocked {
		return err
	}
	to := market.RoleSeller
	if m.Author == o.Seller {
		to = market.RoleBuyer
	}
	return a.notifyOrder(ctx, j, o, to, func(l market.Locale, o market.Order) (string, string) {
		return messageText(l, o, author.Name, m.Body)
	})
}

// payout has the provider pay a seller. Until it has decided the job stays.
func (a *API) payout(ctx context.Context, j *job.Job) error {
	ref, err := payload[store.PayoutRef](j)
	if err != nil {
		return err
	}
	p, err := a.store.Payout(ctx, ref.Payout)
	if err != nil {
		return unlessGone(err)
	}
	if p.State != market.PayoutPending {
		return nil
	}
	state, failure, err := a.payOut(ctx, p)
	switch {
	case err != nil:
		a.log.LogAttrs(ctx, slog.LevelWarn, "payout not decided yet", slog.String("payout_id", p.ID.String()), slog.Any("error", err))
		return job.Snooze(providerInterval)
	case state == market.PayoutPending:
		return job.Snooze(providerInterval)
	}
	if _, err := a.store.EndPayout(ctx, p.ID, state, failure); err != nil {
		return fmt.Errorf("end payout: %w", err)
	}
	return nil
}

func (a *API) payOut(ctx context.Context, p market.Payout) (market.PayoutState, market.Reason, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.ChargeTimeout)
	defer cancel()
	return a.pay.Payout(ctx, pay.PayoutRequest{Key: p.Key(), Seller: p.User, Amount: p.Amount, Currency: p.Currency})
}

// expire takes the step that the clock takes for an order whose deadline has
// passed.
func (a *API) expire(ctx context.Context, id market.OrderID) error {
	o, err := a.store.Order(ctx, id)
	if err != nil {
		return unlessGone(err)
	}
	if o.State == market.OrderPendingPayment {
		return a.settle(ctx, id)
	}
	after, change, err := a.store.ExpireOrder(ctx, id)
	if err != nil {
		return err
	}
	a.purge(change)
	if after.State != o.State {
		a.log.LogAttrs(ctx, slog.LevelInfo, "order moved by the clock", slog.String("order_id", id.String()), slog.String("state", string(after.State)))
	}
	return nil
}
