package push

import (
	"math"
	"time"
)

// failingBatch is how many messages, and nothing but them, must have failed for
// reasons of their own before it is taken for the provider's state.
const failingBatch = 20

// judge tells the breaker how a batch went, and whoever reads the log when
// sending pauses.
func (g *Gateway) judge(l *lane, p pass, b batchTally) {
	var v verdict
	why := b.hold
	switch {
	case b.hold.Outcome == Refused:
		v = verdict{ailing: refused, reason: why.Reason, after: why.After}
	case b.hold.Outcome != 0:
		v = verdict{ailing: down, reason: why.Reason, after: why.After}
	case b.suspect != "":
		v = verdict{ailing: suspect, reason: b.suspect}
	case b.sent > 0, b.final+b.busy > 0 && !l.trust.suspected():
		v.healthy = true
	case b.final == 0 && l.platform == WebPush:
		// Browsers have many push services, and users can name any: the sender
		// holds each of them back on its own.
	case b.final+b.busy == 0 && (p.probe || b.retry >= failingBatch):
		why = b.last
		v = verdict{ailing: down, reason: why.Reason, after: why.After}
	case p.probe: // it answers, but has not shown that it knows any token
		c, reason, _ := l.breaker.state()
		v = verdict{ailing: c, reason: reason}
	}
	c := l.breaker.leave(p, v)
	if c.pause == 0 && !c.closed {
		return
	}
	l.metrics.state(v.ailing)
	attrs := []any{"app", l.app, "provider", string(l.platform)}
	if c.closed {
		g.logger.Info("sending goes on", append(attrs, "held_seconds", c.held.Seconds())...)
		return
	}
	if c.news {
		l.metrics.opened(v.ailing)
	}
	attrs = append(attrs, "reason", v.reason, "pause", c.pause, "err", why.Err)
	switch {
	case !c.news:
		g.logger.Debug("sending pauses on", attrs...)
	case v.ailing == refused:
		g.logger.Error("the provider refuses the app: sending pauses, nothing is lost", attrs...)
	case v.ailing == suspect:
		g.logger.Error("the provider knows none of the app's tokens: the topic or the environment must be wrong; sending pauses, no token is reported dead, nothing is lost", attrs...)
	default:
		g.logger.Warn("the provider takes nothing: sending pauses, nothing is lost", attrs...)
	}
}

// blamesDevice reports whether the reason is about one device, which gets more
// than it may, and says that the provider is well.
func blamesDevice(p Platform, reason string) bool {
	return p == APNS && reason == "TooManyRequests"
}

// slowness is how many times longer the first wait is after an answer that says
// that a device or a project, and not the provider, gets too much.
const slowness = 15

// isSlow reports whether what the answer complains of takes longer to pass than
// other faults. Where the provider says how long, that is what counts.
func isSlow(r Result) bool {
	if r.After > 0 {
		return false
	}
	switch r.Reason {
	case "TooManyRequests", "TooManyProviderTokenUpdates", "QUOTA_EXCEEDED", "429 Too Many Requests":
		return true
	}
	return false
}

// nextRound begins another round, and returns how long to wait before it: as the
// messages were told, and not beyond the moment when one of them expires, which
// is then to be said. d.mu is held.
func (d *delivery) nextRound(minimum, maximum time.Duration, now time.Time) time.Duration {
	if d.slow {
		minimum = min(slowness*minimum, maximum)
	}
	wait := max(backoff(minimum, maximum, d.prog.round), d.after)
	d.prog.round++
	d.dirty = true
	return max(min(wait, d.expiry(now)), 0)
}

// expiry returns how long it is until one of the messages expires that have not
// ended and are not under way. d.mu is held.
func (d *delivery) expiry(now time.Time) time.Duration {
	next := time.Duration(math.MaxInt64)
	start := 0 // number of the part's first message
	for i := range d.env.parts {
		p := &d.env.parts[i]
		if left := p.expires.Sub(now); left < next && d.anyIdle(start, start+len(p.tokens)) {
			next = left
		}
		start += len(p.tokens)
	}
	return next
}

// anyIdle reports whether any of the messages in [from, to) has not ended and is
// not under way. d.mu is held.
func (d *delivery) anyIdle(from, to int) bool {
	for n := from; n < to; n++ {
		if d.idle(n) {
			return true
		}
	}
	return false
}
