package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

func TestBlocks(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	item := tr.bench.item(tr.ken, "Table", 900)
	must(t, tr.eve.Block(ctx, tr.kenID))
	must(t, tr.eve.Block(ctx, tr.kenID)) // again
	page, err := tr.eve.Blocks(ctx, "", 0)
	if err != nil || len(page.Items) != 1 || page.Items[0].User != (client.Person{ID: tr.kenID, Name: "Ken"}) || page.Items[0].CreatedAt.IsZero() || page.NextCursor != "" {
		t.Errorf("%+v, %v", page, err)
	}
	for what, err := range map[string]error{
		"like":         tr.eve.Like(ctx, item.ID),
		"comment":      errOf(tr.eve.Comment(ctx, item.ID, "hi")),
		"buy":          errOf(tr.eve.Buy(ctx, order(item, "tok_ok"))),
		"message":      errOf(tr.eve.SendMessage(ctx, tr.order.ID, client.NewMessage{Body: "hi"})),
		"message back": errOf(tr.ken.SendMessage(ctx, tr.order.ID, client.NewMessage{Body: "hi"})),
	} {
		if p := problem(t, err); p.Status != 403 || p.Reason != "blocked" || p.Code != client.Forbidden {
			t.Errorf("%s: %v", what, p)
		}
	}
	if n, err := tr.sandbox.Charges(); n != 1 || err != nil { // that of the trade
		t.Errorf("%d charges, %v", n, err)
	}
	// The order goes on.
	if _, err := tr.ken.Ship(ctx, tr.order.ID); err != nil {
		t.Error(err)
	}
	for what, c := range map[string]struct {
		err    error
		status int
	}{
		"oneself":    {tr.eve.Block(ctx, tr.eveID), 422},
		"nobody":     {tr.eve.Block(ctx, "us_0000000000001"), 404},
		"no id":      {tr.eve.Block(ctx, "ken"), 404},
		"not logged": {tr.client.Block(ctx, tr.kenID), 401},
		"cursor":     {errOf(tr.eve.Blocks(ctx, "x", 0)), 400},
	} {
		if p := problem(t, c.err); p.Status != c.status {
			t.Errorf("%s: %v", what, p)
		}
	}
	must(t, tr.eve.Unblock(ctx, tr.kenID))
	must(t, tr.eve.Unblock(ctx, tr.kenID))
	must(t, tr.eve.Like(ctx, item.ID))
	for b, err := range tr.eve.AllBlocks(ctx) {
		t.Errorf("still blocked: %v, %v", b, err)
	}
}

// TestNoNewsBetweenBlocked holds that what was on its way when a block came is
// not told.
func TestNoNewsBetweenBlocked(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ken, kenMe := b.person("Ken")
	eve, eveMe := b.person("Eve")
	_, err := ken.PutDevice(t.Context(), "phone", client.DeviceRegistration{Platform: client.APNS, Token: "aa"})
	must(t, err)
	item := b.item(ken, "Chair", 900)
	comment, err := eve.Comment(t.Context(), item.ID, "hi")
	must(t, err)
	must(t, eve.Like(t.Context(), item.ID))
	itemID, err := market.ParseItemID(item.ID)
	must(t, err)
	commentID, err := market.ParseCommentID(comment.ID)
	must(t, err)
	eveID, err := market.ParseUserID(eveMe.ID)
	must(t, err)
	told := func(want int) {
		t.Helper()
		must(t, b.run(store.KindItemLiked, store.ItemLiked{Item: itemID, User: eveID}))
		must(t, b.run(store.KindItemCommented, store.ItemCommented{Item: itemID, Comment: commentID}))
		if n := len(b.gateway.sent); n != want {
			t.Errorf("%d notifications, want %d", n, want)
		}
	}
	must(t, ken.Block(t.Context(), eveMe.ID))
	told(0)
	must(t, ken.Unblock(t.Context(), eveMe.ID))
	must(t, eve.Block(t.Context(), kenMe.ID))
	told(0)
	must(t, eve.Unblock(t.Context(), kenMe.ID))
	told(2)
}

func TestLikedItems(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	one, two := b.item(ken, "Chair", 900), b.item(ken, "Table", 900)
	must(t, eve.Like(t.Context(), two.ID))
	must(t, eve.Like(t.Context(), one.ID))
	page, err := eve.LikedItems(t.Context(), "", 1)
	must(t, err)
	rest, err := eve.LikedItems(t.Context(), page.NextCursor, 1)
	must(t, err)
	if diff := cmp.Diff([]string{"Chair", "Table"}, append(titles(page.Items), titles(rest.Items)...)); diff != "" || rest.NextCursor != "" {
		t.Error(diff)
	}
	if p := problem(t, errOf(eve.LikedItems(t.Context(), "x", 0))); p.Status != 400 {
		t.Errorf("%v", p)
	}
	if p := problem(t, errOf(b.client.LikedItems(t.Context(), "", 0))); p.Status != 401 {
		t.Errorf("%v", p)
	}
}
