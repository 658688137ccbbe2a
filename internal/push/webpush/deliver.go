package webpush

import (
	"bytes"
	"context"
	"hash/maphash"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/furima/furima/internal/push"
)

// task is a message to send.
type task struct {
	f        *flight
	i        int
	o        *origin
	stranger bool // its origin had not answered yet
}

// offer puts an origin into its turn, if it may send something. s.mu is held.
func (s *sender) offer(o *origin) {
	switch {
	case o.ready || len(o.queue) == 0 || o.inFlight >= o.limit():
	case o.proven || s.strangers < s.tuning.maxStrangers:
		o.ready = true
		s.ready = append(s.ready, o)
	case !o.blocked:
		o.blocked = true
		s.blocked = append(s.blocked, o)
	}
}

// next returns the next message to send. s.mu is held.
func (s *sender) next(now time.Time) (task, bool) {
	for len(s.ready) > 0 {
		o := s.ready[0]
		s.ready[0] = nil
		s.ready = s.ready[1:]
		o.ready = false
		if len(o.queue) == 0 || o.inFlight >= o.limit() || !o.proven && s.strangers >= s.tuning.maxStrangers {
			s.offer(o) // which puts a stranger aside
			continue
		}
		t := task{o: o, stranger: !o.proven}
		t.f, t.i = o.take()
		if t.stranger {
			s.strangers++
		}
		if o.inFlight == 0 {
			o.moved = now
		}
		o.inFlight++
		s.offer(o)
		return t, true
	}
	return task{}, false
}

// spawn starts goroutines for what may be sent now. s.mu is held.
func (s *sender) spawn(now time.Time) {
	for s.running < s.maxInFlight {
		t, ok := s.next(now)
		if !ok {
			return
		}
		s.running++
		go s.work(t)
	}
}

// work sends messages until there are none.
func (s *sender) work(t task) {
	for ok := true; ok; {
		v := s.deliver(t)
		var bounced []bounce
		prev := t
		t, bounced, ok = s.finish(prev, &v)
		prev.f.done(prev.i, v.result)
		prev.f.count(1)
		settleAll(bounced)
	}
}

// finish draws conclusions from a message and returns the next one. The verdict
// of a message whose VAPID key was refused is completed.
func (s *sender) finish(t task, v *verdict) (next task, bounced []bounce, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, o := time.Now(), t.o
	o.inFlight--
	if t.stranger {
		s.strangers--
	}
	if v.effect == refused {
		s.refusal(t, v, now)
	}
	if o.known && v.effect == offLimit {
		// A name that stood for a push service until now: DNS may be wrong.
		v.result.Outcome, v.effect = push.Retry, nobody
	}
	wasSuspect := o.suspect && o.pauses > 0
	if pauses := o.learn(*v, now, s.tuning); pauses {
		bounced = s.pause(o, *v, now)
	} else if wasSuspect && !o.suspect {
		s.logger.Info("a push service takes messages again", "app", s.app, "origin", o.name)
	}
	s.offer(o)
	s.unblock()
	next, ok = s.next(now)
	if !ok {
		s.running--
	}
	s.spawn(now)
	return next, bounced, ok
}

// unblock gives the first stranger that waits for others its turn, if there is
// room for one. s.mu is held.
func (s *sender) unblock() {
	for s.strangers < s.tuning.maxStrangers && len(s.blocked) > 0 {
		o := s.blocked[0]
		s.blocked[0] = nil
		s.blocked = s.blocked[1:]
		o.blocked = false
		if already := o.ready; !already {
			if s.offer(o); o.ready {
				return
			}
		}
	}
}

// pause sends everything that waits for an origin back, and says so in the log.
// s.mu is held.
func (s *sender) pause(o *origin, v verdict, now time.Time) []bounce {
	o.pool.reset() // a connection that died silently would fail every attempt
	r := push.Result{Outcome: push.Retry, Reason: o.trouble, After: o.until.Sub(now)}
	news := o.said != o.trouble
	o.said = o.trouble
	attrs := []any{"app", s.app, "origin", o.name, "reason", o.trouble, "pause", o.until.Sub(now)}
	switch {
	case !news:
	case v.effect == refused && (o.known || now.Sub(s.cried) > maxPause):
		// Anybody can have a push service that refuses everything.
		s.cried = now
		s.logger.Error("a push service refuses the app's VAPID key: its messages wait, nothing is lost", attrs...)
	case v.effect != refused && o.known:
		s.logger.Warn("a push service takes nothing: its messages wait, nothing is lost", attrs...)
	default:
		s.logger.Debug("a push service that has never answered takes nothing", attrs...)
	}
	return drain(o, r)
}

// drain empties the queue of an origin.
func drain(o *origin, r push.Result) []bounce {
	bounced := make([]bounce, len(o.queue))
	for i, l := range o.queue {
		bounced[i] = bounce{l, r}
	}
	o.queue = nil
	return bounced
}

// maxRefusals bounds how many subscriptions with a refused key are remembered.
const maxRefusals = 4096

// refusal judges a message whose VAPID key was refused. The key may be wrong at
// the push service, or the subscription may have been made with another key.
// If the push service takes a message of this key that was sent after the first
// refusal and this one is refused again, it is the subscription. s.mu is held.
func (s *sender) refusal(t task, v *verdict, now time.Time) {
	id := maphash.String(s.seed, t.f.batch[t.i].Token)
	first, again := s.refusals[id]
	if again && t.o.accepted.After(first) {
		delete(s.refusals, id)
		v.result.Outcome, v.effect = push.Unregistered, neutral
		return
	}
	if !again {
		if len(s.refusals) >= maxRefusals {
			clear(s.refusals)
		}
		s.refusals[id] = now
	}
	v.result.After = refusedAfter
}

// watch has the queue of an origin looked at after a while. s.mu is held.
func (s *sender) watch(o *origin) {
	if o.stall == nil {
		o.stall = time.AfterFunc(s.tuning.stallAfter, func() { s.stalled(o) })
	}
}

// stalled sends back what waits for an origin that does not answer, so that
// batches with its messages end.
func (s *sender) stalled(o *origin) {
	s.mu.Lock()
	o.stall = nil
	var bounced []bounce
	switch now := time.Now(); {
	case len(o.queue) == 0:
	case o.ready || o.inFlight > 0 && !o.isSilent(now, s.tuning.stallAfter):
		s.watch(o)
	default: // it is silent, or a stranger behind others
		bounced = drain(o, push.Result{Outcome: push.Retry, Reason: reasonSlow, After: s.tuning.stallAfter})
	}
	s.mu.Unlock()
	settleAll(bounced)
}

// deliver sends one message.
func (s *sender) deliver(t task) verdict {
	m := &t.f.batch[t.i]
	sub, err := parse(m.Token, s.private)
	if err != nil {
		return verdict{result: push.Result{Outcome: push.Rejected, Reason: reasonSubscription}}
	}
	if t.f.ctx.Err() != nil {
		return verdict{result: push.Result{Outcome: push.Retry, Reason: reasonStopped}}
	}
	authorization, err := t.o.token.authorization(s.signer, t.o.name)
	if err != nil {
		return verdict{result: push.Result{Outcome: push.Refused, Reason: reasonKey, Err: err}}
	}
	v := verdict{started: time.Now()}
	for second := false; ; second = true {
		if stale := s.attempt(t, sub, m.Rendered, authorization, &v); !stale || second {
			break
		}
	}
	v.took = time.Since(v.started)
	return v
}

// attempt makes one request. stale says that a connection that had been kept
// was closed before there was an answer.
func (s *sender) attempt(t task, sub *subscription, rendered *push.Rendered, authorization []string, v *verdict) (stale bool) {
	ctx, cancel := context.WithTimeout(t.f.ctx, s.tuning.timeout)
	defer cancel()
	l, err := t.o.pool.acquire(ctx)
	if err != nil {
		v.result, v.effect = judgeError(t.f.ctx, err, false)
		return false
	}
	answered := false
	defer func() { t.o.pool.release(l.c, answered) }()
	v.waited = l.waited
	body, err := encrypt(rendered.Payload, sub)
	if err != nil {
		l.c.Release()
		v.result, v.effect = push.Result{Outcome: push.Rejected, Reason: reasonPayload}, neutral
		return false
	}
	began := time.Now()
	res, err := l.c.RoundTrip(s.request(ctx, sub, rendered, authorization, body))
	took := time.Since(began)
	if err != nil {
		v.result, v.effect = judgeError(t.f.ctx, err, true)
		return l.reused && v.result.Reason == reasonLost
	}
	answered = true
	if res.StatusCode != http.StatusSwitchingProtocols { // what follows that ends when the peer likes
		// Read to its end a connection can be used again.
		_, _ = io.CopyN(io.Discard, res.Body, maxAnswerBody) // the answer is known, whatever follows
	}
	_ = res.Body.Close()
	v.result, v.effect = answer(res.StatusCode, res.Header, s.now())
	v.result.Took = took
	return false
}

// request makes the request for one message.
func (s *sender) request(ctx context.Context, sub *subscription, rendered *push.Rendered, authorization []string, body []byte) *http.Request {
	h := make(http.Header, 8)
	h["Authorization"] = authorization
	h["Content-Encoding"] = contentEncoding
	h["Content-Type"] = contentType
	h["User-Agent"] = userAgent
	for i := range rendered.Header {
		switch f := &rendered.Header[i]; f.Name {
		case headerTTL:
			h["Ttl"] = []string{f.Value}
		case headerExpires:
			h["Ttl"] = []string{s.ttl(f.Value)}
		case headerUrgency:
			h["Urgency"] = []string{f.Value}
		case headerTopic:
			h["Topic"] = []string{f.Value}
		}
	}
	r := &http.Request{
		Method: http.MethodPost, URL: sub.url, Host: sub.url.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	return r.WithContext(ctx)
}

// Values that all requests share.
var (
	contentEncoding = []string{"aes128gcm"}
	contentType     = []string{"application/octet-stream"}
	userAgent       = []string{"furima"}
)

// ttl is what is left of a message's time, in seconds.
func (s *sender) ttl(expires string) string {
	at, err := strconv.ParseInt(expires, 10, 64)
	if err != nil {
		return "0"
	}
	return strconv.FormatInt(max(0, at-s.now().Unix()), 10)
}
