package fcm

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// spend takes as much as the quota lets through for so long, in portions.
func spend(t *testing.T, q *quota, d time.Duration) (n int) {
	t.Helper()
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		k := q.portion(1 << 30)
		if err := q.take(t.Context(), k, true); err != nil {
			t.Fatal(err)
		}
		n += k
	}
	return n
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*want }

func TestQuotaRampsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(600_000, time.Now)
		first := spend(t, q, time.Second)
		if !near(float64(first), rampFrom, 0.2) {
			t.Errorf("%d in the first second, want about %d", first, rampFrom)
		}
		spend(t, q, 29*time.Second)
		if half := spend(t, q, time.Second); !near(float64(half), 5500, 0.1) {
			t.Errorf("%d in a second after half a minute, want about 5500", half)
		}
		spend(t, q, 31*time.Second)
		if minute := spend(t, q, time.Minute); !near(float64(minute), 600_000, 0.01) {
			t.Errorf("%d in a minute after a minute, want about 600000", minute)
		}
		// Little use is no use, and so is none.
		time.Sleep(30 * time.Second)
		if n := spend(t, q, time.Second); !near(float64(n), 5500, 0.1) {
			t.Errorf("%d in a second after half a minute of nothing, want about 5500", n)
		}
		time.Sleep(time.Hour)
		if n := spend(t, q, time.Second); !near(float64(n), rampFrom, 0.2) {
			t.Errorf("%d in a second after an hour of nothing, want about %d", n, rampFrom)
		}
	})
}

func TestSmallQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(60, time.Now)
		if n := spend(t, q, 10*time.Minute); n < 600 || n > 602 {
			t.Errorf("%d in ten minutes at 60 a minute", n)
		}
		// What was not used does not pile up.
		time.Sleep(time.Hour)
		if n := spend(t, q, time.Minute); n > 62 {
			t.Errorf("%d in a minute after an hour", n)
		}
		// More at once than fits is paid for afterwards.
		start := time.Now()
		for range 2 {
			if err := q.take(t.Context(), 30, true); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 29*time.Second {
			t.Errorf("60 took %v", d)
		}
	})
}

func TestQuotaIsHalvedAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(600_000, time.Now)
		spend(t, q, 2*time.Minute)
		for range 100 { // the answers to what was under way
			q.exceeded(0)
		}
		if n := spend(t, q, 50*time.Second); !near(float64(n), 250_000, 0.02) {
			t.Errorf("%d in 50 seconds after 429, want about 250000", n)
		}
		spend(t, q, 50*time.Second) // of which 40 with more and more
		if n := spend(t, q, 10*time.Second); !near(float64(n), 100_000, 0.05) {
			t.Errorf("%d in 10 seconds when all is well, want about 100000", n)
		}
		for range 20 {
			q.exceeded(0)
			time.Sleep(cutPause)
		}
		if n := spend(t, q, 10*time.Second); !near(float64(n), 10*10_000*slowest, 0.2) {
			t.Errorf("%d in 10 seconds after many 429, want about %v", n, 100_000*slowest)
		}
		q.exceeded(10 * time.Minute)
		rate := q.rate
		if spend(t, q, 9*time.Minute); q.rate != rate {
			t.Errorf("it grew within Retry-After: from %v to %v", rate, q.rate)
		}
		time.Sleep(time.Hour)
		if n := spend(t, q, time.Second); !near(float64(n), rampFrom, 0.2) {
			t.Errorf("%d in a second after an hour, want about %d", n, rampFrom)
		}
	})
}

func TestQuotaWaitsWithinTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(1, time.Now)
		if err := q.take(t.Context(), 1, true); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 { // one has the turn, two wait for it
			wg.Go(func() {
				start := time.Now()
				if err := q.take(ctx, 1, true); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if d := time.Since(start); d != 5*time.Second {
					t.Errorf("it took %v", d)
				}
			})
		}
		wg.Wait()
		if err := q.take(ctx, 1, true); err == nil {
			t.Error("an ended context was let through")
		}
		// The turn was passed on, and nothing was spent.
		start := time.Now()
		if err := q.take(t.Context(), 1, true); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 56*time.Second {
			t.Errorf("the next one waited %v", d)
		}
	})
}

func TestUrgentOvertakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(60, time.Now)
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		ask := func(name string, urgent bool) {
			wg.Go(func() {
				if err := q.take(t.Context(), 1, urgent); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			})
			synctest.Wait()
		}
		ask("first", false)
		ask("bulk", false) // has the turn
		ask("bulk", false)
		ask("bulk", false)
		ask("urgent", true)
		ask("urgent", true)
		wg.Wait()
		want := []string{"first", "bulk", "urgent", "urgent", "bulk", "bulk"}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("in the order %v, want %v", order, want)
			}
		}
	})
}

func TestNoQuota(t *testing.T) {
	t.Parallel()
	var q *quota
	if n := q.portion(12345); n != 12345 {
		t.Errorf("a portion of %d", n)
	}
	q.exceeded(time.Hour)
	if err := q.take(t.Context(), 1<<40, false); err != nil {
		t.Error(err)
	}
}

// A clock that jumps makes nobody wait for long, nor lets everything through.
func TestQuotaAndTheClock(t *testing.T) {
	t.Parallel()
	now := noon
	q := newQuota(600_000, func() time.Time { return now })
	if err := q.take(t.Context(), 100, true); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-24 * time.Hour)
	q.portion(1)
	now = now.Add(time.Second)
	if n := q.portion(1 << 20); n > 150 {
		t.Errorf("a portion of %d after the clock was set back", n)
	}
	if err := q.take(t.Context(), 100, true); err != nil {
		t.Fatal(err)
	}
	now = now.Add(365 * 24 * time.Hour)
	if n := q.portion(1 << 20); n > 150 {
		t.Errorf("a portion of %d after a year", n)
	}
}

func TestQuotaCanBeChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewProvider(Options{})
		q := p.quota("p", 600_000)
		if p.quota("p", 60) != q || p.quota("other", 60) == q || p.quota("p", -1) != nil {
			t.Error("apps of a project do not share its quota")
		}
		spend(t, q, 10*time.Second)
		if n := spend(t, q, time.Minute); n > 61 {
			t.Errorf("%d in a minute at 60", n)
		}
		p.quota("p", 600_000)
		spend(t, q, 10*time.Minute)
		if n := spend(t, q, time.Second); !near(float64(n), 10_000, 0.2) {
			t.Errorf("%d in a second at 600000 a minute", n)
		}
	})
}
