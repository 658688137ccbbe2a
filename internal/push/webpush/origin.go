package webpush

import (
	"container/list"
	"math/rand/v2"
	"time"

	"github.com/furima/furima/internal/push"
)

// How an origin is treated.
const (
	firstWindow  = 4           // messages under way at one that has not answered yet
	maxStrangers = 16          // messages under way at all such origins together, or a quarter of max_in_flight
	maxFailures  = 5           // in a row, before a pause
	minPause     = time.Second // doubled each time that the one message after it fails
	maxPause     = time.Minute // one message a minute harms nobody, and shows soon that things are well again
	refusedAfter = 30 * time.Second
)

// origin is one push service as one app knows it. All but token and pool is
// guarded by the sender's lock.
type origin struct {
	name  string // "https://host"
	token vapid
	pool  pool

	place    *list.Element // in the sender's order of use
	lastUsed time.Time
	queue    []lot // messages that wait for the window, in turns
	ready    bool  // in the sender's list of those that may send
	blocked  bool  // in the sender's list of strangers that may not
	stall    *time.Timer

	inFlight int
	window   int       // how many messages may be under way
	proven   bool      // it has answered since it was last in trouble
	known    bool      // it has answered ever
	moved    time.Time // when it last answered, or was given something after it had nothing

	failures int    // in a row
	trouble  string // the reason of the last one
	said     string // the reason that the log has
	suspect  bool   // paused, or tried with one message after a pause
	paused   time.Time
	until    time.Time
	pauses   int       // in a row
	accepted time.Time // when the request was begun that was last accepted
}

// lot is messages of one flight for one origin.
type lot struct {
	f     *flight
	which []int // indexes into its batch
}

// limit is how many messages may be under way.
func (o *origin) limit() int {
	if o.suspect {
		return 1
	}
	return o.window
}

// isSilent reports whether it has something to answer and does not.
func (o *origin) isSilent(now time.Time, after time.Duration) bool {
	return o.inFlight > 0 && now.Sub(o.moved) > after
}

// admit says how many of n new messages may wait for their turn, and what
// becomes of the others.
func (o *origin) admit(n int, now time.Time, stallAfter time.Duration) (int, push.Result) {
	switch {
	case o.suspect && (now.Before(o.until) || o.inFlight > 0 || len(o.queue) > 0):
		return 0, push.Result{Outcome: push.Retry, Reason: o.trouble, After: max(o.until.Sub(now), minPause)}
	case o.suspect:
		return 1, push.Result{Outcome: push.Retry, Reason: o.trouble, After: minPause}
	case o.isSilent(now, stallAfter):
		return 0, push.Result{Outcome: push.Retry, Reason: reasonSlow, After: stallAfter}
	}
	return n, push.Result{}
}

// take removes the next message from the queue. Flights take turns, so that a
// small one does not wait for a large one.
func (o *origin) take() (f *flight, i int) {
	l := o.queue[0]
	copy(o.queue, o.queue[1:])
	i = l.which[0]
	if l.which = l.which[1:]; len(l.which) > 0 {
		o.queue[len(o.queue)-1] = l
	} else {
		o.queue[len(o.queue)-1] = lot{}
		o.queue = o.queue[:len(o.queue)-1]
	}
	return l.f, i
}

// withdraw removes what a flight has in the queue.
func (o *origin) withdraw(f *flight) (which []int) {
	kept := o.queue[:0]
	for _, l := range o.queue {
		if l.f == f {
			which = append(which, l.which...)
		} else {
			kept = append(kept, l)
		}
	}
	clear(o.queue[len(kept):])
	o.queue = kept
	return which
}

// verdict is what became of one message, as its origin is concerned.
type verdict struct {
	effect  effect
	result  push.Result
	started time.Time // when the request was begun
	took    time.Duration
	waited  bool // for room on a connection
}

// learn draws conclusions. It reports whether a pause begins.
func (o *origin) learn(v verdict, now time.Time, t tuning) (pauses bool) {
	switch v.effect {
	case neutral:
		return false
	case offLimit: // which says nothing of the next look at DNS, and costs no more than that
		o.moved = now
		return false
	case took:
		o.moved = now
		o.failures, o.pauses, o.suspect, o.said = 0, 0, false, ""
		o.proven, o.known = true, true
		if v.result.Outcome == push.Sent && v.started.After(o.accepted) {
			o.accepted = v.started
		}
		switch {
		case v.took > t.timeout/2:
			o.window = max(1, o.window/2)
		case v.took < t.timeout/4 && !v.waited:
			o.window = min(o.window+1, t.maxWindow)
		}
		return false
	}
	if v.effect != nobody {
		o.moved = now
	}
	o.trouble = v.result.Reason
	o.failures++
	o.window = max(1, o.window/2)
	switch {
	case o.suspect && !v.started.After(o.paused):
		return false // of the time before the pause, which it does not make longer
	case o.failures < maxFailures && v.effect != nobody && !o.suspect:
		return false
	}
	pause := minPause << min(o.pauses, 6)
	pause = min(pause, maxPause)
	// The upper half is left to chance, so that not all who were refused come
	// back at once.
	pause = max(pause/2+rand.N(pause/2+1), min(v.result.After, maxPause))
	o.pauses++
	o.suspect, o.proven = true, false
	o.paused, o.until = now, now.Add(pause)
	o.window = min(firstWindow, t.maxWindow)
	return true
}

// tuning is what follows from the configuration.
type tuning struct {
	timeout    time.Duration
	stallAfter time.Duration // without an answer, before nothing waits for it any more

	maxWindow, maxStrangers int
}
