package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

type getBalanceIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"30" doc:"Rows of a page."`
	Cursor string `query:"cursor" maxLength:"128" doc:"next_cursor of the page before."`
}

type balanceOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Balance
}

func (a *API) getBalance(ctx context.Context, in *getBalanceIn) (*balanceOut, error) {
	user := callerOf(ctx).user
	entries, next, err := a.store.BalanceEntries(ctx, user, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	b, err := a.store.Balance(ctx, user)
	if err != nil {
		return nil, err
	}
	out := client.Balance{
		Available: int64(b.Available), Pending: int64(b.Pending), OnTheWay: int64(b.OnTheWay), Currency: a.store.Rules().Currency,
		Items: make([]client.BalanceEntry, len(entries)), NextCursor: next,
	}
	for i, e := range entries {
		out.Items[i] = client.BalanceEntry{Kind: string(e.Kind), For: postingSubject(e.Key), Amount: int64(e.Amount), At: client.TimeOf(e.At)}
	}
	return &balanceOut{CacheControl: noStore, Body: out}, nil
}

// postingSubject is the id in a posting's key, which is noun:id:kind.
func postingSubject(key string) string {
	_, rest, _ := strings.Cut(key, ":")
	id, _, _ := strings.Cut(rest, ":")
	return id
}

func payoutOut(p market.Payout) client.Payout {
	return client.Payout{
		ID: p.ID.String(), Amount: int64(p.Amount), Currency: p.Currency, State: client.PayoutState(p.State), Failure: string(p.Failure),
		CreatedAt: client.TimeOf(p.CreatedAt), UpdatedAt: client.TimeOf(p.UpdatedAt),
	}
}

type payoutIn struct {
	Body client.NewPayout
}

type payoutOutput struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Payout
}

func (a *API) requestPayout(ctx context.Context, in *payoutIn) (*payoutOutput, error) {
	p, err := a.store.RequestPayout(ctx, callerOf(ctx).user, market.Money(in.Body.Amount))
	if err != nil {
		return nil, err
	}
	return &payoutOutput{CacheControl: noStore, Body: payoutOut(p)}, nil
}

type getPayoutIn struct {
	ID string `path:"id" doc:"Id of the payout."`
}

var errNoPayout = market.Errorf(market.CodeNotFound, "", "there is no such payout")

func (a *API) getPayout(ctx context.Context, in *getPayoutIn) (*payoutOutput, error) {
	id, err := market.ParsePayoutID(in.ID)
	if err != nil {
		return nil, errNoPayout
	}
	p, err := a.store.Payout(ctx, id)
	if err != nil {
		return nil, err
	}
	if p.User != callerOf(ctx).user {
		return nil, errNoPayout
	}
	return &payoutOutput{CacheControl: noStore, Body: payoutOut(p)}, nil
}

// balanceRoutes are the operations on a seller's money.
func (a *API) balanceRoutes(small int64) {
	register(a, operation{
		id: "getBalance", method: http.MethodGet, path: "/v1/me/balance", access: accessUser, tag: "balance", errors: []int{http.StatusBadRequest},
		summary: "My balance", about: "What you have earned, what waits, and what came and went, the newest first.",
	}, a.getBalance)
	register(a, operation{
		id: "requestPayout", method: http.MethodPost, path: "/v1/me/payouts", access: accessUser, tag: "balance", maxBody: small,
		status: http.StatusCreated, errors: []int{http.StatusConflict},
		summary: "Have money paid out", about: "It leaves the balance at once, and comes back if the provider cannot pay.",
	}, a.requestPayout)
	register(a, operation{
		id: "getPayout", method: http.MethodGet, path: "/v1/me/payouts/{id}", access: accessUser, tag: "balance", errors: []int{http.StatusNotFound},
		summary: "Payout", about: "Where it stands.",
	}, a.getPayout)
}
