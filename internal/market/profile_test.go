package market_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

func TestEditProfile(t *testing.T) {
	rules := market.DefaultRules()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	before := market.Profile{User: market.User{ID: 1, Name: "Hana", Locale: "ja", Version: 3, State: market.UserActive, UpdatedAt: now.Add(-time.Hour)}}
	address := market.Address{Name: " Hana ", PostalCode: "100-0001", City: "Tokyo", Street: "1-1"}
	got, err := rules.EditProfile(before, market.ProfileEdit{
		Version: 3, Name: ptr(" Hanako "), Locale: ptr("en"), Bio: ptr("hi\r\n"), Address: &address,
		Muted: &[]market.NoticeKind{"order.paid", "item.liked", "order.paid"},
	}, now)
	want := before
	want.Name, want.Locale, want.Bio, want.Version, want.UpdatedAt = "Hanako", "en", "hi", 4, now
	want.Address = address
	want.Address.Name = "Hana"
	want.Muted = []market.NoticeKind{"item.liked", "order.paid"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got.Pushed("item.liked") || !got.Pushed("order.message") {
		t.Error("the wrong events are pushed")
	}
	if again, err := rules.EditProfile(got, market.ProfileEdit{Name: ptr("Hanako"), Address: ptr(got.Address)}, now.Add(time.Hour)); err != nil || !cmp.Equal(got, again) {
		t.Errorf("nothing changes: %+v, %v", again, err)
	}
	none, err := rules.EditProfile(got, market.ProfileEdit{Bio: ptr(""), Address: &market.Address{}, Muted: &[]market.NoticeKind{}}, now)
	if err != nil || none.Bio != "" || none.Address != (market.Address{}) || len(none.Muted) != 0 {
		t.Errorf("emptied: %+v, %v", none, err)
	}
	if _, err := rules.EditProfile(before, market.ProfileEdit{Version: 2}, now); market.ReasonOf(err) != market.ReasonVersionMismatch {
		t.Errorf("another version: %v", err)
	}
	_, err = rules.EditProfile(before, market.ProfileEdit{
		Name: ptr(" "), Locale: ptr("fr"), Bio: ptr(strings.Repeat("x", 1001)), Address: &market.Address{Name: "x"}, Muted: &[]market.NoticeKind{"x"},
	}, now)
	var fields []string
	for _, f := range market.Faults(err) {
		fields = append(fields, f.Field)
	}
	if diff := cmp.Diff([]string{"name", "locale", "bio", "address/postal_code", "address/city", "address/street", "muted"}, fields); diff != "" {
		t.Errorf("faults:\n%s", diff)
	}
}

func TestKinds(t *testing.T) {
	all := market.NoticeKinds()
	if diff := cmp.Diff(all, market.SplitKinds(market.JoinKinds(all))); diff != "" {
		t.Error(diff)
	}
	if k := market.SplitKinds(""); len(k) != 0 {
		t.Errorf("%q", k)
	}
}

func TestCanLeave(t *testing.T) {
	u := market.User{State: market.UserSuspended}
	for _, c := range []struct {
		state       market.UserState
		open, money bool
		want        market.Reason
		code        market.Code
	}{
		{market.UserActive, false, false, "", ""},
		{market.UserActive, true, true, market.ReasonOpenOrders, market.CodeConflict},
		{market.UserActive, false, true, market.ReasonBalanceLeft, market.CodeConflict},
		{market.UserDeleted, false, false, "", market.CodeNotFound},
	} {
		u.State = c.state
		if err := u.CanLeave(c.open, c.money); market.ReasonOf(err) != c.want || market.CodeOf(err) != c.code {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
