package h2

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Field is a header field. Its name is in lower case.
type Field struct{ Name, Value string }

// MaxKept is how many fields of an answer can be kept.
const MaxKept = 4

// Request is one request. What it points to is read only and may be shared
// with other requests.
type Request struct {
	// Headers is what the request has in common with others. Required.
	Headers *Headers
	// Path with query. It is sent as never indexed. Empty: the one in Headers.
	Path string
	// Fields of this request alone. They are sent as never indexed.
	Fields []Field
	// Body may be empty. Its length is sent as content-length.
	Body []byte
}

// Response is what became of a request.
type Response struct {
	// Status of the answer; 0 if there was none.
	Status int
	// Kept has the values of the fields that Config.Keep names, in its order;
	// empty if the answer did not have them.
	Kept [MaxKept]string
	// Body of the answer, nil if it is empty.
	Body []byte
	// Truncated says that the body was longer than Config.MaxBodyBytes.
	Truncated bool
	// Latency is the time from writing the request to reading the end of its
	// answer. It does not count the wait in the queue.
	Latency time.Duration
	// Err is nil if there was a complete answer, and an *Error otherwise. With
	// an answer that broke off, Status has what had come of it.
	Err error
}

// Batch is a number of requests that are sent together. Its zero value with
// Requests set is ready for Pool.Start; after Wait it can be used again.
type Batch struct {
	// Requests to send.
	Requests []Request
	// Responses has an element for each of Requests, at the same index. Start
	// makes it, in the memory that it already has if that is enough.
	Responses []Response
	// Done, if not nil, is called with the indexes of requests whose Response
	// is complete, many at once where that comes naturally, and with every
	// index exactly once. Calls come one after another, from the goroutines of
	// connections and from Start: Done must be quick and must not call Start,
	// Wait or Close. The slice is valid during the call.
	Done func(ready []int)
	// Urgent requests overtake all that wait and are not urgent.
	Urgent bool

	fin  chan struct{} // one value for each end
	left atomic.Int64  // requests without an answer, or not told to Done
	stop func() bool   // stops the watch on the context; nil without one
	live int           // requests that go into the queue
	tell struct {      // for Done
		mu      sync.Mutex
		busy    bool  // somebody calls Done
		waiting []int // to be told
		spare   []int
	}

	// Guarded by Pool.mu.

	gone *Error          // why the batch has ended early
	run  uint32          // counts uses, so that a late end of a context hits no later use
	busy bool            // between Start and the end
	toss map[int32]uint8 // how often requests have been put back
}

// call is one request of a batch in one of its uses.
type call struct {
	b   *Batch
	i   int32
	run uint32
}

func (c call) request() *Request   { return &c.b.Requests[c.i] }
func (c call) response() *Response { return &c.b.Responses[c.i] }

// Wait returns when every request of the batch has its Response and Done has
// been told. It may be called once after each successful Start. The batch must
// not be used again before, except by one who knows from Done that all is over.
func (b *Batch) Wait() { <-b.fin }

// Do sends requests and returns their responses when all are there, at the same
// indexes. It is Start and Wait in one; if the batch could not be started, every
// response has the error.
func (p *Pool) Do(ctx context.Context, reqs []Request) []Response {
	b := &Batch{Requests: reqs}
	if err := p.Start(ctx, b); err != nil {
		for i := range b.Responses {
			b.Responses[i] = Response{Err: err}
		}
		return b.Responses
	}
	b.Wait()
	return b.Responses
}

// prepare readies the batch for a use. It returns the calls of those of its
// requests that cannot be sent; they have their error already.
func (b *Batch) prepare() (bad []call) {
	n := len(b.Requests)
	if cap(b.Responses) < n {
		b.Responses = make([]Response, n)
	}
	b.Responses = b.Responses[:n]
	clear(b.Responses)
	if b.fin == nil {
		b.fin = make(chan struct{}, 1)
	}
	select {
	case <-b.fin: // of a use that nobody waited for
	default:
	}
	clear(b.toss)
	for i := range b.Requests {
		if err := b.Requests[i].validate(); err != nil {
			b.Responses[i].Err = err
			bad = append(bad, call{b: b, i: int32(i)})
		}
	}
	b.live = n - len(bad)
	b.left.Store(int64(n))
	return bad
}

// answered notes that requests have their response, tells Done, and reports
// whether these were the last ones. All calls are of this batch.
func (b *Batch) answered(calls []call) (last bool) {
	if b.Done == nil {
		return b.left.Add(int64(-len(calls))) == 0
	}
	t := &b.tell
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range calls {
		t.waiting = append(t.waiting, int(c.i))
	}
	if t.busy { // whoever is calling Done will go on with these
		return false
	}
	t.busy = true
	told := 0
	for len(t.waiting) > 0 {
		ready := t.waiting
		t.waiting, t.spare = t.spare[:0], nil
		t.mu.Unlock()
		b.Done(ready)
		t.mu.Lock()
		told += len(ready)
		t.spare = ready[:0]
	}
	t.busy = false
	return b.left.Add(int64(-told)) == 0
}
