package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Comment is a remark on an item, for everyone to read.
type Comment struct {
	ID        string `json:"id" doc:"Id of the comment." example:"cm_0c2tn5w8q1z4x"`
	Author    Person `json:"author" doc:"Who wrote it."`
	Body      string `json:"body" doc:"What it says; empty if it is deleted."`
	Deleted   bool   `json:"deleted,omitempty" doc:"Its author or the seller has taken it away."`
	CreatedAt Time   `json:"created_at" doc:"When it was written."`
}

// NewComment is a remark to make.
type NewComment struct {
	Body string `json:"body" minLength:"1" maxLength:"1000" doc:"What to say." example:"Is it still available?"`
}

// CommentPage is a part of an item's comments.
type CommentPage struct {
	Items      []Comment `json:"items" nullable:"false" doc:"The comments."`
	NextCursor string    `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// Comments returns one page of an item's comments, the oldest first. A limit of
// 0 leaves the size of the page to the server.
func (c *Client) Comments(ctx context.Context, itemID, cursor string, limit int) (CommentPage, error) {
	var out CommentPage
	k := call{method: http.MethodGet, path: "/v1/items/" + segment(itemID) + "/comments", query: pageValues(cursor, limit)}
	if err := c.do(ctx, k, &out); err != nil {
		return CommentPage{}, fmt.Errorf("list comments: %w", err)
	}
	return out, nil
}

func pageValues(cursor string, limit int) url.Values {
	q := url.Values{}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

// AllComments returns an item's comments, page after page.
func (c *Client) AllComments(ctx context.Context, itemID string) iter.Seq2[Comment, error] {
	return pages(func(cursor string) ([]Comment, string, error) {
		page, err := c.Comments(ctx, itemID, cursor, 0)
		return page.Items, page.NextCursor, err
	}, "")
}

// Comment writes a comment on an item.
func (c *Client) Comment(ctx context.Context, itemID, body string) (Comment, error) {
	var out Comment
	k := call{method: http.MethodPost, path: "/v1/items/" + segment(itemID) + "/comments", json: NewComment{Body: body}}
	if err := c.do(ctx, k, &out); err != nil {
		return Comment{}, fmt.Errorf("comment on item: %w", err)
	}
	return out, nil
}

// DeleteComment takes a comment of the caller's, or one on an item that the
// caller sells, away. That it was there stays to be seen.
func (c *Client) DeleteComment(ctx context.Context, itemID, commentID string) error {
	k := call{method: http.MethodDelete, path: "/v1/items/" + segment(itemID) + "/comments/" + segment(commentID)}
	if err := c.do(ctx, k, nil); err != nil {
		return fmt.Errorf("delete comment: %w", err)
	}
	return nil
}
