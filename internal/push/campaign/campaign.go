package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/client"
)

// Sender is where requests go: a *client.Push.
type Sender interface {
	Send(ctx context.Context, req client.PushRequest) (client.PushAccepted, error)
}

// OnError says what a line that is wrong does.
type OnError string

// What a line that is wrong does.
const (
	Stop OnError = "stop" // ends the run; what was read before it is sent
	Skip OnError = "skip" // is reported and left out
)

// Defaults of Options.
const (
	DefaultBatch    = 1000
	DefaultInFlight = 8
	DefaultPatience = 5 * time.Minute
)

// Options say what to send and how.
type Options struct {
	// Sender is the gateway.
	Sender Sender
	// App is the app to send for. Empty: the line's, or else the gateway's first.
	App string
	// Text is what every line is combined with: a line's own fields go over it.
	// It has no tokens.
	Text client.Notification
	// Format is how lines are written; empty means JSON.
	Format Format

	// Batch is how many notifications (one a token) go into one request. 0
	// means DefaultBatch, or less if Rate is low: about four requests a second.
	Batch int
	// InFlight is how many requests are under way at once. 0 means
	// DefaultInFlight.
	InFlight int
	// Rate is how many notifications a second are sent at most. 0 means no limit.
	Rate float64
	// Patience is how long a gateway that fails is waited for. One that says
	// that it is busy (429) is waited for without an end. 0 means
	// DefaultPatience.
	Patience time.Duration
	// OnError is what a line that is wrong does; empty means Stop.
	OnError OnError

	// StatePath is the file that says how far the campaign has come. With it a
	// run goes on where an earlier one stopped. Empty means none.
	StatePath string
	// ID names the campaign instead of an id made up at the start. Two runs
	// with the same id and the same input within a day count once.
	ID string

	// Resumed is called once if the run goes on from a state file.
	Resumed func(State)
	// Progress is called a few times a second, and once at the end.
	Progress func(Progress)
	// BadLine is called for every line that is left out, or that ends the run.
	BadLine func(BadLine)
	// Receipts is called with what the gateway has acknowledged, in the order
	// of the lines, before the state file says so. An error ends the run.
	Receipts func([]Receipt) error
}

// BadLine is a line that nothing was sent for.
type BadLine struct {
	Line   int64 // from 1
	Reason string
}

// BadLineError ends a run with OnError Stop.
type BadLineError struct {
	BadLine
	// LeftOut says that the gateway was what found it, when lines around it had
	// been sent: then the place to go on from is behind it. Otherwise it is
	// right before the line, which can be mended where it is.
	LeftOut bool
}

func (e *BadLineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Receipt is what the gateway said to one request.
type Receipt struct {
	ID        string
	Accepted  int
	FirstLine int64 // of the batch
	LastLine  int64
}

// Progress is how far a run is.
type Progress struct {
	State                   // up to where everything is settled
	Sent      int64         // notifications that this run was acknowledged
	InFlight  int           // requests under way
	Held      string        // why nothing is sent now; empty if something is
	HeldFor   time.Duration // how much longer
	Elapsed   time.Duration
	PerSecond float64 // notifications, lately
	Bytes     int64   // of the input that this run has settled
}

// Summary is what a run came to.
type Summary struct {
	State
	Sent    int64         // notifications that this run was acknowledged
	LeftOut int64         // bad lines of this run
	Elapsed time.Duration // of this run
}

func (o Options) withDefaults() (Options, error) {
	if o.Batch == 0 {
		o.Batch = DefaultBatch
		if o.Rate > 0 {
			o.Batch = int(max(1, min(DefaultBatch, o.Rate/4)))
		}
	}
	if o.InFlight == 0 {
		o.InFlight = DefaultInFlight
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	if o.OnError == "" {
		o.OnError = Stop
	}
	if o.Format == "" {
		o.Format = JSON
	}
	switch {
	case o.Sender == nil:
		return o, errors.New("no gateway to send to")
	case o.Batch < 1 || o.InFlight < 1 || o.Rate < 0 || o.Patience < 0:
		return o, errors.New("batch and requests in flight must be at least 1, rate and patience not negative")
	case o.OnError != Stop && o.OnError != Skip:
		return o, errors.New("what a bad line does must be stop or skip")
	case o.Format != JSON && o.Format != Tokens:
		return o, errors.New("the format must be json or tokens")
	case o.Format == Tokens && platformProblem(o.Text.Platform) != "":
		return o, errors.New("lines of tokens need a platform")
	case len(o.Text.Tokens) > 0 || hasAudience(&o.Text):
		return o, errors.New("the text of a campaign has no tokens, topic, condition or channel: those are the lines'")
	}
	return o, nil
}

// stopGrace is how long requests that are under way may take to be answered
// when the run ends.
const stopGrace = 10 * time.Second

// Run sends every line of r. It returns when everything was acknowledged, when
// something ends it, or when ctx ends: then it waits for the answers to what is
// under way, and returns ctx's error. In every case the summary says how far it
// came, and so does the state file; Run with the same options and the same
// input goes on there.
func Run(ctx context.Context, r io.Reader, o Options) (Summary, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Summary{}, err
	}
	began := time.Now()
	state, resumed, err := loadState(&o, began)
	if err != nil {
		return Summary{}, err
	}
	in := newInput(r)
	if resumed {
		if err := in.skip(state.Position); err != nil {
			return Summary{State: state}, err
		}
		if o.Resumed != nil {
			o.Resumed(state)
		}
	}
	// The id is on disk before anything is sent under it.
	state.Clean, state.Done = false, false
	if err := state.save(o.StatePath, time.Now()); err != nil {
		return Summary{State: state}, err
	}
	c := &run{
		o: o, in: in, state: state, began: began, from: state.Position.Offset, savedAt: state.Position.Offset,
		pace: newPace(o.Rate), gate: &gate{},
		results: make(chan result), bad: make(chan BadLineError), window: make(chan struct{}, maxWindow),
	}
	c.lastAnswer.Store(began.UnixNano())
	err = c.all(ctx)
	return Summary{State: c.state, Sent: c.sent, LeftOut: c.state.Bad - state.Bad, Elapsed: time.Since(began)}, err
}

// run is one Run.
type run struct {
	o     Options
	in    *input
	pace  *pace
	gate  *gate
	began time.Time
	from  int64 // offset where this run began

	results chan result
	bad     chan BadLineError
	window  chan struct{} // one for each batch that is not settled

	answered   atomic.Bool  // the gateway has been heard of
	lastAnswer atomic.Int64 // when it last took something, in Unix nanoseconds
	inFlight   atomic.Int64

	// Of the collecting goroutine.
	state   State
	sent    int64
	pending map[int64]result // settled, behind one that is not
	nextSeq int64
	recent  meter
	saved   time.Time
	savedAt int64 // offset
	doubt   bool  // something was sent, and nobody knows whether it was accepted
}

// maxWindow bounds how many batches may be settled behind one that is not: what
// is kept of them is little, but not nothing.
const maxWindow = 1024

// result is what became of a batch.
type result struct {
	seq      int64
	end      position
	lines    int64
	bad      int64 // of the lines
	receipts []Receipt
	err      error // ends the run; the batch is not settled
}

// all runs the parts and collects what they come to.
func (c *run) all(parent context.Context) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	// A bad line ends the cutting alone: what was handed out is still sent, so
	// that the place to go on from is behind all of it.
	cutting, halt := context.WithCancel(ctx)
	defer halt()
	// Calls outlast ctx for a while: what is under way is better answered.
	calls, abandon := context.WithCancel(context.WithoutCancel(parent))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, abandon) })()

	batches := make(chan *batch)
	cut := make(chan error, 1)
	go func() {
		defer close(batches)
		cut <- c.cut(cutting, batches)
	}()
	var senders sync.WaitGroup
	for range c.o.InFlight {
		senders.Go(func() { c.deliverAll(ctx, cutting, calls, batches) })
	}
	ended := make(chan struct{})
	go func() {
		senders.Wait()
		close(ended)
	}()
	failure := c.collect(ctx, stop, halt, ended, cut)
	c.state.Clean = len(c.pending) == 0 && !c.doubt
	err := c.save(true)
	c.progress()
	return errors.Join(failure, err)
}

// errInDoubt marks failures after which it is not known whether something was
// accepted.
var errInDoubt = errors.New("the last requests may have been accepted or not; going on counts them once")

// collect settles batches in their order until the parts have ended.
func (c *run) collect(ctx context.Context, stop context.CancelCauseFunc, halt context.CancelFunc, ended <-chan struct{}, cut <-chan error) error {
	c.pending = make(map[int64]result)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var failure error
	fail := func(err error) {
		c.doubt = c.doubt || errors.Is(err, errInDoubt)
		if err == nil || err == errStopped || err == errInDoubt {
			return // it ends because something else has
		}
		if failure == nil {
			failure = err
		}
		stop(err)
	}
	var badLine error
	for {
		select {
		case b := <-c.bad:
			if c.o.BadLine != nil {
				c.o.BadLine(b.BadLine)
			}
			if c.o.OnError == Stop && badLine == nil {
				badLine = &b
				halt()
			}
		case res := <-c.results:
			if fail(res.err); res.err == nil {
				fail(c.settle(res))
			} else if len(res.receipts) > 0 {
				c.doubt = true // a part of it was accepted
			}
		case <-tick.C:
			c.progress()
			fail(c.save(false))
		case <-ended:
			if failure == nil {
				failure = context.Cause(ctx)
			}
			if failure == nil {
				failure = badLine
			}
			if failure == nil {
				failure = <-cut // it has ended, since nothing else has; nil at the end of the input
			}
			c.state.Done = failure == nil && len(c.pending) == 0
			return failure
		}
	}
}

// settle moves the place to go on from to the last batch before which nothing is
// open.
func (c *run) settle(res result) error {
	c.pending[res.seq] = res
	for {
		res, ok := c.pending[c.nextSeq]
		if !ok {
			return nil
		}
		if c.o.Receipts != nil && len(res.receipts) > 0 {
			if err := c.o.Receipts(res.receipts); err != nil {
				return err
			}
		}
		delete(c.pending, c.nextSeq)
		c.nextSeq++
		<-c.window
		accepted := int64(0)
		for _, r := range res.receipts {
			accepted += int64(r.Accepted)
		}
		c.sent += accepted
		c.state.Accepted += accepted
		c.state.Requests += int64(len(res.receipts))
		c.state.Lines += res.lines
		c.state.Bad += res.bad
		c.state.Position = res.end
	}
}

const (
	progressEvery = 200 * time.Millisecond
	saveEvery     = 500 * time.Millisecond
)

// save writes the state file, when something has changed and not too often
// unless it must be now.
func (c *run) save(must bool) error {
	now := time.Now()
	if !must && (c.savedAt == c.state.Position.Offset || now.Sub(c.saved) < saveEvery) {
		return nil
	}
	c.saved, c.savedAt = now, c.state.Position.Offset
	return c.state.save(c.o.StatePath, now)
}

func (c *run) progress() {
	if c.o.Progress == nil {
		return
	}
	now := time.Now()
	p := Progress{
		State: c.state, Sent: c.sent, InFlight: int(c.inFlight.Load()),
		Elapsed: now.Sub(c.began), PerSecond: c.recent.rate(now, c.began, c.sent),
		Bytes: c.state.Position.Offset - c.from,
	}
	p.Held, p.HeldFor = c.gate.held()
	c.o.Progress(p)
}

// cut makes batches until the input ends or ctx does.
func (c *run) cut(ctx context.Context, out chan<- *batch) error {
	report := func(b BadLine) error {
		if c.o.OnError == Stop {
			return &BadLineError{BadLine: b} // once what comes before it is handed out
		}
		return c.report(ctx, BadLineError{BadLine: b})
	}
	br := newBatcher(c.in, newParser(&c.o), c.state.Batch, report)
	for {
		select {
		case c.window <- struct{}{}:
		case <-ctx.Done():
			return errStopped
		}
		b, err := br.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if b.end.Offset > b.start {
			// Here and not where it is sent, so that batches go out in their
			// order and an interruption leaves no gap.
			if c.pace.wait(ctx, b.units) != nil {
				return errStopped
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return errStopped
			}
		}
		if e, ok := errors.AsType[*BadLineError](err); ok {
			return c.report(ctx, *e)
		}
		if err != nil {
			return err
		}
	}
}

func (c *run) report(ctx context.Context, b BadLineError) error {
	select {
	case c.bad <- b:
		return nil
	case <-ctx.Done():
		return errStopped
	}
}

// meter tells the rate of what was counted in the last seconds.
type meter struct {
	at [32]time.Time
	n  [32]int64
	i  int
}

const meterStep = 500 * time.Millisecond

func (m *meter) rate(now, began time.Time, n int64) float64 {
	newest := m.at[(m.i+len(m.at)-1)%len(m.at)]
	if now.Sub(newest) >= meterStep {
		m.at[m.i], m.n[m.i] = now, n
		m.i = (m.i + 1) % len(m.at)
	}
	at, was := m.at[m.i], m.n[m.i] // the oldest
	if at.IsZero() {
		at, was = began, 0
	}
	if d := now.Sub(at).Seconds(); d > 0 {
		return float64(n-was) / d
	}
	return 0
}
