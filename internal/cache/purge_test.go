package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/furima/furima/internal/cache"
)

func TestPurgedAnswerIsMadeAgainInTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items", "item:7", "item:7")}
		run(t, a.c)
		a.want("load 1", "fwd=miss; stored")
		a.c.Purge("item:8")
		a.c.Purge()
		a.want("load 1", "hit; ttl=9")
		a.c.Purge("item:7")
		a.want("load 2", "fwd=stale; stored")
		a.want("load 2", "hit; ttl=9")
	})
}

// A load takes a second here. The purge comes at 500 ms; requests come at
// different times around it.
func TestPurgeDuringALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		var wg sync.WaitGroup
		at := func(ms int, f func()) {
			wg.Go(func() {
				time.Sleep(time.Duration(ms) * time.Millisecond)
				f()
			})
		}
		at(0, func() { a.want("load 1", "fwd=miss") })              // began it, may have it
		at(400, func() { a.want("load 1", "fwd=miss; collapsed") }) // came before the purge
		at(500, func() { a.c.Purge("other"); a.c.Purge("items") })  //
		var stored, collapsed atomic.Int64
		after := func() { // came after the purge: one of them leads the next load
			switch res, body, err := a.serve(t.Context()); {
			case err != nil || body != "load 2":
				t.Errorf("got %q, %v; want load 2", body, err)
			case res.Header.Get("Cache-Status") == "furima; fwd=miss; stored":
				stored.Add(1)
			case res.Header.Get("Cache-Status") == "furima; fwd=miss; stored; collapsed":
				collapsed.Add(1)
			}
		}
		at(600, after)
		at(700, after)
		at(1500, after)
		at(2500, func() { a.want("load 2", "hit; ttl=9") })
		wg.Wait()
		if stored.Load() != 1 || collapsed.Load() != 2 {
			t.Errorf("%d led the second load and %d joined it, want 1 and 2", stored.Load(), collapsed.Load())
		}
	})
}

func TestPurgeOfAnotherTagDoesNotVoidALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		var wg sync.WaitGroup
		wg.Go(func() { a.want("load 1", "fwd=miss; stored") })
		synctest.Wait()
		a.c.Purge("other")
		a.want("load 1", "fwd=miss; stored; collapsed")
		wg.Wait()
	})
}

// A tag that is purged without end must not keep a request waiting without end.
func TestReadersGetThroughAStormOfPurges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		ctx, cancel := context.WithCancel(t.Context())
		var storm, readers sync.WaitGroup
		storm.Go(func() {
			for ctx.Err() == nil {
				a.c.Purge("items")
				time.Sleep(time.Millisecond)
			}
		})
		for i := range 50 {
			readers.Go(func() {
				time.Sleep(time.Duration(i) * 37 * time.Millisecond)
				begin := time.Now()
				if _, _, err := a.serve(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > 2*time.Second {
					t.Errorf("a request took %v, want at most the rest of one load and another", took)
				}
			})
		}
		readers.Wait()
		cancel()
		storm.Wait()
	})
}

func TestKeptAnswersAreRenewedAtOnceWhenPurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		run(t, a.c)
		a.want("load 1", "fwd=request; stored", cache.RefreshHeader, secret)
		for n := 2; n <= 4; n++ { // renewing keeps it kept
			a.c.Purge("items")
			time.Sleep(1500 * time.Millisecond)
			a.want(fmt.Sprint("load ", n), "hit; ttl=9")
		}
		// A reader who is quicker than the renewal waits for it and does not start another.
		a.c.Purge("items")
		synctest.Wait()
		a.want("load 5", "fwd=stale; stored; collapsed")
		if got := a.loads.Load(); got != 5 {
			t.Errorf("%d loads, want 5", got)
		}
		// An hour after the last refresh nobody keeps it any more.
		time.Sleep(time.Hour)
		a.want("load 6", "fwd=stale; stored")
		a.c.Purge("items")
		time.Sleep(5 * time.Second)
		a.want("load 7", "fwd=stale; stored")
	})
}

func TestRepeatedPurgesOfAKeptAnswerAreOneRenewalAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{})}
		var running, most atomic.Int64
		a.load = func(ctx context.Context, n int64) (cache.Answer, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			return text("items")(ctx, n)
		}
		run(t, a.c)
		a.want("load 1", "fwd=request; stored", cache.RefreshHeader, secret)
		for range 200 {
			a.c.Purge("items")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		a.want("load 4", "hit; ttl=7") // they began 0, 1 and 2 s after the first purge; the last one after the last purge
		if most.Load() != 1 {
			t.Errorf("%d loads of one key at once", most.Load())
		}
	})
}

func TestARefreshThatJoinsALoadKeepsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		run(t, a.c)
		var wg sync.WaitGroup
		wg.Go(func() { a.want("load 1", "fwd=miss; stored") })
		synctest.Wait()
		a.want("load 1", "fwd=request; stored; collapsed", cache.RefreshHeader, secret)
		wg.Wait()
		a.c.Purge("items")
		time.Sleep(1500 * time.Millisecond)
		a.want("load 2", "hit; ttl=9")
	})
}

func TestARefreshThatAPurgeMakesVoidIsMadeAgainBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		run(t, a.c)
		var wg sync.WaitGroup
		wg.Go(func() { a.want("load 1", "fwd=request", cache.RefreshHeader, secret) })
		synctest.Wait()
		a.c.Purge("items")
		wg.Wait()
		time.Sleep(1500 * time.Millisecond)
		a.want("load 2", "hit; ttl=9") // and not a miss, although load 1 was not stored
	})
}

func TestRenewalsAreBoundedAndPurgedOnesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		c := cache.New(cfg, cache.Options{})
		var mu sync.Mutex
		var order []string
		running, most := 0, 0
		serve := func(key string, refresh bool) {
			t.Helper()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if refresh {
				r.Header.Set(cache.RefreshHeader, secret)
			}
			err := c.Serve(httptest.NewRecorder(), r, key, func(context.Context) (cache.Answer, error) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				running--
				order = append(order, key)
				mu.Unlock()
				return cache.Answer{Body: []byte("x"), Tags: []string{key[:1]}}, nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		for i := range 6 {
			serve(fmt.Sprint("a", i), false)
			serve(fmt.Sprint("b", i), true)
		}
		run(t, c)
		time.Sleep(20 * time.Second)
		order, most = nil, 0
		for i := range 6 {
			serve(fmt.Sprint("a", i), false) // stale: served, and queued
		}
		for i := range 6 {
			serve(fmt.Sprint("b", i), false) // the same, behind them
		}
		c.Purge("b") // now they overtake
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(order) != 12 || most != cfg.Renewers {
			t.Errorf("%d renewals, %d at once; want 12, %d", len(order), most, cfg.Renewers)
		}
		last := slices.IndexFunc(order, func(k string) bool { return k[0] == 'a' && k > "a1" }) // a0 and a1 were running
		if first := strings.Join(order[:last], ""); strings.Count(first, "b") != 6 {
			t.Errorf("renewed in the order %v, want all of b before the rest of a", order)
		}
	})
}

func TestFailedRenewalIsHeldBackAndTheAnswerStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{Registerer: reg})}
		a.load = func(ctx context.Context, n int64) (cache.Answer, error) {
			switch n {
			case 2:
				return cache.Answer{}, errors.New("broken")
			case 3:
				panic("oops") // in the background: must not end the process
			}
			return cache.Answer{Body: fmt.Append(nil, "load ", n)}, nil
		}
		run(t, a.c)
		a.want("load 1", "fwd=miss; stored")
		time.Sleep(11 * time.Second)
		for range 3 {
			a.want("load 1", "hit; ttl=-1")
			synctest.Wait()
		}
		if got := a.loads.Load(); got != 2 {
			t.Errorf("%d loads, want 2: no try within a second of a failure", got)
		}
		time.Sleep(time.Second)
		a.want("load 1", "hit; ttl=-2")
		time.Sleep(time.Second)
		a.want("load 1", "hit; ttl=-3")
		synctest.Wait()
		a.want("load 4", "hit; ttl=10")
		if n := gather(t, reg)["furima_cache_renewals_total error"]; n != 2 {
			t.Errorf("%v failed renewals counted, want 2", n)
		}
	})
}

func TestRunStopsAndLeavesACacheThatWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answerer{t: t, c: cache.New(testConfig(), cache.Options{}), load: text("items")}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.c.Run(ctx) }()
		synctest.Wait()
		a.want("load 1", "fwd=request; stored", cache.RefreshHeader, secret)
		a.c.Purge("items")
		synctest.Wait() // the renewal runs
		cancel()
		begin := time.Now()
		if err := <-done; err != nil || time.Since(begin) != 0 {
			t.Errorf("Run ended after %v with %v; want at once, nil", time.Since(begin), err)
		}
		a.c.Purge("items")
		a.want("load 3", "fwd=stale; stored")
		time.Sleep(12 * time.Second)
		a.want("load 3", "hit; ttl=-3")
		time.Sleep(2 * time.Second)
		a.want("load 3", "hit; ttl=-5") // nobody renews
	})
}

// event is something that happens at a moment of a history.
type event struct {
	At   int // milliseconds
	Kind string
	Key  int
	Tag  int // of a write
	Took int // of a load that this request may start: milliseconds
}

// TestNoAnswerIsOlderThanAPurge plays random histories. Each tag has a version,
// which a write raises before it purges the tag, as a transaction does. A load reads the versions
// of its tags when it begins (the worst moment), and takes its time. No request may see a version
// older than that of the last purge which had ended when it came.
func TestNoAnswerIsOlderThanAPurge(t *testing.T) {
	const tags, keys = 3, 3
	events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			At:   rapid.IntRange(0, 400).Draw(t, "at"),
			Kind: rapid.SampledFrom([]string{"read", "read", "read", "write", "write", "refresh", "leave"}).Draw(t, "kind"),
			Key:  rapid.IntRange(0, keys-1).Draw(t, "key"),
			Tag:  rapid.IntRange(0, tags-1).Draw(t, "tag"),
			Took: rapid.IntRange(0, 60).Draw(t, "took"),
		}
	}), 1, 60)
	rapid.Check(t, func(rt *rapid.T) {
		history := events.Draw(rt, "events")
		limit := rapid.SampledFrom([]int64{1 << 12, 1 << 26}).Draw(rt, "budget")
		var wrong []string
		synctest.Test(t, func(t *testing.T) { wrong = play(t, history, limit, tags) })
		if len(wrong) > 0 {
			rt.Fatalf("%s", strings.Join(wrong, "\n"))
		}
	})
}

func play(t *testing.T, history []event, limit int64, tags int) (wrong []string) {
	cfg := testConfig()
	cfg.MaxBytes = limit
	cfg.Fresh, cfg.Stale = 40*time.Millisecond, 40*time.Millisecond
	c := cache.New(cfg, cache.Options{})
	run(t, c)
	var mu sync.Mutex
	version, told := make([]int, tags), make([]int, tags) // told: as of the last purge that has ended
	var wg sync.WaitGroup
	for _, ev := range history {
		wg.Go(func() {
			time.Sleep(time.Duration(ev.At) * time.Millisecond)
			if ev.Kind == "write" {
				mu.Lock()
				version[ev.Tag]++
				v := version[ev.Tag]
				mu.Unlock()
				c.Purge(fmt.Sprint("tag", ev.Tag))
				mu.Lock()
				told[ev.Tag] = max(told[ev.Tag], v)
				mu.Unlock()
				return
			}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			switch ev.Kind {
			case "refresh":
				r.Header.Set(cache.RefreshHeader, secret)
			case "leave":
				ctx, cancel := context.WithTimeout(r.Context(), 5*time.Millisecond)
				defer cancel()
				r = r.WithContext(ctx)
			}
			mu.Lock()
			least := slices.Clone(told)
			mu.Unlock()
			w := httptest.NewRecorder()
			// Key k has the tags k and k+1.
			mine := []int{ev.Key % tags, (ev.Key + 1) % tags}
			err := c.Serve(w, r, fmt.Sprint("key", ev.Key), func(context.Context) (cache.Answer, error) {
				mu.Lock()
				body := fmt.Sprint(version[mine[0]], " ", version[mine[1]])
				mu.Unlock()
				time.Sleep(time.Duration(ev.Took) * time.Millisecond)
				return cache.Answer{Body: []byte(body), Tags: []string{fmt.Sprint("tag", mine[0]), fmt.Sprint("tag", mine[1])}}, nil
			})
			if ev.Kind == "leave" && errors.Is(err, context.DeadlineExceeded) {
				return
			}
			var got [2]int
			if _, scan := fmt.Sscan(w.Body.String(), &got[0], &got[1]); err != nil || scan != nil {
				t.Errorf("%+v: %v, %q", ev, err, w.Body)
				return
			}
			for i, tag := range mine {
				if got[i] < least[tag] {
					mu.Lock()
					wrong = append(wrong, fmt.Sprintf("%+v: version %d of tag %d, want at least %d (%s)", ev, got[i], tag, least[tag], w.Header().Get("Cache-Status")))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return wrong
}

// TestPurgesUnderRealConcurrency is the same promise with the machine's own interleavings.
func TestPurgesUnderRealConcurrency(t *testing.T) {
	cfg := testConfig()
	cfg.MaxBytes = 16 << 10 // evictions take part
	c := cache.New(cfg, cache.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() { _ = c.Run(ctx) })
	var version, told [8]atomic.Int64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 4000 {
				n := (i*7 + worker) % len(version)
				tag := fmt.Sprint("tag", n)
				if i%5 == 0 {
					v := version[n].Add(1)
					c.Purge(tag)
					for old := told[n].Load(); old < v && !told[n].CompareAndSwap(old, v); old = told[n].Load() {
					}
					continue
				}
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				if i%11 == 0 {
					r.Header.Set(cache.RefreshHeader, secret)
				}
				least := told[n].Load()
				w := httptest.NewRecorder()
				err := c.Serve(w, r, tag, func(context.Context) (cache.Answer, error) {
					return cache.Answer{Body: fmt.Append(nil, version[n].Load()), Tags: []string{tag}}, nil
				})
				var got int64
				if _, scan := fmt.Sscan(w.Body.String(), &got); err != nil || scan != nil || got < least {
					t.Errorf("version %d, want at least %d; %v %v", got, least, err, scan)
					return
				}
			}
		})
	}
	wg.Wait()
	cancel()
	background.Wait()
}
