package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets that are 3 % wide, in microseconds.
type histogram []int64

const (
	subBuckets = 32
	buckets    = 64 * subBuckets
)

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < subBuckets {
		return int(us)
	}
	e := bits.Len64(us) - 6 // us>>e is in 32…63
	return (e+1)*subBuckets + int(us>>e) - subBuckets
}

func bucketValue(i int) time.Duration {
	if i < subBuckets {
		return time.Duration(i) * time.Microsecond
	}
	e := i/subBuckets - 1
	return time.Duration(uint64(i%subBuckets+subBuckets)<<e) * time.Microsecond
}

func (h histogram) percentile(p float64) time.Duration {
	total := int64(0)
	for _, n := range h {
		total += n
	}
	rest := int64(float64(total) * p / 100)
	for i, n := range h {
		if rest -= n; rest < 0 {
			return bucketValue(i)
		}
	}
	return 0
}

// atomicHistogram is one that several goroutines add to.
type atomicHistogram [buckets]atomic.Int64

func (h *atomicHistogram) add(d time.Duration) { h[bucketOf(d)].Add(1) }

func (h *atomicHistogram) reset() {
	for i := range h {
		h[i].Store(0)
	}
}

func (h *atomicHistogram) read() histogram {
	end := 0
	out := make(histogram, buckets)
	for i := range h {
		if out[i] = h[i].Load(); out[i] > 0 {
			end = i + 1
		}
	}
	return out[:end]
}
