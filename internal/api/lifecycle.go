package api

import (
	"context"
	"net/http"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/carrier"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// orderID reads the id of an order out of a path.
func orderID(s string) (market.OrderID, error) {
	id, err := market.ParseOrderID(s)
	if err != nil {
		return 0, market.ErrOrderNotFound
	}
	return id, nil
}

// stepped answers a step of an order.
func (a *API) stepped(ctx context.Context, o market.Order, change store.Change, err error) (*orderOutput, error) {
	if err != nil {
		return nil, err
	}
	a.purge(change)
	role, err := o.RoleOf(callerOf(ctx).user)
	if err != nil {
		return nil, err
	}
	return &orderOutput{CacheControl: noStore, Body: a.orderOut(o, role)}, nil
}

type noteIn struct {
	ID   string `path:"id" doc:"Id of the order."`
	Body client.Note
}

func (a *API) shipOrder(ctx context.Context, in *getOrderIn) (*orderOutput, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	o, change, err := a.store.ShipOrder(ctx, id, callerOf(ctx).user)
	return a.stepped(ctx, o, change, err)
}

func (a *API) cancelOrder(ctx context.Context, in *noteIn) (*orderOutput, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	o, change, err := a.store.CancelOrder(ctx, id, callerOf(ctx).user, in.Body.Note)
	return a.stepped(ctx, o, change, err)
}

func (a *API) reportProblem(ctx context.Context, in *noteIn) (*orderOutput, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	o, change, err := a.store.DisputeOrder(ctx, id, callerOf(ctx).user, in.Body.Note)
	return a.stepped(ctx, o, change, err)
}

type labelOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Label
}

// makeLabel asks the carrier, outside of any transaction; a label that a crash
// lost is the same when it is asked for again.
func (a *API) makeLabel(ctx context.Context, in *getOrderIn) (*labelOut, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	by := callerOf(ctx).user
	o, err := a.store.Order(ctx, id)
	if err == nil {
		err = o.CanLabel(by)
	}
	if err != nil {
		return nil, err
	}
	label, err := a.carrier.Label(ctx, carrier.LabelRequest{Key: o.ShipmentKey(), Order: id})
	if err != nil {
		return nil, err
	}
	if label, err = a.store.AddShipment(ctx, by, label); err != nil {
		return nil, err
	}
	picture, err := carrier.QR(label.Code)
	if err != nil {
		return nil, err
	}
	return &labelOut{CacheControl: noStore, Body: client.Label{
		Carrier: label.Carrier, Tracking: label.Tracking, Code: label.Code, QRPNG: picture, CreatedAt: client.TimeOf(label.CreatedAt),
	}}, nil
}

type reviewIn struct {
	ID   string `path:"id" doc:"Id of the order."`
	Body client.NewReview
}

func (a *API) reviewOrder(ctx context.Context, in *reviewIn) (*orderOutput, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	o, change, err := a.store.ReviewOrder(ctx, id, market.ReviewDraft{
		Author: callerOf(ctx).user, Rating: market.Rating(in.Body.Rating), Body: in.Body.Body,
	})
	return a.stepped(ctx, o, change, err)
}

func messageOut(m market.Message) client.Message {
	return client.Message{ID: m.ID.String(), AuthorID: m.Author.String(), Body: m.Body, CreatedAt: client.TimeOf(m.CreatedAt)}
}

type messageIn struct {
	ID   string `path:"id" doc:"Id of the order."`
	Body client.NewMessage
}

type messageOutput struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Message
}

func (a *API) sendMessage(ctx context.Context, in *messageIn) (*messageOutput, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	m, err := a.store.SendMessage(ctx, id, callerOf(ctx).user, in.Body.Body)
	if err != nil {
		return nil, err
	}
	return &messageOutput{CacheControl: noStore, Body: messageOut(m)}, nil
}

type getMessagesIn struct {
	ID     string `path:"id" doc:"Id of the order."`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"30" doc:"Rows of a page."`
	Cursor string `query:"cursor" maxLength:"128" doc:"next_cursor of the page before."`
}

type messagePageOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.MessagePage
}

func (a *API) getMessages(ctx context.Context, in *getMessagesIn) (*messagePageOut, error) {
	id, err := orderID(in.ID)
	if err != nil {
		return nil, err
	}
	o, err := a.store.Order(ctx, id)
	if err == nil {
		_, err = o.RoleOf(callerOf(ctx).user)
	}
	if err != nil {
		return nil, err
	}
	page, err := a.store.Messages(ctx, id, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := client.MessagePage{Items: make([]client.Message, len(page.Messages)), NextCursor: page.Next}
	for i, m := range page.Messages {
		out.Items[i] = messageOut(m)
	}
	return &messagePageOut{CacheControl: noStore, Body: out}, nil
}

// lifecycleRoutes are the operations on an order after its purchase.
func (a *API) lifecycleRoutes(small int64) {
	const post, conflict, notFound, forbidden = http.MethodPost, http.StatusConflict, http.StatusNotFound, http.StatusForbidden
	at := func(id, path, summary, about string) operation {
		return operation{
			id: id, method: post, path: "/v1/orders/{id}/" + path, access: accessUser, tag: "orders", maxBody: small,
			errors: []int{forbidden, notFound, conflict}, summary: summary, about: about,
		}
	}
	register(a, at("makeLabel", "shipment", "Make the label",
		"The carrier makes it, with a QR code to show at the counter. To ask again gives the same one."), a.makeLabel)
	register(a, at("shipOrder", "ship", "Say that it is sent", "By the seller, of an order that is paid."), a.shipOrder)
	register(a, at("cancelOrder", "cancel", "Cancel an order",
		"Of an order that is paid and not sent: by the seller at any time, by the buyer after ship_by. The buyer gets the money back."), a.cancelOrder)
	register(a, at("reportProblem", "problem", "Report a problem", "By the buyer, of what was sent. The money stays held until it is decided."), a.reportProblem)
	register(a, at("reviewOrder", "reviews", "Rate the other side",
		"The buyer's review says that the item came, the seller's completes the order. Both are hidden until then."), a.reviewOrder)
	register(a, at("sendMessage", "messages", "Write to the other side", "From the payment until some time after the end."), a.sendMessage)
	register(a, operation{
		id: "getMessages", method: http.MethodGet, path: "/v1/orders/{id}/messages", access: accessUser, tag: "orders",
		errors: []int{http.StatusBadRequest, notFound}, summary: "Messages about an order", about: "The oldest first. Its two sides read them.",
	}, a.getMessages)
}
