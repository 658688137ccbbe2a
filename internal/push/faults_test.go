package push_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// patient is a provider that takes nothing until it is told to, and counts what
// each token gets.
type patient struct {
	fakeSender
	open atomic.Bool

	mu  sync.Mutex
	got map[string]int
}

func newPatient() *patient {
	p := &patient{got: map[string]int{}}
	p.answer = func(m push.Message) push.Result {
		if !p.open.Load() {
			return push.Result{Outcome: push.Down, Reason: "Unreachable"}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got[m.Token]++
		return push.Result{Outcome: push.Sent}
	}
	return p
}

func (p *patient) counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := make(map[string]int, len(p.got))
	for k, v := range p.got {
		got[k] = v
	}
	return got
}

// post sends a request of some tokens over HTTP and returns its id; "" if it was
// answered 503, which must say when to come back.
func (s *stand) post(from, n int) string {
	s.t.Helper()
	body := `{"platform":"apns","title":"Sold!","tokens":[`
	for i := range n {
		if i > 0 {
			body += ","
		}
		body += strconv.Quote(token(from + i))
	}
	w := ask(s.handler, "POST", "/v1/push", "", body+"]}")
	switch w.Code {
	case http.StatusAccepted:
		var a client.PushAccepted
		decode(s.t, w.Body.Bytes(), &a)
		return a.ID
	case http.StatusServiceUnavailable:
		if after, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || after < 1 {
			s.t.Errorf("Retry-After of a 503: %q", w.Header().Get("Retry-After"))
		}
		var p client.Problem
		decode(s.t, w.Body.Bytes(), &p)
		if p.Code != client.Unavailable {
			s.t.Errorf("a 503 says %s", w.Body)
		}
		return ""
	}
	s.t.Fatalf("answered %d %s", w.Code, w.Body)
	return ""
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	p := newPatient()
	s := newStand(t, standOptions{url: sqldbtest.SQLite(t), cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{push.APNS: always(p)}})
	s.ended(mustPost(s, p)) // it works
	limit := func(pages string) {
		t.Helper()
		err := s.db.Tx(context.Background(), func(tx *sqldb.Tx) error {
			var n int64
			return tx.QueryRowContext(context.Background(), "PRAGMA max_page_count = "+pages).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p.open.Store(false)
	var pages int64
	if err := s.db.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit(strconv.FormatInt(pages+100, 10))
	accepted := map[string]int{} // id → first token
	refused := 0
	for i := 1; refused < 5; i++ {
		if i > 500 {
			t.Fatal("the disk does not get full")
		}
		if id := s.post(1000*i, 100); id == "" {
			refused++
		} else {
			accepted[id] = 1000 * i
		}
	}
	if len(accepted) == 0 {
		t.Fatal("nothing was accepted before the disk was full")
	}
	// What waits can be delivered, though little can be written down.
	p.open.Store(true)
	eventually(t, func() bool { return len(p.counts()) > 1 }, s.logs.String)
	limit("1073741823")
	for id := range accepted {
		if st := s.ended(id); st.Sent != 100 {
			t.Errorf("accepted before the disk was full: %+v", st)
		}
	}
	s.ended(mustPost(s, p))
	got := p.counts()
	for id, from := range accepted {
		for i := range 100 {
			if got[token(from+i)] == 0 {
				t.Fatalf("token %d of %s got nothing", i, id)
			}
		}
	}
	if want := 100*len(accepted) + 1; len(got) != want {
		t.Errorf("%d tokens got something, want %d: something of a request that was refused was sent", len(got), want)
	}
}

// mustPost posts something to a provider that takes it.
func mustPost(s *stand, p *patient) string {
	s.t.Helper()
	p.open.Store(true)
	var id string
	eventually(s.t, func() bool {
		id = s.post(0, 1)
		return id != ""
	}, s.logs.String)
	return id
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out MariaDB")
	}
	sqldbtest.MariaDB(t) // skips or fails where there is none
	server, err := sqldbtest.Start(sqldbtest.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	url, err := server.Database(t.Context(), "push")
	if err != nil {
		t.Fatal(err)
	}
	p := newPatient()
	s := newStand(t, standOptions{url: url, cfg: push.Config{Apps: market()}, providers: map[push.Platform]push.Provider{push.APNS: always(p)}})
	s.ended(mustPost(s, p))
	p.open.Store(false)
	accepted := map[string]int{}
	send := func(i int) bool {
		id := s.post(1000*i, 10)
		if id != "" {
			accepted[id] = 1000 * i
		}
		return id != ""
	}
	for i := range 20 {
		if !send(i + 1) {
			t.Fatal("not accepted while all is well")
		}
	}
	for round := range 2 {
		if round == 0 {
			server.Crash()
		} else if err := syscall.Kill(server.Pid(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		done := make(chan bool, 3)
		for i := range 3 {
			from := 1000 * (100 + 10*round + i)
			go func() { done <- s.post(from, 10) == "" }()
		}
		if round == 0 {
			for range 3 {
				if !<-done {
					t.Error("accepted without a database")
				}
			}
			p.open.Store(true) // what is under way can be sent, and not written down
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		} else {
			if err := syscall.Kill(server.Pid(), syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				<-done // either answer is right
			}
		}
		eventually(t, func() bool { return send(200 + len(accepted)) }, s.logs.String)
	}
	for id := range accepted {
		var st client.PushStatus
		eventually(t, func() bool {
			var err error
			st, err = s.gw.Status(t.Context(), id)
			return err == nil && st.Waiting == 0
		}, s.logs.String)
		if st.Sent != 10 {
			t.Errorf("accepted: %+v", st)
		}
	}
	got := p.counts()
	for id, from := range accepted {
		for i := range 10 {
			if got[token(from+i)] == 0 {
				t.Fatalf("token %d of %s got nothing", i, id)
			}
		}
	}
}

func TestClockJumps(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		var ahead atomic.Int64
		p := newPatient()
		s := newStand(t, standOptions{
			url: url, cfg: push.Config{Apps: market()}, now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
			providers: map[push.Platform]push.Provider{push.APNS: always(p)},
		})
		n := to(push.APNS, tokens(5000, 10)...)
		n.SendAt = time.Now().Add(2 * time.Hour)
		later := s.send("", n)
		var ids []string
		for i, jump := range []time.Duration{0, time.Hour, -time.Hour, time.Hour, 0} {
			ahead.Store(int64(jump))
			p.open.Store(false)
			for j := range 5 {
				ids = append(ids, s.post(1000*i+100*j, 50))
			}
			eventually(t, func() bool { return s.gw.Degraded() != nil }, s.logs.String)
			p.open.Store(true)
			s.ended(s.post(90_000+i, 1))
		}
		for _, id := range ids {
			if id == "" {
				t.Fatal("not accepted")
			}
			if st := s.ended(id); st.Sent != 50 {
				t.Errorf("status %+v", st)
			}
		}
		if st := s.status(later); st.Waiting != 10 {
			t.Errorf("what is for later, by every clock: %+v", st)
		}
		for tok, n := range p.counts() {
			if n != 1 {
				t.Errorf("%s got it %d times", tok[56:], n)
			}
		}
	})
}

// A provider that is away for an hour costs it a message a minute, and nobody a
// notification that was worth more than that hour.
func TestProviderDeadForAnHour(t *testing.T) {
	t.Parallel()
	path := "sqlite:" + filepath.Join(t.TempDir(), "test.db")
	synctest.Test(t, func(t *testing.T) {
		p, google := newPatient(), newPatient()
		google.open.Store(true)
		s := newStand(t, standOptions{
			url: path, cfg: push.Config{Apps: market(), RetryMin: time.Second, RetryMax: 5 * time.Minute},
			providers: map[push.Platform]push.Provider{push.APNS: always(p), push.FCM: always(google)},
		})
		defer s.stop() // in the bubble
		began := time.Now()
		var ids []string
		for i := range 20 {
			ids = append(ids, s.send("", to(push.APNS, tokens(100*i, 50)...)))
		}
		short := to(push.APNS, tokens(90_000, 50)...)
		short.TTL = push.Duration(30 * time.Minute)
		shortID := s.send("", short)
		time.Sleep(29 * time.Minute)
		if st := s.status(shortID); st.Waiting != 50 {
			t.Errorf("within its ttl: %+v", st)
		}
		if st := s.gw.Stats(""); st.Backlog != 1050 || st.Platforms[push.APNS].Held != "down" || time.Since(st.Platforms[push.APNS].Since) < 28*time.Minute {
			t.Errorf("stats: %+v", st)
		}
		time.Sleep(2 * time.Minute)
		if st := s.status(shortID); st.Expired != 50 || st.Reasons["Unreachable"] != 50 {
			t.Errorf("beyond its ttl: %+v", st)
		}
		ok := s.send("", to(push.FCM, tokens(0, 10)...))
		time.Sleep(29 * time.Minute)
		if st := s.status(ok); st.Sent != 10 {
			t.Errorf("another provider: %+v", st)
		}
		if age, _ := s.metric("furima_push_backlog_age_seconds", "provider", "apns"); age < 59*60 || age > 61*60 {
			t.Errorf("the backlog is %v seconds old after an hour", age)
		}
		// 21 requests are under way when it begins; from then on there are probes.
		if asked := p.total.Load(); asked > 21*50+150 {
			t.Errorf("a provider that is away was asked %d times", asked)
		}
		p.open.Store(true)
		time.Sleep(2 * time.Minute)
		for _, id := range ids {
			if st := s.status(id); st.Sent != 50 {
				t.Errorf("an hour later: %+v", st)
			}
		}
		if got := p.counts(); len(got) != 1000 {
			t.Errorf("%d tokens got it", len(got))
		}
		if d := s.gw.Degraded(); d != nil || time.Since(began) > 70*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), d)
		}
	})
}
