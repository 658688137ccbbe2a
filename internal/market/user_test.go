package market_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

func TestNormalizeEmail(t *testing.T) {
	for in, want := range map[string]string{
		"hana@example.com":                       "hana@example.com",
		" Hana@Example.COM\n":                    "hana@example.com",
		"a.b+c_d-e@x.co.jp":                      "a.b+c_d-e@x.co.jp",
		"花@例え.jp":                                "花@例え.jp",
		"o'hara@example.com":                     "o'hara@example.com",
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",
	} {
		if got, err := market.NormalizeEmail(in); err != nil || got != want {
			t.Errorf("NormalizeEmail(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", " ", "hana", "@example.com", "hana@", "hana@localhost", "hana@@example.com", "a b@example.com", "hana@example..com",
		"hana@-example.com", "hana@example-.com", "hana@.com", "hana@example.com.", "ha\x00na@example.com", "hana@exa mple.com",
		"<hana@example.com>", "hana,hana@example.com", "hana@example.com\r\nBcc: x@y.z", "\"a\"@example.com", "hana@exam_ple.com",
		strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("b", 64) + ".com", "a@" + strings.Repeat("b.", 130) + "com",
		"ha\xffna@example.com", "ha\u202ena@example.com",
	} {
		if got, err := market.NormalizeEmail(in); market.CodeOf(err) != market.CodeInvalid {
			t.Errorf("NormalizeEmail(%q) = %q, %v; want invalid", in, got, err)
		}
	}
}

func TestNewUser(t *testing.T) {
	rules := market.DefaultRules()
	got, err := rules.NewUser(market.Registration{ID: 3, Email: "Hana@Example.com", Name: " 花 子 ", Locale: ""}, noon)
	want := market.User{ID: 3, Email: "hana@example.com", Name: "花 子", Locale: market.LocaleJA, State: market.UserActive, Version: 1, CreatedAt: noon, UpdatedAt: noon}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	_, err = rules.NewUser(market.Registration{Email: "x", Name: "\n", Locale: "tlh"}, noon)
	var fields []string
	for _, f := range market.Faults(err) {
		fields = append(fields, f.Field)
	}
	if diff := cmp.Diff([]string{"email", "name", "locale"}, fields); diff != "" {
		t.Errorf("fields at fault (-want +got):\n%s", diff)
	}
}

func TestSessions(t *testing.T) {
	rules := market.DefaultRules()
	s := rules.NewSession(7, noon)
	end := noon.Add(rules.SessionTTL)
	if !s.Live(end.Add(-1)) || s.Live(end) {
		t.Errorf("a session of %s that ends %s is live for another time", noon, s.ExpiresAt)
	}
	if same, worth := rules.Slide(s, noon.Add(time.Hour)); worth || same != s {
		t.Errorf("an hour later it is written again: %+v", same)
	}
	later := noon.Add(24 * time.Hour)
	if longer, worth := rules.Slide(s, later); !worth || !longer.ExpiresAt.Equal(later.Add(rules.SessionTTL)) {
		t.Errorf("a day later: %+v, %v; want a new end", longer, worth)
	}
	if back, worth := rules.Slide(s, noon.Add(-24*time.Hour)); worth || back != s {
		t.Errorf("a clock set back shortens the session: %+v", back)
	}
	if market.HashToken("a") == market.HashToken("b") {
		t.Error("two tokens, one hash")
	}
}

func TestNewDevice(t *testing.T) {
	rules := market.DefaultRules()
	good := market.DeviceRegistration{ID: 5, UserID: 1, Name: "iPhone-15.hana_1", Platform: "apns", Token: "c0ffee", Locale: "en"}
	got, err := rules.NewDevice(good, noon)
	want := market.Device{
		ID: 5, UserID: 1, Name: "iPhone-15.hana_1", Platform: market.PlatformAPNs, Token: "c0ffee", Locale: market.LocaleEN,
		CreatedAt: noon, RegisteredAt: noon,
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, c := range map[string]struct {
		change func(*market.DeviceRegistration)
		field  string
	}{
		"no name":         {func(r *market.DeviceRegistration) { r.Name = "" }, "device_id"},
		"name with slash": {func(r *market.DeviceRegistration) { r.Name = "a/b" }, "device_id"},
		"long name":       {func(r *market.DeviceRegistration) { r.Name = strings.Repeat("a", 65) }, "device_id"},
		"platform":        {func(r *market.DeviceRegistration) { r.Platform = "pager" }, "platform"},
		"no token":        {func(r *market.DeviceRegistration) { r.Token = "" }, "token"},
		"long token":      {func(r *market.DeviceRegistration) { r.Token = strings.Repeat("a", 4097) }, "token"},
		"odd token":       {func(r *market.DeviceRegistration) { r.Token = "a\nb" }, "token"},
		"locale":          {func(r *market.DeviceRegistration) { r.Locale = "fr" }, "locale"},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			c.change(&r)
			_, err := rules.NewDevice(r, noon)
			if f := market.Faults(err); len(f) != 1 || f[0].Field != c.field {
				t.Errorf("faults %v, want one of %s", f, c.field)
			}
			if err != nil && len(r.Token) > 3 && strings.Contains(err.Error(), r.Token) {
				t.Error("the error repeats the token")
			}
		})
	}
}
