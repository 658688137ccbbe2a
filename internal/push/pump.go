package push

import (
	"container/heap"
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/job"
)

// pump delivers the jobs of a lane. Requests are of all sizes, from one message
// to thousands, and the provider is kept busy with the messages of many of them at
// once: the pump takes jobs as they come, in the order of their priority, and
// sends their messages in flights, batches that know no border between requests.
// What became of the messages is noted with their deliveries. A delivery whose
// messages have all had their turn goes to the finisher, which writes down what
// became of many at once.
//
// Its goroutines: the queue's, which calls take; dispatch, which starts flights;
// one for each flight under way, of which there are few, since a flight takes all
// that is there; and finish.
type pump struct {
	g      *Gateway
	l      *lane
	worker *job.Worker

	shape    shape         // of take alone
	each     atomic.Int64  // bytes that a message takes in the queue, times 256
	out      atomic.Int64  // messages that the sender has
	blocked  atomic.Bool   // dispatch waits for the sender to have fewer
	news     chan struct{} // capacity 1: dispatch may have something to do
	stopping atomic.Bool   // sends no more

	mu     sync.Mutex // guards what follows, and is taken before a delivery's
	ready  readyHeap  // deliveries with messages to send, and such as have ended early
	ticket uint64     // the last that was given

	overMu sync.Mutex    // guards what follows, and is taken after a delivery's
	over   []*delivery   // whose round is over
	ended  chan struct{} // capacity 1: over has something
}

func (g *Gateway) newPump(l *lane) *pump {
	p := &pump{g: g, l: l, news: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
	p.worker = g.queue.NewWorker(job.WorkerOptions{
		Kinds: []string{l.kind}, Take: p.take, Urgent: jobPriority(High),
		Concurrency: math.MaxInt32, Lease: lease,
	})
	return p
}

// run delivers until ctx ends, and then takes up to stopTimeout for the answers of
// what is under way.
func (p *pump) run(ctx context.Context, stopTimeout time.Duration) error {
	p.fit()
	sending, hardStop := context.WithCancel(context.WithoutCancel(ctx))
	defer hardStop()
	finishing, stopFinisher := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFinisher()
	var sender, finisher sync.WaitGroup
	finisher.Go(func() { p.finish(sending, finishing.Done()) })
	var hard *time.Timer
	sender.Go(func() {
		var flights sync.WaitGroup
		p.dispatch(ctx, sending, &flights)
		hard = time.AfterFunc(stopTimeout, hardStop)
		p.stop()
		flights.Wait() // what the provider has may still be answered
	})
	err := p.worker.Run(ctx) // until every delivery is over
	sender.Wait()
	hard.Stop()
	stopFinisher()
	finisher.Wait()
	return err
}

// window is how many messages the sender may have at once.
func (p *pump) window() int64 { return max(p.l.maxInFlight(), 1) }

// wake has dispatch look what there is to do.
func (p *pump) wake() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// shape is what the lane's jobs look like, for how many of them to hold.
type shape struct{ bytes, messages float64 }

// note takes account of a job. What was long ago counts for little.
func (s *shape) note(bytes, messages int) {
	const fade = 0.99
	s.bytes = s.bytes*fade + float64(bytes)
	s.messages = s.messages*fade + float64(messages)
}

// fit sets how much the worker holds: the messages that the sender may have, and
// half as many that wait, so that it never waits for the database. More would only
// be in the way of more urgent ones, and in memory.
func (p *pump) fit() {
	messages := p.window()*3/2 + 1
	jobs := messages
	if n := p.g.config().Workers; n > 0 {
		jobs = int64(n)
	}
	each := p.each.Load()
	if each == 0 {
		each = typicalBytes << 8
	}
	p.worker.Limit(int(min(jobs, math.MaxInt32)), max(messages*each>>8, minHeld))
}

// retune is called when the lane's limits have changed.
func (p *pump) retune() {
	p.fit()
	p.wake()
}

// typicalBytes is what a message takes in the queue, as long as nothing better
// is known: a token and little more.
const typicalBytes = 100

// minHeld is how many bytes of jobs a pump holds in any case.
const minHeld = 256 << 10

// take is given jobs by the queue.
func (p *pump) take(jobs []*job.Job) {
	known, err := p.endedBefore(jobs)
	for _, j := range jobs {
		switch d := p.open(j); {
		case d == nil:
		case j.Attempt > 1 && err != nil:
			j.End(err)
		case j.Attempt > 1 && known[j.ID]:
			p.g.backlog.sub(int64(d.total))
			j.End(nil)
		default:
			p.add(d)
		}
	}
	if p.shape.messages > 0 {
		p.each.Store(int64(256 * p.shape.bytes / p.shape.messages))
	}
	p.fit()
	p.wake()
}

// endedBefore returns which of the jobs are on record as ended: the process may
// have died between writing that down and taking the job off the queue.
func (p *pump) endedBefore(jobs []*job.Job) (map[int64]bool, error) {
	var ids []int64
	for _, j := range jobs {
		if j.Attempt > 1 {
			ids = append(ids, j.ID)
		}
	}
	if ids == nil {
		return nil, nil
	}
	return p.g.results.among(context.Background(), ids)
}

// open makes a job's delivery. It returns nil if there can be none; the job has
// ended then.
func (p *pump) open(j *job.Job) *delivery {
	env, err := decodeEnvelope(j.Payload)
	if err != nil {
		p.g.logger.Error("a request in the queue cannot be read", "app", p.l.app, "provider", p.l.platform, "job_id", j.ID, "err", err)
		j.End(job.Cancel(err))
		return nil
	}
	total := env.total()
	p.shape.note(len(j.Payload), total)
	prog, err := decodeProgress(j.Progress, total)
	if err != nil {
		// Better all of it again than some of it never.
		p.g.logger.Error("progress of a request cannot be read, it starts over", "app", p.l.app, "provider", p.l.platform, "job_id", j.ID, "err", err)
		prog = newProgress(total)
	}
	d := newDelivery(env, prog)
	d.job, d.pump, d.started = j, p, time.Now()
	d.known = p.l.dead.view()
	if p.g.observer != nil && env.hasNotes() {
		d.observer = p.g.observer
	}
	return d
}

// add puts a delivery among those that have messages to send.
func (p *pump) add(d *delivery) {
	p.g.active.add(d)
	if !d.job.Watch(func() { p.halt(d, func() { d.lost = true }) }) {
		p.halt(d, func() { d.lost = true })
		return
	}
	if p.stopping.Load() {
		p.halt(d, nil)
		return
	}
	p.mu.Lock()
	p.queue(d)
	p.mu.Unlock()
}

// queue gives a delivery its turn, behind those that wait. p.mu is held.
func (p *pump) queue(d *delivery) {
	if d.queued {
		return
	}
	p.ticket++
	d.queued, d.ticket = true, p.ticket
	heap.Push(&p.ready, d)
}

// halt ends a delivery early: nothing more of it is sent. because, if not nil,
// notes why.
func (p *pump) halt(d *delivery, because func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if because != nil {
		because()
	}
	d.halted = true
	p.settled(d)
}

// settled hands a delivery to the finisher if its round is over. d.mu is held.
func (p *pump) settled(d *delivery) {
	if d.ending || !d.roundOver() {
		return
	}
	d.ending = true
	p.overMu.Lock()
	p.over = append(p.over, d)
	first := len(p.over) == 1
	p.overMu.Unlock()
	if first {
		select {
		case p.ended <- struct{}{}:
		default:
		}
	}
}

// stop ends all deliveries; what the sender has may still be answered.
func (p *pump) stop() {
	p.stopping.Store(true) // whoever comes from here on halts by itself
	for _, d := range p.g.active.of(p) {
		p.halt(d, nil)
	}
}

// dispatch starts flights until ctx ends or the lane's breaker turns it away.
// Flights end early when sending does.
func (p *pump) dispatch(ctx, sending context.Context, flights *sync.WaitGroup) {
	for {
		if !p.await(ctx) {
			return
		}
		ps, err := p.l.breaker.enter(ctx, nil, p)
		if err != nil {
			return
		}
		f := p.gather(ps)
		if f == nil {
			p.l.breaker.leave(ps, verdict{})
			continue
		}
		flights.Go(func() { f.fly(sending) })
	}
}

// await returns when there is something to send and room for it, or ctx has
// ended: then it is false.
func (p *pump) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		if p.hasRoom() {
			p.mu.Lock()
			n := len(p.ready)
			p.mu.Unlock()
			if n > 0 {
				return true
			}
		}
		select {
		case <-p.news:
		case <-ctx.Done():
		}
	}
	return false
}

// hasRoom reports whether to start a flight. While the sender is busy a good part
// of its room must be free, so that flights are few and large.
func (p *pump) hasRoom() bool {
	window := p.window()
	if p.out.Load() <= window-chunk(window) {
		return true
	}
	p.blocked.Store(true)
	return p.out.Load() <= window-chunk(window) // perhaps nobody has seen that we wait
}

// chunk is how much room there must be to start a flight.
func chunk(window int64) int64 { return max(window/8, 1) }

// answered notes that the sender has n messages less.
func (p *pump) answered(n int64) {
	out := p.out.Add(-n)
	p.l.inFlight.Add(-n)
	if !p.blocked.Load() {
		return
	}
	if window := p.window(); out <= window-chunk(window) && p.blocked.CompareAndSwap(true, false) {
		p.wake()
	}
}

// patience returns how long it is until a message expires that waits. It is to be
// asked again after lookAgain, since others come.
func (p *pump) patience() time.Duration {
	now := p.g.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	next := lookAgain
	for _, d := range p.ready {
		d.mu.Lock()
		next = min(next, d.expiry(now))
		d.mu.Unlock()
	}
	return next
}

// lookAgain is how often those that wait are looked at while nothing is sent.
const lookAgain = time.Second

// quantum is how many messages of a delivery go before it is the turn of another
// one with the same priority.
const quantum = 1000

// gather makes a flight of what is there, or returns nil.
func (p *pump) gather(ps pass) *flight {
	now := p.g.now()
	if ps.most == 0 { // the breaker is open, and somebody's time may be over
		p.expire(now, ps.reason)
		return nil
	}
	window := p.window()
	room := int(min(int64(ps.most), window-p.out.Load(), max(window/2, 1)))
	p.mu.Lock()
	defer p.mu.Unlock()
	if room <= 0 || len(p.ready) == 0 {
		return nil
	}
	f := newFlight(p, ps)
	for len(p.ready) > 0 && len(f.msgs) < room {
		d := p.ready[0]
		d.mu.Lock()
		if d.halted || d.ending {
			p.drop(d)
			d.mu.Unlock()
			continue
		}
		d.fill(f, min(room-len(f.msgs), quantum), now)
		if d.pos >= d.total {
			p.drop(d)
			p.settled(d) // if none of its messages is left to send
		} else { // others with the same priority come next
			p.ticket++
			d.ticket = p.ticket
			heap.Fix(&p.ready, 0)
		}
		d.mu.Unlock()
	}
	if len(f.msgs) == 0 {
		f.release()
		return nil
	}
	p.out.Add(int64(len(f.msgs)))
	p.l.inFlight.Add(int64(len(f.msgs)))
	return f
}

// drop takes the first delivery out of those that are ready. p.mu is held.
func (p *pump) drop(d *delivery) {
	heap.Pop(&p.ready)
	d.queued = false
}

// expire ends messages that wait and whose time is over, because the lane is held
// up for a reason.
func (p *pump) expire(now time.Time, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.ready[:0]
	for _, d := range p.ready {
		d.mu.Lock()
		d.expire(now, reason)
		if d.pos >= d.total || d.halted || d.ending {
			d.queued = false
			p.settled(d)
		} else {
			kept = append(kept, d)
		}
		d.mu.Unlock()
	}
	clear(p.ready[len(kept):])
	p.ready = kept
	heap.Init(&p.ready)
}

// readyHeap has the delivery first whose turn it is.
type readyHeap []*delivery

func (h readyHeap) Len() int { return len(h) }

func (h readyHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.job.Priority != b.job.Priority {
		return a.job.Priority > b.job.Priority
	}
	return a.ticket < b.ticket
}

func (h readyHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *readyHeap) Push(x any)   { *h = append(*h, x.(*delivery)) }

func (h *readyHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return d
}
