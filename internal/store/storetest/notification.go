package storetest

import (
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// news returns what a person was told, newest first, as "kind by actor".
func (w *World) news(user market.UserID) (all []string) {
	w.Helper()
	page, err := w.Store.Notifications(w.Ctx, user, "", 0)
	w.ok(err)
	for _, n := range page.Notifications {
		if n.User != user || n.ItemTitle == "" || n.CreatedAt.IsZero() {
			w.Errorf("%+v", n)
		}
		all = append(all, string(n.Kind)+" by "+n.ActorName)
	}
	return all
}

func testNotifications(w *World) {
	hana, taro := w.User(), w.User() // Person 1 and Person 2
	item := w.Item(hana, tables, 3000)
	_, _, err := w.Store.LikeItem(w.Ctx, item.ID, taro)
	w.ok(err)
	_, _, err = w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: taro, Body: "hi"})
	w.ok(err)
	_, _, err = w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: hana, Body: "hi"}) // one's own
	w.ok(err)
	o := w.bought(hana, taro)
	w.Clock.Add(time.Second)
	_, err = w.Store.SendMessage(w.Ctx, o.ID, hana, "thanks")
	w.ok(err)
	w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, o.ID, hana))
	w.Clock.Add(time.Second)
	w.review(o, taro, market.RatingGood)
	w.review(o, hana, market.RatingGood)
	if diff := gocmp.Diff([]string{"order.received by ", "order.paid by Person 2", "item.commented by Person 2", "item.liked by Person 2"}, w.news(hana)); diff != "" {
		w.Errorf("the seller (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]string{"order.completed by ", "order.shipped by ", "order.message by Person 1"}, w.news(taro)); diff != "" {
		w.Errorf("the buyer (-want +got):\n%s", diff)
	}
	// What is refused is not told.
	_, err = w.Store.SendMessage(w.Ctx, o.ID, hana, " ")
	w.refused("an empty message", err, market.CodeInvalid, market.ReasonRequired)
	if n := len(w.news(taro)); n != 3 {
		w.Errorf("%d pieces of news", n)
	}

	waiting := func(user market.UserID, unread, todo int) {
		w.Helper()
		u, t, err := w.Store.Waiting(w.Ctx, must[market.Profile](w)(w.Store.Profile(w.Ctx, user)))
		if u != unread || t != todo || err != nil {
			w.Errorf("%d unread, %d to do, %v; want %d and %d", u, t, err, unread, todo)
		}
	}
	waiting(hana, 4, 0)
	page, err := w.Store.Notifications(w.Ctx, hana, "", 3)
	w.ok(err)
	rest, err := w.Store.Notifications(w.Ctx, hana, page.Next, 3)
	w.ok(err)
	if len(page.Notifications) != 3 || len(rest.Notifications) != 1 || page.Next == "" || rest.Next != "" {
		w.Errorf("pages of %d and %d", len(page.Notifications), len(rest.Notifications))
	}
	_, err = w.Store.Notifications(w.Ctx, taro, page.Next, 3)
	w.refused("another's cursor", err, market.CodeInvalid, market.ReasonInvalidCursor)
	w.ok(w.Store.ReadNotifications(w.Ctx, hana, page.Notifications[1].ID))
	waiting(hana, 1, 0)
	w.ok(w.Store.ReadNotifications(w.Ctx, hana, rest.Notifications[0].ID)) // less than before
	waiting(hana, 1, 0)
	w.refused("another's", w.Store.ReadNotifications(w.Ctx, taro, rest.Notifications[0].ID), market.CodeNotFound, "")

	w.Clock.Add(91 * 24 * time.Hour)
	_, _, err = w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: taro, Body: "hi"})
	w.ok(err)
	if n, more, err := w.Store.ForgetNotifications(w.Ctx); n != 7 || more || err != nil {
		w.Errorf("forgotten: %d, %v, %v", n, more, err)
	}
	if got := w.news(hana); len(got) != 1 {
		w.Errorf("left: %q", got)
	}
	for _, k := range market.NoticeKinds() {
		if !slices.Contains(store.Kinds(), string(k)) {
			w.Errorf("no job tells of %s", k)
		}
	}
}

func testTodos(w *World) {
	hana, taro := w.User(), w.User()
	todos := func(user market.UserID, want ...string) {
		w.Helper()
		var got []string
		for _, o := range must[[]market.Order](w)(w.Store.Todos(w.Ctx, user)) {
			role, err := o.RoleOf(user)
			w.ok(err)
			got = append(got, string(o.Todo(role)))
		}
		_, n, err := w.Store.Waiting(w.Ctx, must[market.Profile](w)(w.Store.Profile(w.Ctx, user)))
		if !slices.Equal(got, want) || n != len(want) || err != nil {
			w.Errorf("%q, %d, %v; want %q", got, n, err, want)
		}
	}
	first := w.bought(hana, taro)
	w.Clock.Add(time.Hour)
	second := w.bought(hana, taro)
	back := w.bought(taro, hana)
	todos(hana, "ship", "ship")
	todos(taro, "ship")
	w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, first.ID, hana))
	todos(hana, "ship")
	todos(taro, "ship", "receive") // a week to send, nine days to receive
	w.review(first, taro, market.RatingGood)
	todos(hana, "review", "ship")
	w.review(first, hana, market.RatingGood)
	_, _, err := w.Store.CancelOrder(w.Ctx, second.ID, hana, "")
	w.ok(err)
	_, _, err = w.Store.CancelOrder(w.Ctx, back.ID, taro, "")
	w.ok(err)
	todos(hana)
	todos(taro)
}
