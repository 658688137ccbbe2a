package h2

import (
	"slices"
	"testing"
	"time"
)

var testTime = time.Unix(1764000000, 0)

func TestQueue(t *testing.T) {
	batch := func(n int, bad ...int) *Batch {
		b := &Batch{Requests: make([]Request, n), Responses: make([]Response, n), live: n - len(bad)}
		for i := range b.Requests {
			b.Requests[i].Body = make([]byte, 10)
		}
		for _, i := range bad {
			b.Responses[i].Err = errPath
		}
		return b
	}
	indexes := func(calls []call) (out []int) {
		for _, c := range calls {
			out = append(out, int(c.i))
		}
		return out
	}
	var q queue
	a, b := batch(5, 0, 3), batch(3)
	urgent := batch(2, 1)
	urgent.Urgent = true
	for _, x := range []*Batch{a, b, urgent} {
		q.push(x, testTime)
	}
	if q.n != 3+3+1 {
		t.Fatalf("%d calls in the queue, want 7", q.n)
	}
	if got := indexes(q.take(nil, 2, 1<<20, 1<<20)); !slices.Equal(got, []int{0, 1}) { // urgent's, then a's
		t.Errorf("took %v", got)
	}
	q.pushAgain(call{b: a, i: 1}, testTime)
	if got := q.take(nil, 10, 1<<20, 0); len(got) != 0 {
		t.Errorf("took %v without a window for their bodies", indexes(got))
	}
	if got := indexes(q.take(nil, 10, 1<<20, 11)); !slices.Equal(got, []int{1, 2}) { // the second goes beyond
		t.Errorf("took %v with a window for one and a bit", got)
	}
	if got := indexes(q.remove(func(x *Batch, _ time.Time) bool { return x == a })); !slices.Equal(got, []int{4}) {
		t.Errorf("removed %v", got)
	}
	if got := indexes(q.take(nil, 10, 1, 1<<20)); !slices.Equal(got, []int{0}) {
		t.Errorf("took %v with one byte to write", got)
	}
	if got := indexes(q.take(nil, 10, 1<<20, 1<<20)); !slices.Equal(got, []int{1, 2}) || q.n != 0 {
		t.Errorf("took %v, %d are left", got, q.n)
	}
	for i := range 1000 { // moves up
		q.push(batch(1), testTime)
		q.push(batch(1), testTime)
		if got := q.take(nil, 2, 1<<20, 1<<20); len(got) != 2 {
			t.Fatalf("round %d: took %d", i, len(got))
		}
	}
	if n := cap(q.normal.items); n > 200 {
		t.Errorf("the queue has grown to %d", n)
	}
}
