package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/store"
)

func (a *API) orderOut(o market.Order, role market.Role) client.Order {
	out := client.Order{
		ID: o.ID.String(), State: client.OrderState(o.State), Role: client.Role(role), ItemID: o.Item.String(), ItemTitle: o.ItemTitle,
		BuyerID: o.Buyer.String(), SellerID: o.Seller.String(), Price: int64(o.Price), Currency: o.Currency, Failure: string(o.Failure),
		Note: o.Note, Todo: string(o.Todo(role)), Version: o.Version, DeadlineAt: timeOut(o.DeadlineAt), PaidAt: timeOut(o.PaidAt),
		ShippedAt: timeOut(o.ShippedAt), EndedAt: timeOut(o.EndedAt),
		CreatedAt: client.TimeOf(o.CreatedAt), UpdatedAt: client.TimeOf(o.UpdatedAt),
	}
	rules := a.store.Rules()
	for _, e := range rules.Actions(o, role, a.now()) {
		out.Actions = append(out.Actions, string(e))
	}
	if o.State == market.OrderAwaitingShipment {
		out.ShipBy = timeOut(rules.ShipBy(o))
	}
	if role == market.RoleSeller {
		out.Proceeds = int64(o.Proceeds())
	}
	return out
}

func timeOut(t time.Time) *client.Time {
	if t.IsZero() {
		return nil
	}
	out := client.TimeOf(t)
	return &out
}

type buyItemIn struct {
	Body client.NewOrder
}

type buyItemOut struct {
	Status       int
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Location     string `header:"Location" doc:"Where the order is."`
	Body         client.Order
}

// buyItem is the purchase: reserve, charge, settle or release. No transaction is open while the
// provider is asked. Whatever stops it half way, the job KindOrderSettle ends it.
func (a *API) buyItem(ctx context.Context, in *buyItemIn) (*buyItemOut, error) {
	item, err := market.ParseItemID(in.Body.ItemID)
	if err != nil {
		return nil, invalidField("/item_id", "is not the id of an item")
	}
	order, change, err := a.store.ReserveItem(ctx, market.Purchase{
		Item: item, Buyer: callerOf(ctx).user, ExpectedPrice: market.Money(in.Body.ExpectedPrice),
	})
	if err != nil {
		return nil, err
	}
	a.purge(change)
	// From here on the item is held: a buyer who hangs up must not leave it so.
	charge, err := a.charge(ctx, order, in.Body.PaymentToken)
	settleCtx, cancel := detached(ctx, settleTimeout)
	defer cancel()
	switch {
	case err == nil:
		return a.paid(settleCtx, order, charge)
	case refused(err):
		return nil, a.declined(settleCtx, order, err)
	}
	// Nobody knows yet whether the buyer was charged. Lookup will tell the job.
	a.log.LogAttrs(ctx, slog.LevelWarn, "charge unclear", slog.String("order_id", order.ID.String()), slog.Any("error", err))
	return a.bought(order), nil
}

func (a *API) charge(ctx context.Context, o market.Order, token string) (market.Charge, error) {
	ctx, cancel := detached(ctx, a.cfg.ChargeTimeout)
	defer cancel()
	return a.pay.Charge(ctx, pay.ChargeRequest{Key: o.ChargeKey(), Amount: o.Price, Currency: o.Currency, Token: token})
}

// refused reports whether an error of Charge means that nothing was charged, for certain.
func refused(err error) bool {
	switch market.CodeOf(err) {
	case market.CodeInvalid, market.CodeConflict, market.CodeForbidden:
		return true
	}
	return false
}

// paid settles an order whose charge succeeded. If that fails the money is taken all the same: the
// order stays pending, and the job settles it.
func (a *API) paid(ctx context.Context, o market.Order, c market.Charge) (*buyItemOut, error) {
	settled, err := a.settlePaid(ctx, o, c)
	switch {
	case market.ReasonOf(err) == market.ReasonOrderCancelled:
		return nil, err
	case err != nil:
		a.log.LogAttrs(ctx, slog.LevelWarn, "paid order not settled yet", slog.String("order_id", o.ID.String()), slog.Any("error", err))
		return a.bought(o), nil
	}
	return a.bought(settled), nil
}

// settlePaid writes down that an order is paid. Was it cancelled before, because the charge took
// longer than an order waits, the buyer gets the money back.
func (a *API) settlePaid(ctx context.Context, o market.Order, c market.Charge) (market.Order, error) {
	settled, change, err := a.store.SettleOrder(ctx, o.ID, c)
	if err == nil {
		a.purge(change)
		return settled, nil
	}
	if market.ReasonOf(err) != market.ReasonOrderCancelled {
		return market.Order{}, err
	}
	if _, refundErr := a.pay.Refund(ctx, o.ChargeKey()); refundErr != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "charge of a cancelled order not given back",
			slog.String("order_id", o.ID.String()), slog.String("charge_id", c.ID), slog.Any("error", refundErr))
	} else {
		a.log.LogAttrs(ctx, slog.LevelWarn, "charge of a cancelled order given back", slog.String("order_id", o.ID.String()), slog.String("charge_id", c.ID))
	}
	return market.Order{}, err
}

func (a *API) bought(o market.Order) *buyItemOut {
	out := &buyItemOut{
		Status: http.StatusCreated, CacheControl: noStore, Location: "/v1/orders/" + o.ID.String(), Body: a.orderOut(o, market.RoleBuyer),
	}
	if o.State == market.OrderPendingPayment {
		out.Status = http.StatusAccepted
	}
	return out
}

// declined releases an order whose charge was refused, and returns what the buyer is told.
func (a *API) declined(ctx context.Context, o market.Order, refusal error) error {
	reason := market.ReasonOf(refusal)
	_, change, err := a.store.ReleaseOrder(ctx, o.ID, market.OrderDeclined, reason)
	if err != nil {
		// The buyer's answer is the same; the job releases the item.
		a.log.LogAttrs(ctx, slog.LevelWarn, "declined order not released yet", slog.String("order_id", o.ID.String()), slog.Any("error", err))
	} else {
		a.purge(change)
	}
	return refusal
}

type getOrdersIn struct {
	Role   string `query:"role" enum:"buyer,seller" default:"buyer" doc:"Which side of them you are."`
	State  string `query:"state" enum:"pending_payment,awaiting_shipment,shipped,delivered,received,disputed,completed,cancelled,refund_pending,refunded" doc:"Where they stand. Default: anywhere."`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"30" doc:"Rows of a page."`
	Cursor string `query:"cursor" maxLength:"128" doc:"next_cursor of the page before."`
}

type orderPageOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.OrderPage
}

func (a *API) getOrders(ctx context.Context, in *getOrdersIn) (*orderPageOut, error) {
	role := market.Role(in.Role)
	page, err := a.store.Orders(ctx, store.OrderQuery{User: callerOf(ctx).user, Role: role, State: market.OrderState(in.State), Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := client.OrderPage{Items: make([]client.Order, len(page.Orders)), NextCursor: page.Next}
	for i, o := range page.Orders {
		out.Items[i] = a.orderOut(o, role)
	}
	return &orderPageOut{CacheControl: noStore, Body: out}, nil
}

type getOrderIn struct {
	ID string `path:"id" doc:"Id of the order."`
}

type orderOutput struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Order
}

func (a *API) getOrder(ctx context.Context, in *getOrderIn) (*orderOutput, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	o, err := a.store.Order(ctx, id)
	if err != nil {
		return nil, err
	}
	role, err := o.RoleOf(callerOf(ctx).user)
	if err != nil {
		return nil, err
	}
	return &orderOutput{CacheControl: noStore, Body: a.orderOut(o, role)}, nil
}
