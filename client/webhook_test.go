package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/furima/furima/client"
)

func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	const secret = "a secret of some length"
	now := time.Unix(1_800_000_000, 0)
	body := []byte(`{"tokens":[],"next_cursor":"fb_1"}`)
	good := client.SignWebhook(body, secret, now)
	// By another implementation: printf '1800000000.%s' "$BODY" | openssl dgst -sha256 -hmac "$SECRET"
	const known = "t=1800000000,v1=c5a02ae1cf3e5911fa5c98d3cbae29c82069e04676aad1d1c3fdee7f7d9b7e03"
	if good != known {
		t.Errorf("signed %s, want %s", good, known)
	}
	zeros := "v1=" + strings.Repeat("00", 32)
	for name, c := range map[string]struct {
		header, body, secret string
		now                  time.Time
		want                 bool
	}{
		"good":                     {good, string(body), secret, now, true},
		"a little old":             {good, string(body), secret, now.Add(4 * time.Minute), true},
		"a clock that is behind":   {good, string(body), secret, now.Add(-4 * time.Minute), true},
		"an old one again":         {good, string(body), secret, now.Add(6 * time.Minute), false},
		"from the future":          {good, string(body), secret, now.Add(-6 * time.Minute), false},
		"another body":             {good, string(body) + " ", secret, now, false},
		"another secret":           {good, string(body), secret + "x", now, false},
		"no secret":                {client.SignWebhook(body, "", now), string(body), "", now, false},
		"another time":             {strings.Replace(good, "t=18", "t=19", 1), string(body), secret, time.Unix(1_900_000_000, 0), false},
		"the old and the new key":  {good + "," + zeros, string(body), secret, now, true},
		"the new and the old key":  {strings.Replace(good, ",", ","+zeros+",", 1), string(body), secret, now, true},
		"spaces":                   {strings.ReplaceAll(good, ",", ", "), string(body), secret, now, true},
		"what is not known":        {good + ",v2=abc", string(body), secret, now, true},
		"two times":                {good + ",t=1800000000", string(body), secret, now, false},
		"nothing":                  {"", string(body), secret, now, false},
		"no signature":             {"t=1800000000", string(body), secret, now, false},
		"no time":                  {zeros, string(body), secret, now, false},
		"a time that is no number": {strings.Replace(good, "t=1", "t=x", 1), string(body), secret, now, false},
		"half a signature":         {good[:len(good)-2], string(body), secret, now, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := client.VerifyWebhook(c.header, []byte(c.body), c.secret, c.now)
			if (err == nil) != c.want || err != nil && !errors.Is(err, client.ErrWebhook) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzVerifyWebhook(f *testing.F) {
	f.Add("t=1,v1=00", []byte("{}"), int64(1))
	f.Add("t=-9223372036854775808,v1=00,v1=", []byte(nil), int64(1<<62))
	f.Fuzz(func(t *testing.T, header string, body []byte, at int64) {
		if client.VerifyWebhook(header, body, "a secret nobody knows", time.Unix(at%(1<<40), 0)) == nil {
			t.Errorf("believed %q", header)
		}
	})
}

func ExampleVerifyWebhook() {
	secret := "the one in push.apps.webhook"
	body := []byte(`{"tokens":[{"app":"market","platform":"apns","token":"abc","reason":"Unregistered","time":"2026-01-01T00:00:00Z"}],"next_cursor":"fb_1"}`)
	header := client.SignWebhook(body, secret, time.Now()) // what arrives as Furima-Signature

	if err := client.VerifyWebhook(header, body, secret, time.Now()); err != nil {
		fmt.Println(err) // answer 401
		return
	}
	fmt.Println("genuine")
	// Output: genuine
}
