package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
)

// isClosed reports whether the sender has closed the connection.
func (p *peer) isClosed() bool {
	synctest.Wait()
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func TestManyStreamsAtOnceWithACertificate(t *testing.T) {
	t.Parallel()
	playWith(t, false, func(t *testing.T, p *played) {
		p.send(50)
		apple := p.accept()
		reqs := apple.expect(t, 50)
		for _, r := range reqs {
			for _, f := range r.fields {
				if f.Name == "authorization" {
					t.Fatal("a provider token beside the certificate")
				}
			}
		}
		apple.answer(200, "", reqs...)
		p.wantAll(push.Sent, "")
	})
}

func TestOneStreamAgainAfterALoss(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(10)
		apple := p.accept()
		apple.answer(200, "", apple.expect(t, 1)...)
		apple.answer(200, "", apple.expect(t, 9)...)
		p.wantAll(push.Sent, "")
		_ = apple.nc.Close()
		synctest.Wait()
		p.send(10)
		apple = p.accept()
		apple.answer(403, `{"reason":"ExpiredProviderToken"}`, apple.expect(t, 1)...) // proves nothing
		first := apple.expect(t, 1)
		apple.answer(400, `{"reason":"BadCollapseId"}`, first...) // the token is good
		apple.answer(200, "", apple.expect(t, 8)...)
		results := <-p.results
		if results[0].Outcome != push.Refused || results[1].Outcome != push.Rejected || results[9].Outcome != push.Sent {
			t.Errorf("%+v", results)
		}
	})
}

func TestBroadcastOnTheWire(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		n := push.Notification{APNS: &push.APNSOverride{ChannelID: "dHR0/A==", APS: raw(update)}}
		r, faults := p.sender.Render(&n, time.Unix(1_800_000_000, 0))
		if faults != nil {
			t.Fatal(faults)
		}
		batch := messages(t, p.sender, 2)
		batch = []push.Message{batch[0], {Token: push.ChannelPrefix + "dHR0/A==", ID: batch[1].ID, Rendered: &r}, batch[1]}
		go func() { p.results <- send(t.Context(), t, p.sender, batch) }()
		apple := p.accept()
		apple.answer(200, "", apple.expect(t, 1)...)
		reqs := apple.expect(t, 2)
		apple.answer(400, `{"reason":"ChannelNotRegistered"}`, reqs...)
		want := []push.Result{
			{Outcome: push.Sent},
			{Outcome: push.Unregistered, Reason: "ChannelNotRegistered"},
			{Outcome: push.Rejected, Reason: "HTTP 400"}, // no reason for a device
		}
		if diff := cmp.Diff(want, <-p.results, ignoreTook); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		var got []string
		for _, f := range reqs[0].fields {
			if f.Name != "authorization" {
				got = append(got, f.Name+"="+f.Value)
			}
		}
		wantFields := []string{
			":method=POST", ":scheme=http", ":authority=apple.example", ":path=/4/broadcasts/apps/com.example.market",
			"apns-push-type=liveactivity", "apns-priority=10", "apns-request-id=" + batch[1].ID.String(), "apns-channel-id=dHR0/A==", "apns-expiration=0",
		}
		if diff := cmp.Diff(wantFields, got, sorted); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	})
}

// sorted compares lists of text without their order, nor content-length.
var sorted = cmp.Transformer("sorted", func(s []string) map[string]bool {
	m := make(map[string]bool)
	for _, v := range s {
		if !strings.HasPrefix(v, "content-length=") {
			m[v] = true
		}
	}
	return m
})

func TestChannelReasons(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]push.Outcome{
		"ChannelNotRegistered": push.Unregistered, "BadChannelId": push.Rejected, "MissingChannelId": push.Rejected, "BadRequestParams": push.Rejected,
		"BadRequestPayload": push.Rejected, "FeatureNotEnabled": push.Rejected, "MissingPushType": push.Rejected, "TopicMismatch": push.Rejected, "BadDate": push.Rejected,
		"InvalidPushType": push.Rejected, "BadExpirationDate": push.Rejected, "PayloadTooLarge": push.Rejected, "TooManyRequests": push.Retry,
		"InvalidProviderToken": push.Refused, "ServiceUnavailable": push.Retry, "TooManyProviderTokenUpdates": push.Down,
	} {
		if r := result(400, []byte(`{"reason":"`+reason+`"}`), "", true); r.Outcome != want || r.Reason != reason {
			t.Errorf("%s: %v %s, want %v", reason, r.Outcome, r.Reason, want)
		}
	}
	for reason := range channelReasons {
		if r := result(400, []byte(`{"reason":"`+reason+`"}`), "", false); r.Outcome != push.Rejected || r.Reason != "HTTP 400" {
			t.Errorf("%s to a device: %+v", reason, r)
		}
	}
}

func TestRevokedKeyClosesItsConnections(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(1500) // two connections
		first := p.accept()
		first.answer(200, "", first.expect(t, 1)...)
		reqs := first.expect(t, 500)
		second := p.accept()
		second.answer(200, "", second.expect(t, 1)...)
		second.answer(200, "", second.expect(t, 500)...)
		first.answer(200, "", reqs...)
		synctest.Wait()
		for _, c := range []*peer{first, second} {
			for len(c.in) > 0 {
				c.answer(200, "", <-c.in)
				synctest.Wait()
			}
		}
		p.wantAll(push.Sent, "")

		p.send(1)
		synctest.Wait()
		used := first
		if len(used.in) == 0 {
			used = second
		}
		used.answer(403, `{"reason":"InvalidProviderToken"}`, used.expect(t, 1)...)
		p.wantAll(push.Refused, "InvalidProviderToken")
		if !first.isClosed() || !second.isClosed() {
			t.Error("a connection that knows the revoked key is open")
		}
		p.send(2) // the gateway's probe
		fresh := p.accept()
		fresh.answer(200, "", fresh.expect(t, 1)...)
		fresh.answer(200, "", fresh.expect(t, 1)...)
		p.wantAll(push.Sent, "")
	})
}

func TestKeyRevokedInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(400)
		apple := p.accept()
		apple.answer(200, "", apple.expect(t, 1)...)
		reqs := apple.expect(t, 399)
		apple.answer(403, `{"reason":"Forbidden"}`, reqs[0]) // once, as a slip
		apple.answer(200, "", reqs[1:9]...)
		apple.answer(403, `{"reason":"InvalidProviderToken"}`, reqs[9:9+enough]...)
		for i, r := range <-p.results {
			switch sent := i == 0 || i >= 2 && i < 10; {
			case sent && r.Outcome != push.Sent, !sent && r.Outcome != push.Refused:
				t.Fatalf("message %d: %+v", i, r)
			}
		}
		if !apple.isClosed() {
			t.Error("the connection is open")
		}
	})
}

func TestTooManyTokensHoldsEverything(t *testing.T) {
	t.Parallel()
	play(t, func(t *testing.T, p *played) {
		p.send(500)
		apple := p.accept()
		for range enough {
			apple.answer(429, `{"reason":"TooManyProviderTokenUpdates"}`, apple.expect(t, 1)...)
		}
		for i, r := range <-p.results {
			if r.Outcome != push.Down || r.Reason != tooManyTokens || r.After < tokenHold {
				t.Fatalf("message %d: %+v", i, r)
			}
		}
		if apple.isClosed() {
			t.Error("the connection is closed: another would be used with the same token")
		}
	})
}

func TestSpentConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	for reason, status := range map[string]int{"Shutdown": 503, "IdleTimeout": 400} {
		t.Run(reason, func(t *testing.T) {
			play(t, func(t *testing.T, p *played) {
				p.send(20)
				apple := p.accept()
				apple.answer(200, "", apple.expect(t, 1)...)
				apple.answer(200, "", apple.expect(t, 19)...)
				p.wantAll(push.Sent, "")
				p.send(1)
				apple.answer(status, `{"reason":"`+reason+`"}`, apple.expect(t, 1)...)
				p.wantAll(push.Retry, reason)
				if !apple.isClosed() {
					t.Error("the connection is open")
				}
				p.send(1)
				fresh := p.accept()
				fresh.answer(200, "", fresh.expect(t, 1)...)
				p.wantAll(push.Sent, "")
			})
		})
	}
}

// A token is at most 50 minutes old and never replaced within 20, whatever Apple
// says of it and whoever asks.
func TestTokensThroughADay(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, refuse := range map[string]func(minute int) bool{
		"never refused":   func(int) bool { return false },
		"always refused":  func(int) bool { return true },
		"now and then":    func(m int) bool { return m%37 == 0 },
		"twice in a row":  func(m int) bool { return m%61 < 2 },
		"at an odd while": func(m int) bool { return m%13 == 5 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenSource{key: key, keyID: "K", teamID: "T", now: time.Now}
				last, made := "", time.Time{}
				note := func(h string) {
					if h == last {
						return
					}
					if now := time.Now(); !made.IsZero() && now.Sub(made) < tokenPause {
						t.Errorf("another token after %v", now.Sub(made))
					}
					last, made = h, time.Now()
				}
				for minute := range 24 * 60 {
					h, err := s.authorization()
					if err != nil {
						t.Fatal(err)
					}
					note(h)
					if refuse(minute) {
						if h, ok := s.renew(h); ok {
							note(h)
						}
					}
					if age := time.Since(made); age > tokenLife {
						t.Errorf("a token of %v", age)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}
