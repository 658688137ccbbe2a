package warm

import (
	"math/rand/v2"
	"time"
)

// verdict is what a refresh says about its combination and its origin.
type verdict uint8

const (
	verdictOK verdict = iota
	// verdictBad: the origin answered, but this combination has no good
	// answer (404, 500, a redirect).
	verdictBad
	// verdictOrigin: the origin did not answer or said that it is overloaded
	// (429, 502, 503, 504). The combination is not to blame.
	verdictOrigin
)

// judge returns the verdict of an answer.
func judge(status int) verdict {
	switch {
	case isOK(status):
		return verdictOK
	case status == 429 || status == 502 || status == 503 || status == 504:
		return verdictOrigin
	}
	return verdictBad
}

// schedule decides which combination is refreshed next, and when. Its owner
// waits until due, and for a free worker, and then takes: the choice is made
// at the last moment. A schedule is used by one goroutine at a time.
type schedule interface {
	// due is when the next refresh may begin.
	due() time.Time
	// take chooses a combination to refresh now. ok is false if this turn
	// passes without one; due has moved on either way.
	take(now time.Time) (key int64, ok bool)
	// done tells how the refresh of a taken combination ended.
	done(key int64, now time.Time, v verdict)
	// slow tells by what factor the origin's state stretches the time between
	// two refreshes.
	slow(factor float64)
}

const (
	// firstRound is how much faster than usual the first round goes: a cache
	// that has just started is empty, and every miss in it is a reader's.
	firstRound = 4
	// debt is how far behind a schedule may catch up at once; it covers the
	// coarseness of timers and no more, so that there are no bursts.
	debt = 5 * time.Millisecond
	// catchUp is the least share of the usual spacing that is kept while the
	// schedule catches up what slow answers have cost.
	catchUp = 0.8
	// slowest is the longest pause between two tries of an origin in trouble.
	slowest = 5 * time.Second
	// maxBackoff is how many intervals a failing combination waits at most.
	maxBackoff = 16
)

// roundRobin refreshes every combination once per interval, evenly spread. A
// combination that failed waits one interval, then two, four, up to
// maxBackoff, with jitter.
type roundRobin struct {
	n        int64
	interval time.Duration
	spacing  time.Duration
	factor   float64

	cursor  int64
	round   int64
	nominal time.Time // when the next turn should come
	next    time.Time // when it may come

	failing  map[int64]backoff
	inFlight map[int64]bool
}

type backoff struct {
	times int
	until time.Time
}

func newRoundRobin(n int64, interval time.Duration, now time.Time) *roundRobin {
	return &roundRobin{
		n: n, interval: interval, spacing: max(interval/time.Duration(n), 1), factor: 1,
		nominal: now, next: now, failing: map[int64]backoff{}, inFlight: map[int64]bool{},
	}
}

func (s *roundRobin) due() time.Time { return s.next }

func (s *roundRobin) slow(factor float64) { s.factor = factor }

func (s *roundRobin) take(now time.Time) (int64, bool) {
	key := s.cursor
	s.advance(now)
	if b, failing := s.failing[key]; failing && now.Before(b.until) || s.inFlight[key] {
		return 0, false
	}
	s.inFlight[key] = true
	return key, true
}

// advance moves on to the next combination and its time.
func (s *roundRobin) advance(now time.Time) {
	spacing := s.spacing
	if s.round == 0 {
		spacing /= firstRound
	}
	if s.cursor++; s.cursor == s.n {
		s.cursor = 0
		s.round++
	}
	if s.factor > 1 {
		pause := min(time.Duration(float64(spacing)*s.factor), max(spacing, slowest))
		s.nominal = now.Add(jitter(pause))
		s.next = s.nominal
		return
	}
	virtual := s.next
	if now.Sub(virtual) > debt {
		virtual = now.Add(-debt)
	}
	s.nominal = s.nominal.Add(spacing)
	if now.Sub(s.nominal) > s.interval/2 {
		s.nominal = now // too late to make up for
	}
	s.next = s.nominal
	if least := virtual.Add(time.Duration(catchUp * float64(spacing))); s.next.Before(least) {
		s.next = least
	}
}

func (s *roundRobin) done(key int64, now time.Time, v verdict) {
	delete(s.inFlight, key)
	switch v {
	case verdictOK:
		delete(s.failing, key)
	case verdictBad:
		b := s.failing[key]
		if b.times++; b.times == 1 {
			b.until = now // the next regular turn is an interval away
		} else {
			b.until = now.Add(jitter(s.interval * time.Duration(min(int64(1)<<min(b.times-1, 30), maxBackoff))))
		}
		s.failing[key] = b
	case verdictOrigin:
	}
}

// jitter spreads d by an eighth up and down.
func jitter(d time.Duration) time.Duration {
	return d - d/8 + time.Duration(rand.Int64N(int64(d/4)+1))
}

// pace is how an origin in trouble is given room: every sign of trouble
// doubles the time between two refreshes, every good answer halves it again.
type pace struct {
	factor float64
	hold   time.Time // nothing before, because the origin said Retry-After
}

const (
	maxSlowdown = 64
	maxHold     = 5 * time.Minute
)

func newPace() pace { return pace{factor: 1} }

// observe takes a verdict and reports whether the origin fell into trouble or
// out of it by that.
func (p *pace) observe(v verdict, now time.Time, retryAfter time.Duration) (changed bool) {
	was := p.factor > 1
	switch v {
	case verdictOrigin:
		p.factor = min(p.factor*2, maxSlowdown)
		if retryAfter > 0 {
			p.hold = now.Add(min(retryAfter, maxHold))
		}
	case verdictOK:
		p.factor = max(p.factor/2, 1)
	case verdictBad: // says nothing about the others
	}
	return was != (p.factor > 1)
}
