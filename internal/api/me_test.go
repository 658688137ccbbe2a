package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

func ptr[T any](v T) *T { return &v }

func TestChangeMe(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ken, me := b.person("Ken")
	ctx := t.Context()
	must(t, errOf(b.client.User(ctx, me.ID))) // in the cache
	auth := []string{"Authorization", "Bearer " + tokenOf(ken)}
	res := b.get("/v1/me", auth...)
	etag := res.Header.Get("Etag")
	if body(t, res); res.StatusCode != 200 || !strings.HasPrefix(etag, `"1-`) || res.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res := b.get("/v1/me", append(auth, "If-None-Match", etag)...); res.StatusCode != 304 || body(t, res) != "" {
		t.Errorf("unchanged: %d", res.StatusCode)
	}
	address := client.Address{Name: "Ken", PostalCode: "100-0001", City: "Tokyo", Street: "1-1"}
	got, err := ken.ChangeMe(ctx, client.MePatch{
		Name: ptr("Kenji"), Locale: ptr("ja"), Bio: ptr("I sell chairs."), Address: &address, Muted: &[]string{"order.paid", "item.liked"}, IfVersion: 1,
	})
	must(t, err)
	want := me
	want.Name, want.Locale, want.Bio, want.Address, want.Muted, want.Version = "Kenji", "ja", "I sell chairs.", &address, []string{"item.liked", "order.paid"}, 2
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
	if again, err := ken.Me(ctx); err != nil || !cmp.Equal(again, got) {
		t.Errorf("read: %+v, %v", again, err)
	}
	if res := b.get("/v1/me", append(auth, "If-None-Match", etag)...); res.StatusCode != 200 {
		t.Errorf("changed: %d", res.StatusCode)
	}
	if u, err := b.client.User(ctx, me.ID); err != nil || u.Name != "Kenji" || u.Bio != "I sell chairs." {
		t.Errorf("the public face: %+v, %v", u, err)
	}
	// The address is nobody else's business.
	if text := body(t, b.get("/v1/users/"+me.ID)); strings.Contains(text, "100-0001") {
		t.Errorf("the address is public: %s", text)
	}
	if p := problem(t, errOf(ken.ChangeMe(ctx, client.MePatch{Name: ptr("x"), IfVersion: 1}))); p.Status != 412 || p.Reason != "version_mismatch" {
		t.Errorf("an old version: %v", p)
	}
	res = b.do(http.MethodPatch, "/v1/me", `{"remove_address":true}`, append(auth, "Content-Type", "application/json", "If-Match", `"2-abcdef"`)...)
	if text := body(t, res); res.StatusCode != 200 || strings.Contains(text, "address") {
		t.Errorf("by the ETag: %d %s", res.StatusCode, text)
	}
	for name, c := range map[string]struct {
		patch   client.MePatch
		pointer string
	}{
		"event":         {client.MePatch{Muted: &[]string{"order.eaten"}}, "/muted"},
		"blank name":    {client.MePatch{Name: ptr(" ")}, "/name"},
		"half address":  {client.MePatch{Address: &client.Address{Name: "Ken", PostalCode: "1", City: "Tokyo"}}, "/address/street"},
		"both":          {client.MePatch{Address: &address, RemoveAddress: true}, "/remove_address"},
		"locale":        {client.MePatch{Locale: ptr("xx")}, "/locale"},
		"bio too long":  {client.MePatch{Bio: ptr(strings.Repeat("x", 1001))}, "/bio"},
		"too many mute": {client.MePatch{Muted: ptr(make([]string, 33))}, "/muted"},
	} {
		if p := problem(t, errOf(ken.ChangeMe(ctx, c.patch))); p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestChangePassword(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ctx := t.Context()
	cred := client.Credentials{Email: "hana@example.com", Password: "a long enough secret"}
	one, err := b.client.Register(ctx, client.Registration{Email: cred.Email, Password: cred.Password, Name: "Hana"})
	must(t, err)
	two, err := b.client.LogIn(ctx, cred)
	must(t, err)
	hana, other := b.client.WithToken(one.Token), b.client.WithToken(two.Token)
	must(t, errOf(other.Me(ctx))) // remembered
	if p := problem(t, hana.ChangePassword(ctx, client.NewPassword{Current: "not the password", New: "another long secret"})); p.Status != 403 || p.Reason != "wrong_password" {
		t.Errorf("a wrong one: %v", p)
	}
	if p := problem(t, hana.ChangePassword(ctx, client.NewPassword{Current: cred.Password, New: "password1234"})); p.Status != 422 || p.Errors[0].Pointer != "/new_password" {
		t.Errorf("a bad one: %v", p)
	}
	must(t, hana.ChangePassword(ctx, client.NewPassword{Current: cred.Password, New: "another long secret"}))
	must(t, errOf(hana.Me(ctx)))
	if p := problem(t, errOf(other.Me(ctx))); p.Status != 401 {
		t.Errorf("the other session: %v", p)
	}
	if p := problem(t, errOf(b.client.LogIn(ctx, cred))); p.Status != 401 {
		t.Errorf("the old password: %v", p)
	}
	must(t, errOf(b.client.LogIn(ctx, client.Credentials{Email: cred.Email, Password: "another long secret"})))
}

func TestSuspended(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ctx := t.Context()
	cred := client.Credentials{Email: "hana@example.com", Password: "a long enough secret"}
	s, err := b.client.Register(ctx, client.Registration{Email: cred.Email, Password: cred.Password, Name: "Hana"})
	must(t, err)
	id, err := market.ParseUserID(s.User.ID)
	must(t, err)
	_, err = b.store.SuspendUser(ctx, id)
	must(t, err)
	for what, err := range map[string]error{
		"a session": errOf(b.client.WithToken(s.Token).Me(ctx)),
		"a log-in":  errOf(b.client.LogIn(ctx, cred)),
	} {
		if p := problem(t, err); p.Status != 403 || p.Reason != "suspended" {
			t.Errorf("%s: %v", what, p)
		}
	}
	cred.Password = "a wrong password"
	if p := problem(t, errOf(b.client.LogIn(ctx, cred))); p.Status != 401 {
		t.Errorf("a wrong password tells that the account is suspended: %v", p)
	}
	_, err = b.store.RestoreUser(ctx, id)
	must(t, err)
	must(t, errOf(b.client.WithToken(s.Token).Me(ctx)))
}

func TestDeleteAccount(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ctx := t.Context()
	cred := client.Credentials{Email: "hana@example.com", Password: "a long enough secret"}
	s, err := b.client.Register(ctx, client.Registration{Email: cred.Email, Password: cred.Password, Name: "Hana"})
	must(t, err)
	hana := b.client.WithToken(s.Token)
	ken, _ := b.person("Ken")
	item := b.item(hana, "Chair", 900)
	must(t, errOf(b.client.Item(ctx, item.ID))) // in the cache
	if p := problem(t, hana.DeleteAccount(ctx, "a wrong password")); p.Status != 403 || p.Reason != "wrong_password" {
		t.Errorf("a wrong password: %v", p)
	}
	bought, err := ken.Buy(ctx, order(b.item(hana, "Table", 900), "tok_ok"))
	must(t, err)
	if p := problem(t, hana.DeleteAccount(ctx, cred.Password)); p.Status != 409 || p.Reason != "open_orders" {
		t.Errorf("an open order: %v", p)
	}
	must(t, errOf(hana.CancelOrder(ctx, bought.ID, "")))
	id, err := market.ParseOrderID(bought.ID)
	must(t, err)
	_, _, err = b.store.RefundedOrder(ctx, id)
	must(t, err)
	must(t, hana.DeleteAccount(ctx, cred.Password))
	for what, c := range map[string]struct {
		err    error
		status int
	}{
		"the session": {errOf(hana.Me(ctx)), 401},
		"a log-in":    {errOf(b.client.LogIn(ctx, cred)), 401},
		"the item":    {errOf(b.client.Item(ctx, item.ID)), 404},
	} {
		if p := problem(t, c.err); p.Status != c.status {
			t.Errorf("%s: %v", what, p)
		}
	}
	if o, err := ken.Order(ctx, bought.ID); err != nil || o.State != client.Refunded {
		t.Errorf("the order: %+v, %v", o, err)
	}
	if u, err := b.client.User(ctx, s.User.ID); err != nil || u.Name == "Hana" {
		t.Errorf("the public face: %+v, %v", u, err)
	}
}
