package api

import (
	"context"
	"net/http"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

type getNotificationsIn struct {
	Kind        string `query:"kind" enum:"news,todo" default:"news" doc:"What has happened, or what there is to do. That is at most 100 things, on one page."`
	Limit       int    `query:"limit" minimum:"1" maximum:"100" default:"30" doc:"Rows of a page."`
	Cursor      string `query:"cursor" maxLength:"128" doc:"next_cursor of the page before."`
	IfNoneMatch string `header:"If-None-Match" doc:"ETag of the answer that the client has."`
}

type notificationPageOut struct {
	Status       int
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	ETag         string `header:"ETag" doc:"Names these bytes."`
	Body         client.NoticePage
}

func (a *API) getNotifications(ctx context.Context, in *getNotificationsIn) (*notificationPageOut, error) {
	user := callerOf(ctx).user
	load := a.news
	if in.Kind == "todo" {
		load = a.todos
	}
	page, err := load(ctx, user, pageIn{in.Limit, in.Cursor})
	if err != nil {
		return nil, err
	}
	out := &notificationPageOut{Status: http.StatusOK, CacheControl: noStore, Body: page}
	if out.ETag, err = etagOf("", page); err == nil && in.IfNoneMatch == out.ETag {
		out.Status = http.StatusNotModified
	}
	return out, err
}

func (a *API) news(ctx context.Context, user market.UserID, in pageIn) (client.NoticePage, error) {
	p, err := a.store.Profile(ctx, user)
	if err != nil {
		return client.NoticePage{}, err
	}
	page, err := a.store.Notifications(ctx, user, in.Cursor, in.Limit)
	if err != nil {
		return client.NoticePage{}, err
	}
	out := client.NoticePage{Items: make([]client.Notice, len(page.Notifications)), NextCursor: page.Next}
	for i, n := range page.Notifications {
		out.Items[i] = client.Notice{
			ID: n.ID.String(), Kind: string(n.Kind), ItemID: n.Item.String(), ItemTitle: n.ItemTitle, Read: n.ID <= p.ReadUpTo, CreatedAt: client.TimeOf(n.CreatedAt),
		}
		if n.Order != 0 {
			out.Items[i].OrderID = n.Order.String()
		}
		if n.Actor != 0 {
			out.Items[i].Actor = &client.Person{ID: n.Actor.String(), Name: n.ActorName}
		}
	}
	return out, nil
}

// todos follows from the states of orders alone, so that it is never out of date.
func (a *API) todos(ctx context.Context, user market.UserID, in pageIn) (client.NoticePage, error) {
	if in.Cursor != "" {
		return client.NoticePage{}, refuse(kindCursor, "things to do are on one page")
	}
	orders, err := a.store.Todos(ctx, user)
	if err != nil {
		return client.NoticePage{}, err
	}
	out := client.NoticePage{Items: []client.Notice{}}
	for _, o := range orders {
		role, err := o.RoleOf(user)
		if err != nil {
			return client.NoticePage{}, err
		}
		out.Items = append(out.Items, client.Notice{
			Kind: string(o.Todo(role)), ItemID: o.Item.String(), ItemTitle: o.ItemTitle, OrderID: o.ID.String(),
			DeadlineAt: timeOut(o.DeadlineAt), CreatedAt: client.TimeOf(o.UpdatedAt),
		})
	}
	return out, nil
}

type readNotificationsIn struct {
	Body client.NewReadMark
}

func (a *API) readNotifications(ctx context.Context, in *readNotificationsIn) (*struct{}, error) {
	id, err := market.ParseNotificationID(in.Body.UpTo)
	if err != nil {
		return nil, invalidField("/up_to", "is not the id of a notification")
	}
	return nil, a.store.ReadNotifications(ctx, callerOf(ctx).user, id)
}

// notificationRoutes are the operations on what a person is told.
func (a *API) notificationRoutes(small int64) {
	register(a, operation{
		id: "getNotifications", method: http.MethodGet, path: "/v1/me/notifications", access: accessUser, tag: "accounts", etag: true,
		errors: []int{http.StatusBadRequest}, summary: "What is new, and what there is to do",
		about: "News, the newest first, of the last 90 days; or with kind=todo the orders that wait for you, the most urgent first.",
	}, a.getNotifications)
	register(a, operation{
		id: "readNotifications", method: http.MethodPut, path: "/v1/me/notifications/read", access: accessUser, tag: "accounts", maxBody: small,
		errors: []int{http.StatusNotFound}, summary: "Say how far the news is read", about: "To have read less than before does nothing.",
	}, a.readNotifications)
}
