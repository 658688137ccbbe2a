package api

import (
	"context"
	"net/http"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

type blockIn struct {
	ID string `path:"user_id" doc:"Id of the user."`
}

func (a *API) blockUser(ctx context.Context, in *blockIn) (*struct{}, error) {
	id, err := market.ParseUserID(in.ID)
	if err != nil {
		return nil, errNoUser
	}
	return nil, a.store.BlockUser(ctx, callerOf(ctx).user, id)
}

func (a *API) unblockUser(ctx context.Context, in *blockIn) (*struct{}, error) {
	id, err := market.ParseUserID(in.ID)
	if err != nil {
		return nil, errNoUser
	}
	return nil, a.store.UnblockUser(ctx, callerOf(ctx).user, id)
}

type pageIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"30" doc:"Rows of a page."`
	Cursor string `query:"cursor" maxLength:"128" doc:"next_cursor of the page before."`
}

type blockPageOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.BlockPage
}

func (a *API) getBlocks(ctx context.Context, in *pageIn) (*blockPageOut, error) {
	page, err := a.store.Blocks(ctx, callerOf(ctx).user, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := client.BlockPage{Items: make([]client.Block, len(page.Blocks)), NextCursor: page.Next}
	for i, b := range page.Blocks {
		out.Items[i] = client.Block{User: client.Person{ID: b.Blocked.String(), Name: b.Name}, CreatedAt: client.TimeOf(b.CreatedAt)}
	}
	return &blockPageOut{CacheControl: noStore, Body: out}, nil
}

func (a *API) getLikes(ctx context.Context, in *pageIn) (*itemPageOut, error) {
	page, err := a.store.LikedItems(ctx, callerOf(ctx).user, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return &itemPageOut{CacheControl: noStore, Body: pageOut(page)}, nil
}

// blockRoutes are the operations of those who want nothing to do with somebody.
func (a *API) blockRoutes() {
	register(a, operation{
		id: "getBlocks", method: http.MethodGet, path: "/v1/me/blocks", access: accessUser, tag: "people", errors: []int{http.StatusBadRequest},
		summary: "Whom I have blocked", about: "By id.",
	}, a.getBlocks)
	register(a, operation{
		id: "blockUser", method: http.MethodPut, path: "/v1/me/blocks/{user_id}", access: accessUser, tag: "people",
		errors:  []int{http.StatusNotFound, http.StatusConflict},
		summary: "Block a person",
		about: "From then on neither of you comments on, likes or buys what the other sells, or writes to the other, whoever has blocked; " +
			"who tries is refused with the reason blocked. To block twice is to block once.",
	}, a.blockUser)
	register(a, operation{
		id: "unblockUser", method: http.MethodDelete, path: "/v1/me/blocks/{user_id}", access: accessUser, tag: "people",
		errors: []int{http.StatusNotFound}, summary: "Take a block back", about: "There need not be one.",
	}, a.unblockUser)
}
