package api_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/market"
)

func TestAccount(t *testing.T) {
	b := newBench(t, options{})
	ctx := t.Context()
	reg := client.Registration{Email: " Hanako@Example.com ", Password: "a long enough secret", Name: "Hanako  Yamada", Locale: "en"}
	s, err := b.client.Register(ctx, reg)
	must(t, err)
	if !api.PlausibleToken(s.Token) || !s.ExpiresAt.After(time.Now()) {
		t.Errorf("session of %d bytes until %v", len(s.Token), s.ExpiresAt)
	}
	want := client.Me{ID: s.User.ID, Name: "Hanako Yamada", Email: "hanako@example.com", Locale: "en", Version: 1, CreatedAt: s.User.CreatedAt}
	me, err := b.client.WithToken(s.Token).Me(ctx)
	must(t, err)
	if diff := cmp.Diff(want, me); diff != "" || !cmp.Equal(s.User, me) {
		t.Errorf("me:\n%s", diff)
	}
	user, err := b.client.User(ctx, s.User.ID)
	must(t, err)
	if diff := cmp.Diff(client.User{ID: me.ID, Name: me.Name, CreatedAt: me.CreatedAt}, user); diff != "" {
		t.Error(diff)
	}

	if p := problem(t, errOf(b.client.Register(ctx, reg))); p.Status != 409 || p.Reason != "email_taken" || p.Type != "/problems/email-taken" {
		t.Errorf("again: %v", p)
	}
	// NFD and NFC of one password are one password.
	decomposed := client.Registration{Email: "nfd@example.com", Password: "a long enough cafe\u0301", Name: "N"}
	_, err = b.client.Register(ctx, decomposed)
	must(t, err)
	_, err = b.client.LogIn(ctx, client.Credentials{Email: decomposed.Email, Password: "a long enough caf\u00e9"})
	must(t, err)

	again, err := b.client.LogIn(ctx, client.Credentials{Email: "HANAKO@example.com", Password: reg.Password})
	must(t, err)
	second := b.client.WithToken(again.Token)
	must(t, second.LogOut(ctx))
	if p := problem(t, errOf(second.Me(ctx))); p.Status != 401 || p.Code != client.Unauthenticated {
		t.Errorf("after logging out: %v", p)
	}
	if _, err := b.client.WithToken(s.Token).Me(ctx); err != nil {
		t.Errorf("the other session: %v", err)
	}
}

func errOf[T any](_ T, err error) error { return err }

// TestLogInTellsNothing holds that a wrong password, an address that nobody has and one that is
// none are answered by the same bytes after the same work.
func TestLogInTellsNothing(t *testing.T) {
	b := newBench(t, options{})
	_, err := b.client.Register(t.Context(), client.Registration{Email: "a@example.com", Password: "a long enough secret", Name: "A"})
	must(t, err)
	ken, _ := b.person("Ken") // whose hash cannot be read
	kens, err := ken.Me(t.Context())
	must(t, err)
	var first *client.Problem
	hashes := api.Hashes(b.api)
	for i, c := range []client.Credentials{
		{Email: "a@example.com", Password: "a wrong long secret"},
		{Email: "nobody@example.com", Password: "a long enough secret"},
		{Email: "not an address", Password: "x"},
		{Email: kens.Email, Password: "none"},
	} {
		p := problem(t, errOf(b.client.LogIn(t.Context(), c)))
		if got := api.Hashes(b.api) - hashes; got != i+1 {
			t.Errorf("%s: %d hashes computed so far, want %d", c.Email, got, i+1)
		}
		p.RequestID, p.Instance = "", ""
		if first == nil {
			first = p
		}
		if diff := cmp.Diff(first, p); diff != "" || p.Status != 401 {
			t.Errorf("%s: %s", c.Email, diff)
		}
	}
}

func TestRegisterTellsAllFaultsAtOnce(t *testing.T) {
	b := newBench(t, options{})
	p := problem(t, errOf(b.client.Register(t.Context(), client.Registration{Email: "not an address", Password: "1234567890", Name: "\u200e"})))
	var pointers []string
	for _, e := range p.Errors {
		pointers = append(pointers, e.Pointer)
	}
	if diff := cmp.Diff([]string{"/email", "/name", "/password"}, pointers); diff != "" || p.Status != 422 {
		t.Errorf("%v\n%s", p, diff)
	}
}

// TestHashingIsBounded holds that log-ins beyond the limit wait, but not for long, and that the
// others go on.
func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := api.NewHasher(1, time.Second)
		release := h.Hold(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				begin := time.Now()
				err := h.Acquire(t.Context())
				if r := api.RetryAfterOf(err); r != time.Second || time.Since(begin) != time.Second {
					t.Errorf("after %v: %v, retry after %v", time.Since(begin), err, r)
				}
			})
		}
		wg.Wait()
		wg.Go(func() {
			if err := h.Acquire(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		release()
		wg.Wait()
	})
}

func TestTokensThatAreNone(t *testing.T) {
	b := newBench(t, options{})
	_, _ = b.person("Ken")
	for _, token := range []string{"", "x", "fm_", api.NewToken(), strings.Repeat("a", 53)} {
		p := problem(t, errOf(b.client.WithToken(token).Me(t.Context())))
		if p.Status != 401 || p.Type != "/problems/unauthenticated" {
			t.Errorf("%q: %v", token, p)
		}
	}
}

// TestSessionEndsEverywhere holds that a session which another process has ended ends here too,
// within the time that it is remembered.
func TestSessionEndsEverywhere(t *testing.T) {
	clock := newClock()
	b := newBench(t, options{now: clock.now})
	ken, _ := b.person("Ken")
	_, err := ken.Me(t.Context())
	must(t, err)
	must(t, b.store.DeleteSession(t.Context(), market.HashToken(tokenOf(ken))))
	clock.add(4 * time.Second)
	if _, err := ken.Me(t.Context()); err != nil {
		t.Errorf("remembered for less than 5 s: %v", err)
	}
	clock.add(2 * time.Second)
	if p := problem(t, errOf(ken.Me(t.Context()))); p.Status != 401 {
		t.Errorf("remembered for more than 5 s: %v", p)
	}
}

func TestSessionExpires(t *testing.T) {
	clock := newClock()
	b := newBench(t, options{now: clock.now})
	ken, _ := b.person("Ken")
	clock.add(b.store.Rules().SessionTTL - time.Hour)
	_, err := ken.Me(t.Context()) // use prolongs it
	must(t, err)
	clock.add(2 * time.Hour)
	_, err = ken.Me(t.Context())
	must(t, err)
	clock.add(b.store.Rules().SessionTTL)
	if p := problem(t, errOf(ken.Me(t.Context()))); p.Status != 401 {
		t.Errorf("after its end: %v", p)
	}
}

// clock is a time that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestDevices(t *testing.T) {
	b := newBench(t, options{})
	ken, me := b.person("Ken")
	ctx := t.Context()
	d, err := ken.PutDevice(ctx, "phone-1", client.DeviceRegistration{Platform: client.APNS, Token: "aa", Locale: "ja"})
	must(t, err)
	if d.ID != "phone-1" || d.Platform != client.APNS || d.UpdatedAt.IsZero() {
		t.Errorf("%+v", d)
	}
	user, _ := market.ParseUserID(me.ID)
	devices, err := b.store.Devices(ctx, user)
	must(t, err)
	if len(devices) != 1 || devices[0].Token != "aa" || devices[0].Locale != market.LocaleJA {
		t.Errorf("%d devices", len(devices))
	}
	for _, tt := range []struct {
		id      string
		d       client.DeviceRegistration
		pointer string
	}{
		{"a b", client.DeviceRegistration{Platform: client.APNS, Token: "aa"}, "path/device_id"},
		{strings.Repeat("a", 65), client.DeviceRegistration{Platform: client.APNS, Token: "aa"}, "path/device_id"},
		{"p", client.DeviceRegistration{Platform: "pager", Token: "aa"}, "/platform"},
		{"p", client.DeviceRegistration{Platform: client.FCM}, "/token"},
		{"p", client.DeviceRegistration{Platform: client.FCM, Token: "a\nb"}, "/token"},
	} {
		p := problem(t, errOf(ken.PutDevice(ctx, tt.id, tt.d)))
		if p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != tt.pointer {
			t.Errorf("%q, %q: %v", tt.id, tt.d.Platform, p)
		}
	}
	must(t, ken.DeleteDevice(ctx, "phone-1"))
	must(t, ken.DeleteDevice(ctx, "phone-1"))
	if devices, err := b.store.Devices(ctx, user); len(devices) != 0 || err != nil {
		t.Errorf("%d devices, %v", len(devices), err)
	}

	// A device that was registered in a session goes with it.
	_, err = ken.PutDevice(ctx, "phone-2", client.DeviceRegistration{Platform: client.APNS, Token: "bb"})
	must(t, err)
	must(t, ken.LogOut(ctx))
	if devices, err := b.store.Devices(ctx, user); len(devices) != 0 || err != nil {
		t.Errorf("after logging out: %d devices, %v", len(devices), err)
	}
}

var errBroken = errors.New("broken")
