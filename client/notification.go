package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// Notice is a piece of news, or a thing to do.
type Notice struct {
	ID         string  `json:"id,omitempty" doc:"Id of the news; missing of a thing to do." example:"nt_0c2tn5w8q1z4x"`
	Kind       string  `json:"kind" doc:"What has happened, as in the data of a push (item.liked, order.paid, …); or what to do: ship, receive, review."`
	ItemID     string  `json:"item_id" doc:"The item that it is about."`
	ItemTitle  string  `json:"item_title" doc:"Its title."`
	OrderID    string  `json:"order_id,omitempty" doc:"The order that it is about."`
	Actor      *Person `json:"actor,omitempty" doc:"Who did it."`
	Read       bool    `json:"read,omitempty" doc:"You have read it."`
	DeadlineAt *Time   `json:"deadline_at,omitempty" doc:"Until when it is to be done."`
	CreatedAt  Time    `json:"created_at" doc:"Since when."`
}

// NoticePage is a part of what a person is told.
type NoticePage struct {
	Items      []Notice `json:"items" nullable:"false" doc:"News, the newest first; or things to do, the most urgent first."`
	NextCursor string   `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// NewReadMark says how far the news has been read.
type NewReadMark struct {
	UpTo string `json:"up_to" maxLength:"32" doc:"Id of the newest notification that was read." example:"nt_0c2tn5w8q1z4x"`
}

// Notifications returns one page of the caller's news, the newest first.
func (c *Client) Notifications(ctx context.Context, cursor string, limit int) (NoticePage, error) {
	var out NoticePage
	k := call{method: http.MethodGet, path: "/v1/me/notifications", query: pageValues(cursor, limit)}
	if err := c.do(ctx, k, &out); err != nil {
		return NoticePage{}, fmt.Errorf("list notifications: %w", err)
	}
	return out, nil
}

// AllNotifications returns the caller's news, page after page.
func (c *Client) AllNotifications(ctx context.Context) iter.Seq2[Notice, error] {
	return pages(func(cursor string) ([]Notice, string, error) {
		page, err := c.Notifications(ctx, cursor, 0)
		return page.Items, page.NextCursor, err
	}, "")
}

// Todos returns what waits for the caller, the most urgent first.
func (c *Client) Todos(ctx context.Context) ([]Notice, error) {
	q := pageValues("", 0)
	q.Set("kind", "todo")
	var out NoticePage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me/notifications", query: q}, &out); err != nil {
		return nil, fmt.Errorf("list todos: %w", err)
	}
	return out.Items, nil
}

// MarkRead says that the caller has read the news up to a notification.
func (c *Client) MarkRead(ctx context.Context, notificationID string) error {
	if err := c.do(ctx, call{method: http.MethodPut, path: "/v1/me/notifications/read", json: NewReadMark{notificationID}}, nil); err != nil {
		return fmt.Errorf("mark notifications read: %w", err)
	}
	return nil
}
