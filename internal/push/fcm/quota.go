package fcm

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// rampFrom is the rate, in messages a second, that sending may begin with at
	// once. Above it the rate grows, so that from there to the full one it takes
	// rampTime: Google asks for at least a minute.
	rampFrom = 1000
	rampTime = 60 // seconds
	// share of a second's messages that are let through together. It is what an
	// urgent message may have to wait for.
	share = 0.1
	// slowFor is how long the rate does not grow after it was halved, if Google
	// does not ask for longer. Answers within cutPause halve it once.
	slowFor  = time.Minute
	cutPause = 5 * time.Second
	// slowest is the part of the full rate that halving ends at.
	slowest = 1.0 / 32
)

// quota is what Google lets a project send: a bucket that fills at a rate. The
// rate is not the full one at the start. It grows in every second in which at
// least half of what was allowed was used, and falls as slowly in others, back
// to rampFrom; so a sender that was quiet does not come back with everything at
// once. When Google says that the quota is exceeded, the rate is halved and
// stays so for a while.
//
// Callers go one at a time, urgent ones first; it is for them to take no more
// than portion says. A nil quota lets everything through.
type quota struct {
	now func() time.Time

	mu      sync.Mutex
	full    float64 // messages a second
	rate    float64 // what is allowed now
	balance float64 // messages that may go at once
	at      time.Time
	second  time.Time // in which used counts
	used    float64
	slow    time.Time // no growth until then
	cutAt   time.Time
	busy    bool            // somebody has the turn
	urgent  []chan struct{} // wait for the turn
	others  []chan struct{} // wait behind them
}

func newQuota(perMinute int, now func() time.Time) *quota {
	q := &quota{now: now}
	q.at = now()
	q.second = q.at
	q.set(perMinute)
	q.rate = q.base()
	q.balance = q.capacity()
	return q
}

// set changes the full rate.
func (q *quota) set(perMinute int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = float64(perMinute) / 60
	q.rate = min(q.rate, q.full)
}

// base is the rate that needs no growing to.
func (q *quota) base() float64 { return min(q.full, rampFrom) }

// capacity is how much goes at once after a pause.
func (q *quota) capacity() float64 { return max(q.rate*share, 1) }

// portion is how many messages to take at once, at most n.
func (q *quota) portion(n int) int {
	if q == nil {
		return n
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advance(q.now())
	return min(n, int(q.capacity()))
}

// take waits until n messages may go. It ends with an error when ctx does.
func (q *quota) take(ctx context.Context, n int, urgent bool) error {
	if q == nil {
		return ctx.Err()
	}
	if err := q.begin(ctx, urgent); err != nil {
		return err
	}
	defer q.end()
	for {
		q.mu.Lock()
		q.advance(q.now())
		need := min(float64(n), q.capacity())
		if q.balance >= need {
			q.balance -= float64(n)
			q.used += float64(n)
			q.mu.Unlock()
			return nil
		}
		wait := time.Duration((need-q.balance)/q.rate*float64(time.Second)) + time.Microsecond
		q.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// begin waits for the turn; end must follow if there is no error.
func (q *quota) begin(ctx context.Context, urgent bool) error {
	q.mu.Lock()
	if err := ctx.Err(); err != nil || !q.busy {
		q.busy = q.busy || err == nil
		q.mu.Unlock()
		return err
	}
	line := &q.others
	if urgent {
		line = &q.urgent
	}
	turn := make(chan struct{})
	*line = append(*line, turn)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(*line, turn)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 { // it has come all the same
		q.end()
	}
	return ctx.Err()
}

// end passes the turn on.
func (q *quota) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range []*[]chan struct{}{&q.urgent, &q.others} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = slices.Delete(*line, 0, 1)
			return
		}
	}
	q.busy = false
}

// exceeded halves the rate: Google has refused messages that the bucket let
// through.
func (q *quota) exceeded(after time.Duration) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.advance(now)
	if age := now.Sub(q.cutAt); age >= 0 && age < cutPause {
		return
	}
	q.cutAt, q.slow = now, now.Add(max(after, slowFor))
	q.rate = max(q.rate/2, q.full*slowest)
	q.balance = min(q.balance, 0)
}

// advance brings the bucket and the rate up to now. q.mu is held.
func (q *quota) advance(now time.Time) {
	if now.Before(q.at) { // the clock was set back
		q.at, q.second, q.slow = now, now, time.Time{}
	}
	q.balance = min(q.balance+now.Sub(q.at).Seconds()*q.rate, q.capacity())
	q.at = now
	past := int(now.Sub(q.second) / time.Second)
	if past == 0 {
		return
	}
	for i := range min(past, 2*rampTime) { // later ones change nothing any more
		q.adapt(q.second.Add(time.Duration(i+1) * time.Second))
		q.used = 0
	}
	q.second = q.second.Add(time.Duration(past) * time.Second)
	q.balance = min(q.balance, q.capacity())
}

// adapt changes the rate by what was used in a second that ended. q.mu is held.
func (q *quota) adapt(end time.Time) {
	step := max(q.full-q.base(), q.base()) / rampTime
	switch {
	case end.Before(q.slow):
	case q.used >= q.rate/2:
		q.rate = min(q.rate+step, q.full)
	case q.rate < q.base():
		q.rate = min(q.rate+step, q.base())
	default:
		q.rate = max(q.rate-step, q.base())
	}
}
