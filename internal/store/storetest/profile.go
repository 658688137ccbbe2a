package storetest

import (
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// login makes a session of a person.
func (w *World) login(user market.UserID, token string) market.TokenHash {
	w.Helper()
	hash := market.HashToken(token)
	_, err := w.Store.CreateSession(w.Ctx, user, hash)
	w.ok(err)
	return hash
}

func testProfile(w *World) {
	hana := w.User()
	want := must[market.Profile](w)(w.Store.Profile(w.Ctx, hana))
	if want.Version != 1 || want.State != market.UserActive || want.Address != (market.Address{}) || len(want.Muted) != 0 || want.ReadUpTo != 0 {
		w.Errorf("a new profile: %+v", want)
	}
	w.Clock.Add(time.Hour)
	address := market.Address{Name: "花子", PostalCode: "100-0001", City: "東京", Street: "1-1", Building: "202", Region: "東京都", Phone: "03"}
	got, change, err := w.Store.EditProfile(w.Ctx, market.ProfileEdit{
		ID: hana, Version: 1, Name: ptr("花子"), Locale: ptr("en"), Bio: ptr("🪑"), Address: &address, Muted: &[]market.NoticeKind{"item.liked"},
	})
	w.ok(err)
	w.tagged("edit", change, "user:"+hana.String())
	want.Name, want.Locale, want.Bio, want.Address, want.Muted = "花子", "en", "🪑", address, []market.NoticeKind{"item.liked"}
	want.Version, want.UpdatedAt = 2, w.Clock.Now()
	if diff := gocmp.Diff(want, got); diff != "" {
		w.Errorf("edited (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(want, must[market.Profile](w)(w.Store.Profile(w.Ctx, hana))); diff != "" {
		w.Errorf("read (-want +got):\n%s", diff)
	}
	if u := must[market.User](w)(w.Store.User(w.Ctx, hana)); u != want.User {
		w.Errorf("the person: %+v", u)
	}
	_, change, err = w.Store.EditProfile(w.Ctx, market.ProfileEdit{ID: hana, Muted: &[]market.NoticeKind{}})
	w.ok(err)
	w.tagged("nothing that others see", change)
	_, _, err = w.Store.EditProfile(w.Ctx, market.ProfileEdit{ID: hana, Version: 2, Name: ptr("x")})
	w.refused("an old version", err, market.CodeConflict, market.ReasonVersionMismatch)
	_, _, err = w.Store.EditProfile(w.Ctx, market.ProfileEdit{ID: hana + 1, Name: ptr("x")})
	w.refused("nobody", err, market.CodeNotFound, "")
	errs := everyone(8, func(i int) error {
		_, _, err := w.Store.EditProfile(w.Ctx, market.ProfileEdit{ID: hana, Version: 3, Bio: ptr(string(rune('a' + i)))})
		return err
	})
	if got := tally(errs); got != "ok 1, version_mismatch 7" {
		w.Errorf("%s", got)
	}
}

func testPassword(w *World) {
	hana, taro := w.User(), w.User()
	one, two, taros := w.login(hana, "one"), w.login(hana, "two"), w.login(taro, "three")
	for name, session := range map[string]market.TokenHash{"phone": one, "tablet": two} {
		_, err := w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{UserID: hana, Name: name, Platform: "apns", Token: name, Session: session})
		w.ok(err)
	}
	hash := must[string](w)(w.Store.PasswordHash(w.Ctx, hana))
	w.ok(w.Store.ChangePassword(w.Ctx, hana, hash, "new", one))
	if got := must[string](w)(w.Store.PasswordHash(w.Ctx, hana)); got != "new" {
		w.Errorf("the hash is %q", got)
	}
	for _, s := range []market.TokenHash{one, taros} {
		_, err := w.Store.Session(w.Ctx, s)
		w.ok(err)
	}
	_, err := w.Store.Session(w.Ctx, two)
	w.refused("the other session", err, market.CodeUnauthenticated, "")
	if d, err := w.Store.Devices(w.Ctx, hana); len(d) != 1 || d[0].Name != "phone" || err != nil {
		w.Errorf("devices %+v, %v", d, err)
	}
	w.refused("by whom was slower", w.Store.ChangePassword(w.Ctx, hana, hash, "x", one), market.CodeConflict, market.ReasonVersionMismatch)
	w.refused("nobody's", w.Store.ChangePassword(w.Ctx, taro+1, hash, "x", one), market.CodeNotFound, "")
	_, err = w.Store.PasswordHash(w.Ctx, taro+1)
	w.refused("nobody's", err, market.CodeNotFound, "")
}

func testSuspended(w *World) {
	hana, taro := w.User(), w.User()
	session := w.login(hana, "one")
	item, other := w.Item(hana, tables, 3000), w.Item(taro, tables, 3000)
	reserved := w.Item(hana, tables, 3000)
	w.reserve(reserved, taro)
	for range 2 { // again does nothing
		_, err := w.Store.SuspendUser(w.Ctx, hana)
		w.ok(err)
	}
	_, err := w.Store.Session(w.Ctx, session)
	w.refused("a session", err, market.CodeForbidden, market.ReasonSuspended)
	_, err = w.Store.CreateSession(w.Ctx, hana, market.HashToken("two"))
	w.refused("a new session", err, market.CodeForbidden, market.ReasonSuspended)
	_, _, err = w.Store.ReserveItem(w.Ctx, market.Purchase{Item: other.ID, Buyer: hana, ExpectedPrice: 3000})
	w.refused("a purchase", err, market.CodeForbidden, market.ReasonSuspended)
	_, _, err = w.Store.ListItem(w.Ctx, market.ItemDraft{Seller: hana, Category: tables, Title: "x", Price: 900, Condition: market.ConditionGood})
	w.refused("a listing", err, market.CodeForbidden, market.ReasonSuspended)
	if a, b, c := w.reread(item.ID).State, w.reread(other.ID).State, w.reread(reserved.ID).State; a != market.ItemPaused || b != market.ItemOnSale || c != market.ItemReserved {
		w.Errorf("items: %s, %s, %s", a, b, c)
	}
	_, err = w.Store.RestoreUser(w.Ctx, hana)
	w.ok(err)
	_, err = w.Store.Session(w.Ctx, session)
	w.ok(err)
	if s := w.reread(item.ID).State; s != market.ItemPaused {
		w.Errorf("restored, the item is %s", s)
	}
	_, err = w.Store.SuspendUser(w.Ctx, taro+1)
	w.refused("nobody", err, market.CodeNotFound, "")
}

func testHidden(w *World) {
	hana, taro := w.User(), w.User()
	item, reserved := w.Item(hana, tables, 3000), w.Item(hana, tables, 3000)
	w.reserve(reserved, taro)
	for range 2 {
		_, err := w.Store.HideItem(w.Ctx, item.ID)
		w.ok(err)
	}
	if got := w.reread(item.ID); got.State != market.ItemHidden || got.Version != 2 {
		w.Errorf("%+v", got)
	}
	if all := w.pages(store.ItemQuery{}); len(all) != 0 {
		w.Errorf("still listed: %+v", all)
	}
	_, err := w.Store.HideItem(w.Ctx, reserved.ID)
	w.refused("one that is being bought", err, market.CodeConflict, market.ReasonItemLocked)
	_, err = w.Store.HideItem(w.Ctx, reserved.ID+1)
	w.refused("none", err, market.CodeNotFound, "")
}

func testDeleted(w *World) {
	hana, taro := w.User(), w.User()
	session := w.login(hana, "one")
	_, err := w.Store.RegisterDevice(w.Ctx, market.DeviceRegistration{UserID: hana, Name: "phone", Platform: "apns", Token: "t"})
	w.ok(err)
	_, _, err = w.Store.EditProfile(w.Ctx, market.ProfileEdit{ID: hana, Bio: ptr("me"), Address: &market.Address{Name: "Hana", PostalCode: "1", City: "T", Street: "1"}})
	w.ok(err)
	w.ok(w.Store.BlockUser(w.Ctx, hana, taro))
	w.ok(w.Store.UnblockUser(w.Ctx, hana, taro))
	item := w.Item(hana, tables, 3000)
	hash := must[string](w)(w.Store.PasswordHash(w.Ctx, hana))

	open := w.bought(hana, taro)
	_, err = w.Store.DeleteUser(w.Ctx, hana, hash)
	w.refused("a seller with an open order", err, market.CodeConflict, market.ReasonOpenOrders)
	_, err = w.Store.DeleteUser(w.Ctx, taro, hash)
	w.refused("a buyer with an open order", err, market.CodeConflict, market.ReasonOpenOrders)
	if s := w.reread(item.ID).State; s != market.ItemOnSale {
		w.Errorf("refused, and the item is %s", s)
	}
	w.step(market.OrderShipped)(w.Store.ShipOrder(w.Ctx, open.ID, hana))
	w.review(open, taro, market.RatingGood)
	w.review(open, hana, market.RatingGood)
	_, err = w.Store.DeleteUser(w.Ctx, hana, hash)
	w.refused("a seller with a balance", err, market.CodeConflict, market.ReasonBalanceLeft)
	b, err := w.Store.Balance(w.Ctx, hana)
	w.ok(err)
	p, err := w.Store.RequestPayout(w.Ctx, hana, b.Available)
	w.ok(err)
	_, err = w.Store.DeleteUser(w.Ctx, hana, hash)
	w.refused("a seller whose money is on its way", err, market.CodeConflict, market.ReasonBalanceLeft)
	_, err = w.Store.EndPayout(w.Ctx, p.ID, market.PayoutPaid, "")
	w.ok(err)

	_, err = w.Store.DeleteUser(w.Ctx, hana, "another hash")
	w.refused("after the password was changed", err, market.CodeConflict, market.ReasonVersionMismatch)
	_, err = w.Store.DeleteUser(w.Ctx, hana, hash)
	w.ok(err)
	_, err = w.Store.DeleteUser(w.Ctx, hana, hash)
	w.refused("again", err, market.CodeNotFound, "")
	_, err = w.Store.Session(w.Ctx, session)
	w.refused("the session", err, market.CodeUnauthenticated, "")
	_, err = w.Store.CreateSession(w.Ctx, hana, market.HashToken("two"))
	w.refused("a new session", err, market.CodeNotFound, "")
	if d, err := w.Store.Devices(w.Ctx, hana); len(d) != 0 || err != nil {
		w.Errorf("devices %+v, %v", d, err)
	}
	if s := w.reread(item.ID).State; s != market.ItemWithdrawn {
		w.Errorf("the item is %s", s)
	}
	got := must[market.Profile](w)(w.Store.Profile(w.Ctx, hana))
	if got.Name != market.DeletedName || got.State != market.UserDeleted || got.Bio != "" || got.Address != (market.Address{}) || got.Good != 1 {
		w.Errorf("what is left: %+v", got)
	}
	_, err = w.Store.UserByEmail(w.Ctx, "person1@example.com")
	w.refused("the address", err, market.CodeNotFound, "")
	_, err = w.Store.UserByEmail(w.Ctx, got.Email)
	w.refused("the address that is left", err, market.CodeNotFound, "")
	_, err = w.Store.RegisterUser(w.Ctx, market.Registration{Email: "person1@example.com", Name: "New", PasswordHash: "x"})
	w.ok(err)
	w.refused("block", w.Store.BlockUser(w.Ctx, taro, hana), market.CodeNotFound, "")
	// What the other has a part in is there.
	if o, err := w.Store.Order(w.Ctx, open.ID); err != nil || o.State != market.OrderCompleted {
		w.Errorf("%+v, %v", o, err)
	}
	if page, err := w.Store.Reviews(w.Ctx, taro, "", 0); err != nil || len(page.Reviews) != 1 || page.Reviews[0].AuthorName != market.DeletedName {
		w.Errorf("%+v, %v", page, err)
	}
}

// testDeletedRace holds that a person who leaves while buying and selling
// leaves nothing behind that is open.
func testDeletedRace(w *World) {
	taro := w.User()
	for range 5 {
		hana := w.User()
		item := w.Item(taro, tables, 3000)
		errs := everyone(3, func(i int) error {
			var err error
			switch i {
			case 0:
				_, err = w.Store.DeleteUser(w.Ctx, hana, "hash")
			case 1:
				_, _, err = w.Store.ReserveItem(w.Ctx, market.Purchase{Item: item.ID, Buyer: hana, ExpectedPrice: 3000})
			case 2:
				_, _, err = w.Store.ListItem(w.Ctx, market.ItemDraft{Seller: hana, Category: tables, Title: "x", Price: 900, Condition: market.ConditionGood})
			}
			return err
		})
		for i, err := range errs {
			if code := market.CodeOf(err); err != nil && code != market.CodeNotFound && code != market.CodeConflict {
				w.Errorf("%d: %v", i, err)
			}
		}
		gone := errs[0] == nil
		open, err := w.column("SELECT id FROM orders WHERE buyer_id = ? AND state = 'pending_payment'", int64(hana))
		w.ok(err)
		selling, err := w.column("SELECT id FROM items WHERE seller_id = ? AND state = 'on_sale'", int64(hana))
		w.ok(err)
		if gone && len(open)+len(selling) > 0 || (errs[1] == nil) != (len(open) == 1) {
			w.Errorf("gone %v, open orders %q, on sale %q; %v", gone, open, selling, errs)
		}
	}
}
