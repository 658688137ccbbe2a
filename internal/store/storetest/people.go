package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

func testUsers(w *World) {
	reg := market.Registration{Email: " Hana@Example.com", Name: "花子", Locale: "en", PasswordHash: "$argon2id$hash"}
	hana, err := w.Store.RegisterUser(w.Ctx, reg)
	w.ok(err)
	want := market.User{ID: hana.ID, Email: "hana@example.com", Name: "花子", Locale: "en", State: market.UserActive, Version: 1, CreatedAt: w.Clock.Now(), UpdatedAt: w.Clock.Now()}
	if diff := cmp.Diff(want, hana); diff != "" {
		w.Errorf("registered (-want +got):\n%s", diff)
	}
	got, err := w.Store.User(w.Ctx, hana.ID)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		w.Errorf("read: %v (-want +got):\n%s", err, diff)
	}
	creds, err := w.Store.UserByEmail(w.Ctx, "HANA@example.com ")
	if diff := cmp.Diff(market.Credentials{User: want, PasswordHash: "$argon2id$hash"}, creds); err != nil || diff != "" {
		w.Errorf("by address: %v (-want +got):\n%s", err, diff)
	}

	_, err = w.Store.RegisterUser(w.Ctx, market.Registration{Email: "hana@EXAMPLE.com", Name: "Another", PasswordHash: "x"})
	w.refused("an address twice", err, market.CodeConflict, market.ReasonEmailTaken)
	if f := market.Faults(err); len(f) != 1 || f[0].Field != "email" {
		w.Errorf("an address twice: faults %v, want the field email", f)
	}
	_, err = w.Store.RegisterUser(w.Ctx, market.Registration{Email: "no address", Name: "", PasswordHash: "x"})
	w.refused("two wrong fields", err, market.CodeInvalid, market.ReasonMalformed)
	if n := len(market.Faults(err)); n != 2 {
		w.Errorf("two wrong fields are %d faults", n)
	}
	_, err = w.Store.User(w.Ctx, hana.ID+1)
	w.refused("nobody", err, market.CodeNotFound, "")
	_, err = w.Store.UserByEmail(w.Ctx, "nobody@example.com")
	w.refused("nobody's address", err, market.CodeNotFound, "")
	_, err = w.Store.UserByEmail(w.Ctx, "' OR 1=1 --")
	w.refused("no address", err, market.CodeNotFound, "")

	// The longest address and a name of the longest characters fit the columns.
	long := market.Registration{Email: strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 93) + "com", Name: strings.Repeat("👩", 40), PasswordHash: strings.Repeat("h", 255)}
	u, err := w.Store.RegisterUser(w.Ctx, long)
	w.ok(err)
	if got, err := w.Store.User(w.Ctx, u.ID); err != nil || got.Name != long.Name || got.Email != long.Email {
		w.Errorf("the longest came back as %+v, %v", got, err)
	}
}

func testUsersRace(w *World) {
	errs := everyone(20, func(i int) error {
		_, err := w.Store.RegisterUser(w.Ctx, market.Registration{Email: "hana@example.com", Name: fmt.Sprint("Hana ", i), PasswordHash: "x"})
		return err
	})
	if got := tally(errs); got != "email_taken 19, ok 1" {
		w.Errorf("20 people, one address: %s", got)
	}
}

func testSessions(w *World) {
	user := w.User()
	token := market.HashToken("secret")
	made, err := w.Store.CreateSession(w.Ctx, user, token)
	w.ok(err)
	want := market.Session{UserID: user, CreatedAt: w.Clock.Now(), ExpiresAt: w.Clock.Now().Add(w.Rules.SessionTTL)}
	got, err := w.Store.Session(w.Ctx, token)
	if diff := cmp.Diff(want, got); err != nil || diff != "" || made != want {
		w.Errorf("made %+v; read: %v (-want +got):\n%s", made, err, diff)
	}
	_, err = w.Store.Session(w.Ctx, market.HashToken("another"))
	w.refused("an unknown token", err, market.CodeUnauthenticated, "")

	// Use moves the end; without use it comes.
	w.Clock.Add(w.Rules.SessionTTL - time.Hour)
	if got, err = w.Store.Session(w.Ctx, token); err != nil || !got.ExpiresAt.Equal(w.Clock.Now().Add(w.Rules.SessionTTL)) {
		w.Errorf("used before its end: %+v, %v", got, err)
	}
	w.Clock.Add(2 * time.Hour)
	_, err = w.Store.Session(w.Ctx, token)
	w.ok(err)
	w.Clock.Add(w.Rules.SessionTTL)
	_, err = w.Store.Session(w.Ctx, token)
	w.refused("after its end", err, market.CodeUnauthenticated, "")

	// Tidy takes away what is over and nothing else.
	live := market.HashToken("live")
	_, err = w.Store.CreateSession(w.Ctx, user, live)
	w.ok(err)
	n, more, err := w.Store.Tidy(w.Ctx)
	if n != 1 || more || err != nil {
		w.Errorf("Tidy = %d, %v, %v; want 1", n, more, err)
	}
	_, err = w.Store.Session(w.Ctx, live)
	w.ok(err)

	// A log-out ends the session at once, with its device, and works twice.
	for _, name := range []string{"of the session", "of another"} {
		reg := market.DeviceRegistration{UserID: user, Name: strings.ReplaceAll(name, " ", "-"), Platform: "apns", Token: name}
		if name == "of the session" {
			reg.Session = live
		}
		_, err := w.Store.RegisterDevice(w.Ctx, reg)
		w.ok(err)
	}
	w.ok(w.Store.DeleteSession(w.Ctx, live))
	w.ok(w.Store.DeleteSession(w.Ctx, live))
	_, err = w.Store.Session(w.Ctx, live)
	w.refused("after a log-out", err, market.CodeUnauthenticated, "")
	if devices := must[[]market.Device](w)(w.Store.Devices(w.Ctx, user)); len(devices) != 1 || devices[0].Name != "of-another" {
		w.Errorf("devices after a log-out: %+v", devices)
	}
}

func testDevices(w *World) {
	hana, taro := w.User(), w.User()
	phone := market.DeviceRegistration{UserID: hana, Name: "phone", Platform: "apns", Token: "t1", Locale: "en"}
	first, err := w.Store.RegisterDevice(w.Ctx, phone)
	w.ok(err)
	want := market.Device{
		ID: first.ID, UserID: hana, Name: "phone", Platform: market.PlatformAPNs, Token: "t1", Locale: "en",
		CreatedAt: w.Clock.Now(), RegisteredAt: w.Clock.Now(),
	}
	devices := func(users ...market.UserID) []market.Device {
		w.Helper()
		return must[[]market.Device](w)(w.Store.Devices(w.Ctx, users...))
	}
	if diff := cmp.Diff([]market.Device{want}, devices(hana, taro)); diff != "" {
		w.Errorf("(-want +got):\n%s", diff)
	}

	// The same phone with a new token is the same device.
	w.Clock.Add(time.Hour)
	phone.Token = "t2"
	second, err := w.Store.RegisterDevice(w.Ctx, phone)
	w.ok(err)
	want.Token, want.RegisteredAt = "t2", w.Clock.Now()
	if diff := cmp.Diff(want, second); diff != "" {
		w.Errorf("registered again (-want +got):\n%s", diff)
	}

	// Somebody else logs in on the phone: the token moves.
	_, err = w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{UserID: taro, Name: "phone", Platform: "apns", Token: "t2"})
	w.ok(err)
	if d := devices(hana); len(d) != 0 {
		w.Errorf("hana still has %+v", d)
	}
	if d := devices(taro); len(d) != 1 || d[0].Token != "t2" || d[0].Locale != "" {
		w.Errorf("taro has %+v", d)
	}
	// The same bytes on another platform are another token.
	_, err = w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{UserID: hana, Name: "tablet", Platform: "fcm", Token: "t2"})
	w.ok(err)
	if n := len(devices(hana, taro)); n != 2 {
		w.Errorf("%d devices, want 2", n)
	}

	// The longest token fits; the 21st device pushes out the oldest.
	for i := range 20 {
		w.Clock.Add(time.Second)
		_, err := w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{
			UserID: hana, Name: fmt.Sprint("web-", i), Platform: "webpush", Token: fmt.Sprintf("%4096d", i),
		})
		w.ok(err)
	}
	d := devices(hana)
	if len(d) != 20 || d[0].Name != "web-0" || len(d[19].Token) != 4096 {
		w.Errorf("%d devices, the first is %q", len(d), d[0].Name)
	}

	w.ok(w.Store.ForgetDevice(w.Ctx, hana, "web-3"))
	w.ok(w.Store.ForgetDevice(w.Ctx, hana, "web-3"))
	w.ok(w.Store.ForgetDevice(w.Ctx, taro, "web-4")) // not taro's
	if n := len(devices(hana)); n != 19 {
		w.Errorf("%d devices after one was forgotten, want 19", n)
	}
	_, err = w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{UserID: hana, Name: "x", Platform: "pager", Token: "t"})
	w.refused("an unknown platform", err, market.CodeInvalid, market.ReasonMalformed)
	if d := devices(); d != nil {
		w.Errorf("devices of nobody: %+v", d)
	}
	// Two log-ins on one phone at once leave one device.
	errs := everyone(10, func(i int) error {
		_, err := w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{UserID: taro, Name: "new", Platform: "apns", Token: "t9"})
		return err
	})
	if got := tally(errs); got != "ok 10" {
		w.Errorf("one phone, ten times at once: %s", got)
	}
}

func testFeedback(w *World) {
	user := w.User()
	register := func(name, token string) {
		w.Helper()
		_, err := w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{UserID: user, Name: strings.ReplaceAll(name, " ", "-"), Platform: "apns", Token: token})
		w.ok(err)
	}
	register("dead", "t1")
	register("again", "t2")
	register("alive", "t3")
	register("no time", "t4")
	died := w.Clock.Now().Add(time.Minute)
	w.Clock.Add(time.Hour)
	register("again", "t2") // given again after it had died

	if c := must[string](w)(w.Store.PushCursor(w.Ctx)); c != "" {
		w.Errorf("cursor at the beginning: %q", c)
	}
	n, err := w.Store.ForgetDevices(w.Ctx, []market.DeadToken{
		{Platform: "apns", Token: "t1", Reason: "Unregistered", Time: died},
		{Platform: "apns", Token: "t2", Reason: "Unregistered", Time: died},
		{Platform: "fcm", Token: "t3", Reason: "UNREGISTERED", Time: died.Add(2 * time.Hour)},
		{Platform: "apns", Token: "never heard of", Time: died},
		{Platform: "apns", Token: "t4"},
	}, "page-7")
	if n != 2 || err != nil {
		w.Errorf("ForgetDevices = %d, %v; want 2", n, err)
	}
	var names []string
	for _, d := range must[[]market.Device](w)(w.Store.Devices(w.Ctx, user)) {
		names = append(names, d.Name)
	}
	if diff := cmp.Diff([]string{"again", "alive"}, names); diff != "" {
		w.Errorf("devices (-want +got):\n%s", diff)
	}
	if c := must[string](w)(w.another(nil).PushCursor(w.Ctx)); c != "page-7" {
		w.Errorf("cursor %q, want page-7", c)
	}
	w.ok(w.Store.SetPushCursor(w.Ctx, "page-8"))
	if c := must[string](w)(w.Store.PushCursor(w.Ctx)); c != "page-8" {
		w.Errorf("cursor %q, want page-8", c)
	}
}

func testCategories(w *World) {
	tree := must[*market.Tree](w)(w.Store.Categories(w.Ctx))
	if diff := cmp.Diff([]market.Category{categories[0], categories[2], categories[4], categories[3], categories[1]}, tree.All()); diff != "" {
		w.Errorf("(-want +got):\n%s", diff)
	}
	elsewhere := w.another(nil)
	must[*market.Tree](w)(elsewhere.Categories(w.Ctx))

	change, err := w.Store.Import(w.Ctx, store.Batch{Categories: []market.Category{
		{ID: 2, Position: 9, Name: "Books & comics", NameJA: "本・漫画"},
		{ID: 21, Parent: 2, Name: "Comics", NameJA: "漫画"},
	}})
	w.ok(err)
	w.tagged("import", change, "categories")
	if c, ok := must[*market.Tree](w)(w.Store.Categories(w.Ctx)).Category(2); !ok || c.Name != "Books & comics" || c.Position != 9 {
		w.Errorf("after the import: %+v", c)
	}
	// Another process finds a new category when somebody asks for it, and all
	// of the change half a minute later.
	w.Clock.Add(2 * time.Second)
	if _, err := elsewhere.Items(w.Ctx, store.ItemQuery{Category: 21}); err != nil {
		w.Errorf("a category that another process has made: %v", err)
	}
	_, err = elsewhere.Items(w.Ctx, store.ItemQuery{Category: 999})
	w.refused("no category", err, market.CodeNotFound, market.ReasonUnknownCategory)

	for name, c := range map[string]market.Category{
		"to another parent": {ID: 21, Parent: 1, Name: "Comics"},
		"without parent":    {ID: 31, Parent: 3, Name: "Lost"},
	} {
		if _, err := w.Store.Import(w.Ctx, store.Batch{Categories: []market.Category{c}}); err == nil {
			w.Errorf("a category %s was taken", name)
		}
	}
}
