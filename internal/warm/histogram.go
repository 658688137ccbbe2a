package warm

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// subBuckets is how finely a histogram divides each power of two: a quantile
// is at most 1/subBuckets (3 %) too high.
const subBuckets = 32

// histogram counts durations in constant memory. It is safe for concurrent
// use; its zero value is empty.
type histogram struct {
	buckets [40 * subBuckets]atomic.Uint32
	max     atomic.Int64 // µs
	sum     atomic.Int64 // µs
	count   atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	us := max(d.Microseconds(), 0)
	h.buckets[bucketOf(uint64(us))].Add(1)
	h.sum.Add(us)
	h.count.Add(1)
	for {
		old := h.max.Load()
		if us <= old || h.max.CompareAndSwap(old, us) {
			return
		}
	}
}

// bucketOf returns the bucket of a number of microseconds: the first
// 2·subBuckets are exact, then each power of two has subBuckets of them.
func bucketOf(us uint64) int {
	shift := max(bits.Len64(us)-bits.Len(2*subBuckets-1), 0)
	return min(shift*subBuckets+int(us>>shift), 40*subBuckets-1)
}

// topOf returns the largest number of microseconds of a bucket.
func topOf(bucket int) int64 {
	if bucket < 2*subBuckets {
		return int64(bucket)
	}
	shift := bucket/subBuckets - 1
	low := int64(bucket-shift*subBuckets) << shift
	return low + (1 << shift) - 1
}

// quantile returns the duration that share q of all were not longer than.
func (h *histogram) quantile(q float64) time.Duration {
	count := h.count.Load()
	rank := int64(q*float64(count) + 0.9999999)
	seen := int64(0)
	for i := range h.buckets {
		n := int64(h.buckets[i].Load())
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(min(topOf(i), h.max.Load())) * time.Microsecond
		}
	}
	return 0
}

func (h *histogram) mean() time.Duration {
	if n := h.count.Load(); n > 0 {
		return time.Duration(h.sum.Load()/n) * time.Microsecond
	}
	return 0
}
