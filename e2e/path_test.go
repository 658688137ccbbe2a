package e2e

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/furima/furima/client"
)

// TestWholePath goes from a listing with a photo to the notification on the
// seller's phone, with every role in a process of its own: list, like, comment,
// buy, and each is seen at the stand-in for Apple. Then the phone removes the
// app, and the market forgets it.
func TestWholePath(t *testing.T) {
	apple, dir, pushAddr := startSandbox(t), t.TempDir(), freeAddr(t)
	apple.gateway(dir, "sqlite:"+filepath.Join(dir, "push.db"), pushAddr)
	m := startMarket(t, dir, "sqlite:"+filepath.Join(dir, "market.db"), "http://"+pushAddr)
	ctx := t.Context()

	seller, buyer := m.person(t, "seller"), m.person(t, "buyer")
	phone := deviceToken(1)
	if _, err := seller.PutDevice(ctx, "my-phone", client.DeviceRegistration{Platform: client.APNS, Token: phone}); err != nil {
		t.Fatal(err)
	}
	uploaded, err := seller.AddPhoto(ctx, bytes.NewReader(photo(t)))
	if err != nil {
		t.Fatal(err)
	}
	item, err := seller.ListItem(ctx, client.NewItem{
		Title: "Denim jacket, size M", Price: 3200, CategoryID: m.leaf(t), Condition: m.condition(t), PhotoIDs: []string{uploaded.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	small, err := m.client().PhotoFile(ctx, item.Photos[0].URLs.Small)
	if err != nil || !bytes.HasPrefix(small, []byte("\xff\xd8\xff")) {
		t.Errorf("the small photo is no JPEG (%v)", err)
	}
	if page, err := m.client().Items(ctx, client.ItemQuery{}); err != nil || len(page.Items) != 1 || page.Items[0].ID != item.ID {
		t.Errorf("the newest items are %+v (%v), want the listing", page.Items, err)
	}

	received := func(n int) []delivery {
		t.Helper()
		var all []delivery
		poll(t, "the notification on the seller's phone", func() bool { all = apple.deliveries(); return len(all) >= n })
		return all
	}
	if err := buyer.Like(ctx, item.ID); err != nil {
		t.Fatal(err)
	}
	received(1)
	if _, err := buyer.Comment(ctx, item.ID, "Is it still available?"); err != nil {
		t.Fatal(err)
	}
	received(2)
	order, err := buyer.Buy(ctx, client.NewOrder{ItemID: item.ID, ExpectedPrice: 3200, PaymentToken: "tok_ok"})
	if err != nil {
		t.Fatal(err)
	}
	if order.State != client.AwaitingShipment {
		t.Errorf("the order is %s, want %s", order.State, client.AwaitingShipment)
	}
	for _, d := range received(3) {
		if d.Token != phone || !strings.Contains(d.Title+d.Body, "Denim jacket") {
			t.Errorf("delivered %+v, want the seller's phone and the item's title", d)
		}
	}

	apple.post("/sandbox/uninstall", `{"token":"`+phone+`"}`)
	other := m.item(t, seller, "Another thing", 500)
	if err := buyer.Like(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	gateway := client.NewPush(client.PushOptions{URL: "http://" + pushAddr})
	poll(t, "the dead token on the feedback list", func() bool {
		page, err := gateway.Feedback(ctx, "", 0)
		return err == nil && len(page.Tokens) == 1 && page.Tokens[0].Token == phone
	})
	// The market hears of it and forgets the phone.
	m.await("the market forgetting the phone", func() bool { return m.logged("devices forgotten") != nil })
}
