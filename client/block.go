package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// Block is somebody whom the caller wants to have nothing to do with.
type Block struct {
	User      Person `json:"user" doc:"Who is blocked."`
	CreatedAt Time   `json:"created_at" doc:"Since when."`
}

// BlockPage is a part of the list of those whom the caller has blocked.
type BlockPage struct {
	Items      []Block `json:"items" nullable:"false" doc:"Whom you have blocked, by id."`
	NextCursor string  `json:"next_cursor,omitempty" doc:"For the next page; missing on the last."`
}

// Block makes the caller and somebody have nothing to do with each other any
// more: neither comments on, likes or buys what the other sells, or writes to
// the other. Those who try get a Problem with Reason "blocked". To block twice
// is to block once.
func (c *Client) Block(ctx context.Context, userID string) error {
	if err := c.do(ctx, call{method: http.MethodPut, path: "/v1/me/blocks/" + segment(userID)}, nil); err != nil {
		return fmt.Errorf("block user: %w", err)
	}
	return nil
}

// Unblock takes a block back.
func (c *Client) Unblock(ctx context.Context, userID string) error {
	if err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/me/blocks/" + segment(userID)}, nil); err != nil {
		return fmt.Errorf("unblock user: %w", err)
	}
	return nil
}

// Blocks returns one page of those whom the caller has blocked.
func (c *Client) Blocks(ctx context.Context, cursor string, limit int) (BlockPage, error) {
	var out BlockPage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me/blocks", query: pageValues(cursor, limit)}, &out); err != nil {
		return BlockPage{}, fmt.Errorf("list blocks: %w", err)
	}
	return out, nil
}

// AllBlocks returns those whom the caller has blocked, page after page.
func (c *Client) AllBlocks(ctx context.Context) iter.Seq2[Block, error] {
	return pages(func(cursor string) ([]Block, string, error) {
		page, err := c.Blocks(ctx, cursor, 0)
		return page.Items, page.NextCursor, err
	}, "")
}
