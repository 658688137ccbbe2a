package warm

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// simulate drives a schedule for a span of time, with refreshes that end at
// once, and returns when each combination was refreshed.
func simulate(s *roundRobin, from time.Time, span time.Duration, verdictOf func(key int64, at time.Time) verdict) map[int64][]time.Duration {
	got := map[int64][]time.Duration{}
	for now := s.due(); now.Sub(from) < span; now = s.due() {
		if key, ok := s.take(now); ok {
			got[key] = append(got[key], now.Sub(from))
			s.done(key, now, verdictOf(key, now))
		}
	}
	return got
}

func always(v verdict) func(int64, time.Time) verdict {
	return func(int64, time.Time) verdict { return v }
}

// TestScheduleIsEven holds that every combination has its turn once per
// interval, that no two turns come together, and that the first round is the
// quick one.
func TestScheduleIsEven(t *testing.T) {
	const n, interval = 400, 30 * time.Second
	s := newRoundRobin(n, interval, epoch)
	got := simulate(s, epoch, 10*time.Minute, always(verdictOK))
	var all []time.Duration
	for key := range int64(n) {
		times := got[key]
		if len(times) < 20 {
			t.Fatalf("combination %d had %d turns in 20 intervals", key, len(times))
		}
		if times[0] > interval/firstRound {
			t.Errorf("combination %d had to wait %v for its first turn", key, times[0])
		}
		for i := 2; i < len(times); i++ {
			if gap := times[i] - times[i-1]; gap < interval-time.Millisecond || gap > interval+time.Millisecond {
				t.Fatalf("combination %d: %v between two turns", key, gap)
			}
		}
		all = append(all, times...)
	}
	slices.Sort(all)
	for i := n + 1; i < len(all); i++ {
		if gap := all[i] - all[i-1]; gap < interval/n/2 {
			t.Fatalf("two turns within %v", gap)
		}
	}
}

// TestScheduleCatchesUpSlowly holds that what a pause has cost is not made
// good by a burst.
func TestScheduleCatchesUpSlowly(t *testing.T) {
	const n, interval = 100, 10 * time.Second // a turn every 100 ms
	s := newRoundRobin(n, interval, epoch)
	simulate(s, epoch, 20*time.Second, always(verdictOK))
	for _, pause := range []time.Duration{300 * time.Millisecond, 3 * time.Second, time.Hour} {
		now := s.due().Add(pause)
		start, turns := now, 0
		for now.Sub(start) < time.Second {
			if key, ok := s.take(now); ok {
				turns++
				s.done(key, now, verdictOK)
			}
			if d := s.due(); d.After(now) {
				now = d
			}
		}
		if turns > 14 { // 10 and a quarter, and the debt at the start
			t.Errorf("%d turns in the second after a pause of %v", turns, pause)
		}
	}
}

// TestScheduleLargePlan holds that turns which are closer than any timer are
// taken together, so that the rate is kept.
func TestScheduleLargePlan(t *testing.T) {
	s := newRoundRobin(1_000_000, 10*time.Second, epoch) // 100,000 a second
	simulate(s, epoch, 3*time.Second, always(verdictOK)) // past the first round
	now, turns := s.due(), 0
	for range 1000 { // a timer that rings every millisecond
		now = now.Add(time.Millisecond)
		for !s.due().After(now) {
			if key, ok := s.take(now); ok {
				turns++
				s.done(key, now, verdictOK)
			}
		}
	}
	if turns < 95_000 || turns > 105_000 {
		t.Errorf("%d turns in a second, want 100000", turns)
	}
}

func TestScheduleBacksOff(t *testing.T) {
	const n, interval = 10, 10 * time.Second
	s := newRoundRobin(n, interval, epoch)
	recovered := epoch.Add(20 * time.Minute)
	got := simulate(s, epoch, 40*time.Minute, func(key int64, at time.Time) verdict {
		if key == 3 && at.Before(recovered) {
			return verdictBad
		}
		return verdictOK
	})
	var gaps []int
	for i := 1; i < len(got[3]) && got[3][i] < 20*time.Minute; i++ {
		gaps = append(gaps, int((got[3][i]-got[3][i-1]+interval/2)/interval))
	}
	if len(gaps) < 8 || len(gaps) > 16 || gaps[0] > 1 || gaps[1] < 2 || slices.Max(gaps) > maxBackoff*9/8+1 || slices.Max(gaps) < maxBackoff*7/8 {
		t.Errorf("intervals between the tries of a failing combination: %v", gaps)
	}
	if last := got[3][len(got[3])-2:]; last[1]-last[0] > interval+time.Millisecond {
		t.Errorf("after it has recovered its turns are %v apart", last[1]-last[0])
	}
	if len(got[4]) < 240 {
		t.Errorf("its neighbour had %d turns of 240", len(got[4]))
	}
}

// TestScheduleNeverTwice holds that a combination whose refresh has not ended
// gets no second one.
func TestScheduleNeverTwice(t *testing.T) {
	s := newRoundRobin(2, time.Second, epoch)
	taken := map[int64]int{}
	now := epoch
	for range 20 {
		now = s.due()
		if key, ok := s.take(now); ok {
			taken[key]++
		}
	}
	if diff := cmp.Diff(map[int64]int{0: 1, 1: 1}, taken); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.done(1, now, verdictOK)
	for range 4 {
		now = s.due()
		if key, ok := s.take(now); ok {
			taken[key]++
		}
	}
	if taken[1] != 2 || taken[0] != 1 {
		t.Errorf("after the end of one: %v", taken)
	}
}

func TestPace(t *testing.T) {
	const n, interval = 100, 10 * time.Second
	s := newRoundRobin(n, interval, epoch)
	simulate(s, epoch, 10*time.Second, always(verdictOK))
	p := newPace()
	count := func() int {
		from := s.due()
		turns := 0
		for now := from; now.Sub(from) < time.Minute; now = s.due() {
			s.take(now)
			turns++
		}
		return turns
	}
	if p.observe(verdictBad, epoch, 0) || p.factor != 1 {
		t.Error("one bad combination slows all down")
	}
	if !p.observe(verdictOrigin, epoch, 0) || p.factor != 2 {
		t.Errorf("factor %v after trouble", p.factor)
	}
	s.slow(p.factor)
	if got := count(); got < 240 || got > 360 {
		t.Errorf("%d turns a minute at half speed, want 300", got)
	}
	for range 20 {
		p.observe(verdictOrigin, epoch, time.Hour)
	}
	if p.factor != maxSlowdown || p.hold != epoch.Add(maxHold) {
		t.Errorf("factor %v, hold until %v", p.factor, p.hold)
	}
	s.slow(p.factor)
	if got := count(); got < 8 || got > 16 {
		t.Errorf("%d turns a minute at the slowest, want one every 5 s", got)
	}
	changes := 0
	for range 6 {
		if p.observe(verdictOK, epoch, 0) {
			changes++
		}
	}
	if p.factor != 1 || changes != 1 {
		t.Errorf("factor %v after six good answers, %d changes", p.factor, changes)
	}
}
