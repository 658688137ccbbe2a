package h2

import "time"

// queue holds the calls that wait for a connection, batch by batch: putting a
// batch in costs the same whatever its size. It belongs to Pool.mu.
type queue struct {
	again  []timedCall // to be sent again, before anything else
	urgent fifo
	normal fifo
	n      int // calls in all
}

type timedCall struct {
	call
	since time.Time
}

// segment is what is left of a batch.
type segment struct {
	b     *Batch
	next  int // index of the next request to look at
	n     int // calls left, without those that cannot be sent
	since time.Time
}

// fifo is a queue in a slice that moves up now and then.
type fifo struct {
	items []segment
	head  int
}

func (f *fifo) push(s segment) {
	if f.head > 32 && f.head*2 > len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, s)
}

// first returns the first segment, nil if there is none.
func (f *fifo) first() *segment {
	for f.head < len(f.items) {
		s := &f.items[f.head]
		if s.n > 0 {
			return s
		}
		*s = segment{}
		f.head++
	}
	f.items, f.head = f.items[:0], 0
	return nil
}

// live returns the segments that are not used up.
func (f *fifo) live() []segment { return f.items[f.head:] }

// peek makes s.next the next call's index and returns the call.
func (s *segment) peek() call {
	for s.b.Responses[s.next].Err != nil { // cannot be sent
		s.next++
	}
	return call{s.b, int32(s.next), s.b.run}
}

func (q *queue) push(b *Batch, now time.Time) {
	s := segment{b: b, n: b.live, since: now}
	if b.Urgent {
		q.urgent.push(s)
	} else {
		q.normal.push(s)
	}
	q.n += s.n
}

func (q *queue) pushAgain(c call, now time.Time) {
	q.again = append(q.again, timedCall{c, now})
	q.n++
}

// take appends calls to dst: at most n, of no more than about so many bytes,
// with bodies of no more than window bytes, except that the last one may go
// beyond the last two.
func (q *queue) take(dst []call, n, bytes int, window int64) []call {
	taken := 0
	fits := func(c call) bool {
		r := c.request()
		if len(r.Body) > 0 {
			if window <= 0 {
				return false
			}
			window -= int64(len(r.Body))
		}
		bytes -= r.size()
		dst = append(dst, c)
		taken++
		return true
	}
	blocked := false
	k := 0
	for k < len(q.again) && taken < n && bytes > 0 && !blocked {
		if blocked = !fits(q.again[k].call); !blocked {
			k++
		}
	}
	if k > 0 {
		rest := copy(q.again, q.again[k:])
		clear(q.again[rest:])
		q.again = q.again[:rest]
	}
	for _, f := range []*fifo{&q.urgent, &q.normal} {
		for taken < n && bytes > 0 && !blocked {
			s := f.first()
			if s == nil {
				break
			}
			if blocked = !fits(s.peek()); !blocked {
				s.next++
				s.n--
			}
		}
	}
	q.n -= taken
	return dst
}

// remove takes out the calls for which match says so and returns them. match is
// asked once for a batch and once for every call that is to be sent again.
func (q *queue) remove(match func(b *Batch, since time.Time) bool) (out []call) {
	kept := q.again[:0]
	for _, t := range q.again {
		if match(t.b, t.since) {
			out = append(out, t.call)
		} else {
			kept = append(kept, t)
		}
	}
	clear(q.again[len(kept):])
	q.again = kept
	for _, f := range []*fifo{&q.urgent, &q.normal} {
		live := f.live()
		for i := range live {
			s := &live[i]
			if s.n == 0 || !match(s.b, s.since) {
				continue
			}
			for ; s.n > 0; s.n-- {
				out = append(out, s.peek())
				s.next++
			}
		}
		f.first() // forgets what is used up
	}
	q.n -= len(out)
	return out
}

// size is about what a request takes on the wire.
func (r *Request) size() int {
	n := 2*frameHeader + 16 + len(r.Path) + len(r.Body)
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value) + 3
	}
	return n
}
