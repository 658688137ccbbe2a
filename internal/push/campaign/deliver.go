package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/furima/furima/client"
)

// errStopped means that a part ended because the run does.
var errStopped = errors.New("stopped")

// deliverAll sends batches until there are none.
func (c *run) deliverAll(ctx, cutting, calls context.Context, batches <-chan *batch) {
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return
			}
			c.results <- c.deliver(ctx, calls, b)
		case <-cutting.Done():
			return
		}
	}
}

// deliver sends a batch until it is settled: accepted, or what was not is known
// to be bad.
func (c *run) deliver(ctx, calls context.Context, b *batch) result {
	res := result{seq: b.seq, end: b.end, lines: b.lines, bad: b.bad}
	badLines := make(map[int64]bool) // a line with several tokens counts once
	res.err = c.deliverPart(ctx, calls, b, &res, badLines)
	res.bad += int64(len(badLines))
	return res
}

func (c *run) deliverPart(ctx, calls context.Context, b *batch, res *result, badLines map[int64]bool) error {
	for b.units > 0 {
		req, spans := b.request()
		key, err := keyOf(c.state.Campaign, b, req)
		if err != nil {
			return err
		}
		req.IdempotencyKey = key
		accepted, err := c.send(ctx, calls, req)
		if err == nil {
			res.receipts = append(res.receipts, Receipt{ID: accepted.ID, Accepted: accepted.Accepted, FirstLine: b.first, LastLine: b.end.Line})
			return nil
		}
		problem, ok := errors.AsType[*client.Problem](err)
		if !ok {
			return err
		}
		var r refusal
		switch {
		case problem.Status == http.StatusRequestEntityTooLarge && b.units > 1:
			head, tail := b.split()
			if err := c.deliverPart(ctx, calls, head, res, badLines); err != nil {
				return err
			}
			b = tail
			continue
		case problem.Status == http.StatusRequestEntityTooLarge:
			r.add(b.parts[0].lines[0], "is larger than the gateway takes")
			b.units = 0
		case problem.Status == http.StatusUnprocessableEntity:
			if r, ok = b.drop(problem.Errors, spans); !ok {
				return err
			}
			if r.shared {
				return fmt.Errorf("the gateway refuses the text: %s", r.lines[0].Reason)
			}
		default:
			return err
		}
		for _, l := range r.lines {
			if !badLines[l.Line] {
				badLines[l.Line] = true
				c.bad <- BadLineError{l, true}
			}
		}
	}
	return nil
}

// send sends a request as often as it takes.
func (c *run) send(ctx, calls context.Context, req client.PushRequest) (client.PushAccepted, error) {
	doubt := error(errStopped) // what it means when the run ends now
	for {
		if c.gate.wait(ctx) != nil {
			return client.PushAccepted{}, doubt
		}
		at := time.Now()
		c.inFlight.Add(1)
		accepted, err := c.o.Sender.Send(calls, req)
		c.inFlight.Add(-1)
		if err == nil {
			c.answered.Store(true)
			c.lastAnswer.Store(time.Now().UnixNano())
			c.gate.open()
			return accepted, nil
		}
		problem, refused := errors.AsType[*client.Problem](err)
		switch {
		case !refused && ctx.Err() != nil:
			return client.PushAccepted{}, errInDoubt
		case refused:
			c.answered.Store(true)
			if !problem.Temporary() {
				return client.PushAccepted{}, err
			}
			if problem.Status != http.StatusTooManyRequests && c.impatient() {
				return client.PushAccepted{}, fmt.Errorf("the gateway has taken nothing for %s: %w", c.o.Patience, err)
			}
			if problem.Status == http.StatusTooManyRequests {
				c.lastAnswer.Store(time.Now().UnixNano()) // it is well, and busy
			} else {
				doubt = errInDoubt
			}
			c.gate.hold(problem.RetryAfter, reasonOf(problem), at)
		case !c.answered.Load() && !cutOff(err):
			return client.PushAccepted{}, err // there may be no gateway at all
		case c.impatient():
			return client.PushAccepted{}, fmt.Errorf("the gateway has not answered for %s: %w; %w", c.o.Patience, err, errInDoubt)
		default:
			doubt = errInDoubt
			c.gate.hold(0, "the gateway does not answer", at)
		}
		if ctx.Err() != nil {
			return client.PushAccepted{}, doubt
		}
	}
}

// cutOff reports whether somebody was there and the call ended in the middle.
func cutOff(err error) bool {
	var ne net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &ne) && ne.Timeout() && !isDial(err)
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// impatient reports whether the gateway has failed for too long.
func (c *run) impatient() bool {
	return time.Since(time.Unix(0, c.lastAnswer.Load())) >= c.o.Patience
}

func reasonOf(p *client.Problem) string {
	if p.Reason == "backlog_full" {
		return "the gateway's backlog is full"
	}
	if p.Status == http.StatusTooManyRequests {
		return "the gateway asks for a pause"
	}
	return fmt.Sprintf("the gateway answers %d", p.Status)
}

// Send sends one request as a campaign does: what the gateway cannot take now is
// sent again after the wait that it asks for, and counts once. Of o, Sender and
// Patience are used. A request without an idempotency key gets one.
func Send(ctx context.Context, req client.PushRequest, o Options) (client.PushAccepted, error) {
	o, err := o.withDefaults()
	if err != nil {
		return client.PushAccepted{}, err
	}
	if req.IdempotencyKey == "" {
		req.IdempotencyKey = newID()
	}
	c := &run{o: o, gate: &gate{}}
	c.lastAnswer.Store(time.Now().UnixNano())
	accepted, err := c.send(ctx, ctx, req)
	if err != nil && ctx.Err() != nil {
		return client.PushAccepted{}, context.Cause(ctx)
	}
	return accepted, err
}
