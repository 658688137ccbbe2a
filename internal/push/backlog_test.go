package push_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// later makes a notification wait for an hour.
func later(p push.Platform, tokens ...string) push.Notification {
	n := to(p, tokens...)
	n.SendAt = time.Now().Add(time.Hour)
	return n
}

func TestBacklogIsExactAfterARestart(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		o := standOptions{url: url, cfg: push.Config{Apps: market(), MaxBacklog: 2000}, providers: map[push.Platform]push.Provider{
			push.APNS: always(&fakeSender{answer: func(m push.Message) push.Result {
				if m.Token[0] == 'x' {
					return push.Result{Outcome: push.Retry, After: time.Hour}
				}
				return push.Result{Outcome: push.Sent}
			}}),
		}}
		s := newStand(t, o)
		want := int64(0)
		for i := range 40 { // of all sizes, and with payloads of all sizes
			n := later(push.APNS, tokens(100*i, i+1)...)
			n.Title = fmt.Sprintf("%0*d", i*50, i)
			s.send("", n)
			want += int64(i + 1)
		}
		id := s.send("", to(push.APNS, append(tokens(9000, 10), "x1", "x2", "x3")...)) // of which some are sent
		want += 3
		s.until(id, func(st pushStatus) bool { return st.Sent == 10 })
		eventually(t, func() bool { return s.gw.Stats("").Backlog == want }, s.logs.String)
		s.stop()
		s = newStand(t, o)
		s.ended(s.send("", to(push.APNS, token(1)))) // it has started
		eventually(t, func() bool { return s.gw.Stats("").Backlog == want }, func() string {
			return fmt.Sprintf("backlog %d after a restart, want %d", s.gw.Stats("").Backlog, want)
		})
		for room := 2000 - want; room > 0; { // to the last one
			n := min(room, 900)
			s.send("", later(push.APNS, tokens(10_000, int(n))...))
			room -= n
		}
		_, err := s.gw.Accept(t.Context(), push.Request{Notifications: []push.Notification{later(push.APNS, token(1))}})
		busy, ok := errors.AsType[*push.BusyError](err)
		if !ok || busy.RetryAfter < time.Second || busy.RetryAfter > 5*time.Minute {
			t.Errorf("one more than may wait: %v", err)
		}
		if got := s.gw.Stats("").Backlog; got != 2000 {
			t.Errorf("backlog %d after that", got)
		}
	})
}

// Of a long queue some requests are looked at.
func TestBacklogOfManyRequestsIsJudgedByItsSize(t *testing.T) {
	t.Parallel()
	o := standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{push.APNS: always(&fakeSender{answer: sentAll})}}
	s := newStand(t, o)
	want := int64(0)
	for i := range 800 {
		n := i%3 + 1
		s.send("", later(push.APNS, tokens(10*i, n)...))
		want += int64(n)
	}
	s.stop()
	s = newStand(t, o)
	s.ended(s.send("", to(push.APNS, token(1))))
	if got := s.gw.Stats("").Backlog; got < want*9/10 || got > want*11/10 {
		t.Errorf("backlog %d, want about %d", got, want)
	}
}

func TestGatewaysSeeEachOthersBacklog(t *testing.T) {
	t.Parallel()
	o := standOptions{url: sqldbtest.MariaDB(t), cfg: push.Config{Apps: market(), MaxBacklog: 150}, providers: map[push.Platform]push.Provider{push.APNS: always(&fakeSender{answer: sentAll})}}
	a, b := newStand(t, o), newStand(t, o)
	a.send("", later(push.APNS, tokens(0, 100)...))
	eventually(t, func() bool { return b.gw.Stats("").Backlog == 100 }, b.logs.String)
	_, err := b.gw.Accept(t.Context(), push.Request{Notifications: []push.Notification{later(push.APNS, tokens(0, 51)...)}})
	if _, ok := errors.AsType[*push.BusyError](err); !ok {
		t.Errorf("together more than may wait: %v", err)
	}
	b.send("", later(push.APNS, tokens(0, 50)...))
	eventually(t, func() bool { return a.gw.Stats("").Backlog == 150 }, a.logs.String)
}
