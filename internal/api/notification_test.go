package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/store"
)

func TestNews(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	must(t, errOf(tr.eve.SendMessage(ctx, tr.order.ID, client.NewMessage{Body: "hello"})))
	page, err := tr.ken.Notifications(ctx, "", 0)
	must(t, err)
	eve := &client.Person{ID: tr.eveID, Name: "Eve"}
	want := []client.Notice{
		{Kind: "order.message", ItemID: tr.item.ID, ItemTitle: "Chair", OrderID: tr.order.ID, Actor: eve},
		{Kind: "order.paid", ItemID: tr.item.ID, ItemTitle: "Chair", OrderID: tr.order.ID, Actor: eve},
	}
	got := page.Items
	for i := range min(len(got), len(want)) {
		want[i].ID, want[i].CreatedAt = got[i].ID, got[i].CreatedAt
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("news:\n%s", diff)
	}
	todos, err := tr.ken.Todos(ctx)
	must(t, err)
	if len(todos) != 1 || todos[0].Kind != "ship" || todos[0].OrderID != tr.order.ID || todos[0].DeadlineAt == nil || todos[0].ID != "" {
		t.Errorf("to do: %+v", todos)
	}
	me, err := tr.ken.Me(ctx)
	if err != nil || me.Unread != 2 || me.Todo != 1 {
		t.Errorf("%+v, %v", me, err)
	}
	auth := []string{"Authorization", "Bearer " + tokenOf(tr.ken)}
	etag := tr.get("/v1/me/notifications", auth...).Header.Get("Etag")
	if res := tr.get("/v1/me/notifications", append(auth, "If-None-Match", etag)...); etag == "" || res.StatusCode != 304 {
		t.Errorf("unchanged: %q, %d", etag, res.StatusCode)
	}
	must(t, tr.ken.MarkRead(ctx, got[1].ID))
	if me, err := tr.ken.Me(ctx); err != nil || me.Unread != 1 {
		t.Errorf("%+v, %v", me, err)
	}
	var read []bool
	for n, err := range tr.ken.AllNotifications(ctx) {
		must(t, err)
		read = append(read, n.Read)
	}
	if diff := cmp.Diff([]bool{false, true}, read); diff != "" {
		t.Error(diff)
	}
	if res := tr.get("/v1/me/notifications", append(auth, "If-None-Match", etag)...); res.StatusCode != 200 {
		t.Errorf("changed: %d", res.StatusCode)
	}
	for what, c := range map[string]struct {
		err    error
		status int
	}{
		"another's":        {tr.eve.MarkRead(ctx, got[0].ID), 404},
		"no id":            {tr.ken.MarkRead(ctx, "x"), 422},
		"cursor":           {errOf(tr.ken.Notifications(ctx, "x", 0)), 400},
		"another's cursor": {errOf(tr.mal.Notifications(ctx, "x", 0)), 400},
		"nobody":           {errOf(tr.client.Todos(ctx)), 401},
	} {
		if p := problem(t, c.err); p.Status != c.status {
			t.Errorf("%s: %v, want %d", what, p, c.status)
		}
	}
	if res := tr.get("/v1/me/notifications?kind=todo&cursor=x", auth...); res.StatusCode != 400 {
		t.Errorf("a cursor of things to do: %d", res.StatusCode)
	}
	must(t, errOf(tr.ken.Ship(ctx, tr.order.ID)))
	if todos, err := tr.ken.Todos(ctx); err != nil || len(todos) != 0 {
		t.Errorf("after shipping: %+v, %v", todos, err)
	}
	if todos, err := tr.eve.Todos(ctx); err != nil || len(todos) != 1 || todos[0].Kind != "receive" {
		t.Errorf("the buyer: %+v, %v", todos, err)
	}
}

// TestMuted holds that what a person does not want to be told of is not pushed,
// and is in the app all the same.
func TestMuted(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	must(t, errOf(tr.ken.PutDevice(ctx, "phone", client.DeviceRegistration{Platform: client.APNS, Token: "aa"})))
	must(t, errOf(tr.ken.ChangeMe(ctx, client.MePatch{Muted: &[]string{store.KindOrderPaid}})))
	must(t, tr.run(store.KindOrderPaid, tr.ref()))
	if n := len(tr.gateway.sent); n != 0 {
		t.Errorf("%d notifications", n)
	}
	if n := tr.metric("furima_api_notifications_total", "kind", store.KindOrderPaid, "outcome", "muted"); n != 1 {
		t.Errorf("%v muted", n)
	}
	must(t, errOf(tr.ken.ChangeMe(ctx, client.MePatch{Muted: &[]string{store.KindItemLiked}})))
	must(t, tr.run(store.KindOrderPaid, tr.ref()))
	if n := len(tr.gateway.sent); n != 1 {
		t.Errorf("%d notifications", n)
	}
	if page, err := tr.ken.Notifications(ctx, "", 0); err != nil || len(page.Items) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}
