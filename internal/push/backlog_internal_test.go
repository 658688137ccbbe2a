package push

import (
	"testing"
	"time"
)

func TestRetryAfterFollowsTheRate(t *testing.T) {
	t.Parallel()
	b := newBacklog(1000)
	b.add(1000)
	within := func(what string, n int64, from, to time.Duration) {
		t.Helper()
		for range 20 {
			if d := b.retryAfter(n); d < from || d > to {
				t.Errorf("%s: %v, want %v to %v", what, d, from, to)
			}
		}
	}
	within("nothing is delivered", 100, 30*time.Second, 38*time.Second)
	ended := int64(0)
	for range 60 { // seconds, 10 a second
		b.ended.Add(10)
		ended = b.measure(ended, time.Second)
	}
	within("100 at 10 a second", 100, 10*time.Second, 13*time.Second)
	within("one", 1, time.Second, 2*time.Second)
	within("a million", 1_000_000, 5*time.Minute, 5*time.Minute)
	for range 200 { // nothing any more
		ended = b.measure(ended, time.Second)
	}
	within("it has stopped", 100, 30*time.Second, 38*time.Second)
	b.undo(1000)
	if b.ended.Load() != 600 {
		t.Error("what was not accepted counts as delivered")
	}
}
