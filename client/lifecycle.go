package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// Note says why.
type Note struct {
	Note string `json:"note,omitempty" maxLength:"1000" doc:"Why; the other side reads it."`
}

// Label is what a seller shows at the carrier's counter. Neither side learns
// the other's address from it.
type Label struct {
	Carrier   string `json:"carrier" doc:"Who carries it." example:"sandbox"`
	Tracking  string `json:"tracking" doc:"Number to ask the carrier for."`
	Code      string `json:"code" doc:"Content of the QR code."`
	QRPNG     []byte `json:"qr_png" doc:"The QR code as a PNG picture, in base64."`
	CreatedAt Time   `json:"created_at" doc:"When it was made."`
}

// Rating is what one side of an order thinks of the other.
type Rating string

// The ratings.
const (
	Good Rating = "good"
	Bad  Rating = "bad"
)

// NewReview is what somebody says about the other side of an order.
type NewReview struct {
	Rating Rating `json:"rating" enum:"good,bad" doc:"Good or bad."`
	Body   string `json:"body,omitempty" maxLength:"1000" doc:"In words."`
}

// Review is what somebody has said about a person, for everyone to read.
type Review struct {
	ID        string `json:"id" doc:"Id of the review." example:"rv_0c2tn5w8q1z4x"`
	Author    Person `json:"author" doc:"Who wrote it."`
	Role      Role   `json:"role" enum:"buyer,seller" doc:"The author's side of the order."`
	Rating    Rating `json:"rating" enum:"good,bad" doc:"Good or bad."`
	Body      string `json:"body,omitempty" doc:"In words."`
	CreatedAt Time   `json:"created_at" doc:"When it was written."`
}

// ReviewPage is a part of the reviews about a person.
type ReviewPage struct {
	Items      []Review `json:"items" nullable:"false" doc:"The reviews, the newest first."`
	NextCursor string   `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// NewMessage is something to write to the other side of an order.
type NewMessage struct {
	Body string `json:"body" minLength:"1" maxLength:"1000" doc:"What to say." example:"I will send it tomorrow."`
}

// Message is what one side of an order has written to the other.
type Message struct {
	ID        string `json:"id" doc:"Id of the message." example:"ms_0c2tn5w8q1z4x"`
	AuthorID  string `json:"author_id" doc:"Who wrote it." example:"us_0c2tn5w8q1z4x"`
	Body      string `json:"body" doc:"What it says."`
	CreatedAt Time   `json:"created_at" doc:"When it was written."`
}

// MessagePage is a part of the messages about an order.
type MessagePage struct {
	Items      []Message `json:"items" nullable:"false" doc:"The messages, the oldest first."`
	NextCursor string    `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

func (c *Client) step(ctx context.Context, id, what string, body any) (Order, error) {
	var out Order
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/orders/" + segment(id) + "/" + what, json: body}, &out); err != nil {
		return Order{}, fmt.Errorf("%s order: %w", what, err)
	}
	return out, nil
}

// MakeLabel has the carrier make the label of an order that the caller sells.
// Asking again gives the same one.
func (c *Client) MakeLabel(ctx context.Context, orderID string) (Label, error) {
	var out Label
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/orders/" + segment(orderID) + "/shipment"}, &out); err != nil {
		return Label{}, fmt.Errorf("make label: %w", err)
	}
	return out, nil
}

// Ship says that the caller has sent what was bought.
func (c *Client) Ship(ctx context.Context, orderID string) (Order, error) {
	return c.step(ctx, orderID, "ship", nil)
}

// CancelOrder gives up an order that was not sent; the buyer's money goes back.
func (c *Client) CancelOrder(ctx context.Context, orderID, note string) (Order, error) {
	return c.step(ctx, orderID, "cancel", Note{note})
}

// ReportProblem says what the buyer finds wrong. The seller's money stays held
// until it is decided.
func (c *Client) ReportProblem(ctx context.Context, orderID, note string) (Order, error) {
	return c.step(ctx, orderID, "problem", Note{note})
}

// ReviewOrder says what the caller thinks of the other side. The buyer's is the
// receipt as well, the seller's completes the order.
func (c *Client) ReviewOrder(ctx context.Context, orderID string, r NewReview) (Order, error) {
	return c.step(ctx, orderID, "reviews", r)
}

// Reviews returns one page of the reviews about a person, the newest first.
func (c *Client) Reviews(ctx context.Context, userID, cursor string, limit int) (ReviewPage, error) {
	var out ReviewPage
	k := call{method: http.MethodGet, path: "/v1/users/" + segment(userID) + "/reviews", query: pageValues(cursor, limit)}
	if err := c.do(ctx, k, &out); err != nil {
		return ReviewPage{}, fmt.Errorf("list reviews: %w", err)
	}
	return out, nil
}

// SendMessage writes to the other side of an order.
func (c *Client) SendMessage(ctx context.Context, orderID string, m NewMessage) (Message, error) {
	var out Message
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/orders/" + segment(orderID) + "/messages", json: m}, &out); err != nil {
		return Message{}, fmt.Errorf("send message: %w", err)
	}
	return out, nil
}

// Messages returns one page of the messages about an order, the oldest first.
func (c *Client) Messages(ctx context.Context, orderID, cursor string, limit int) (MessagePage, error) {
	var out MessagePage
	k := call{method: http.MethodGet, path: "/v1/orders/" + segment(orderID) + "/messages", query: pageValues(cursor, limit)}
	if err := c.do(ctx, k, &out); err != nil {
		return MessagePage{}, fmt.Errorf("list messages: %w", err)
	}
	return out, nil
}

// AllMessages returns the messages about an order, page after page.
func (c *Client) AllMessages(ctx context.Context, orderID string) iter.Seq2[Message, error] {
	return pages(func(cursor string) ([]Message, string, error) {
		page, err := c.Messages(ctx, orderID, cursor, 0)
		return page.Items, page.NextCursor, err
	}, "")
}
