package dash

import (
	"math"
	"time"
)

const (
	// rateWindow smooths rates: long enough that a few requests a second do
	// not flicker, short enough that a change shows at once.
	rateWindow = 5 * time.Second
	// quantileWindow collects enough observations for a p99 that means
	// something.
	quantileWindow = 15 * time.Second
	// maxBase is how old the snapshot may be that a page without JavaScript,
	// which reloads itself every few seconds, compares with.
	maxBase = time.Minute
	// baseSlack lets the snapshot taken exactly one window ago count.
	baseSlack = 500 * time.Millisecond
)

var nan = math.NaN()

// window answers questions about the newest snapshot and the ones before it.
// What cannot be known yet is NaN.
type window struct {
	now      *snapshot
	rateBase *snapshot // nil when there is nothing to compare with
	quanBase *snapshot
	first    firstSeen
}

// firstSeen tells when each series was in a snapshot for the first time.
type firstSeen map[seriesID]time.Time

type seriesID struct{ name, key string }

func (fs firstSeen) add(sn *snapshot) {
	for _, f := range sn.families {
		for _, s := range f.series {
			id := seriesID{f.name, s.key}
			if _, ok := fs[id]; !ok {
				fs[id] = sn.at
			}
		}
	}
}

// newWindow looks at snapshots in order of time, the newest last.
func newWindow(snaps []*snapshot, first firstSeen) *window {
	now := snaps[len(snaps)-1]
	return &window{now: now, rateBase: base(snaps, rateWindow), quanBase: base(snaps, quantileWindow), first: first}
}

// base finds the oldest snapshot within d before the newest, or else the one
// just before the newest.
func base(snaps []*snapshot, d time.Duration) *snapshot {
	n := len(snaps) - 1
	now := snaps[n].at
	for _, s := range snaps[:n] {
		if now.Sub(s.at) <= d+baseSlack {
			return s
		}
	}
	if n > 0 && now.Sub(snaps[n-1].at) <= maxBase {
		return snaps[n-1]
	}
	return nil
}

// before returns what s was in an earlier snapshot. A series that is new since
// then began at zero, since all metrics live in this process. A series that
// had been there and was missing belongs to a collector that had failed, and
// nothing is known.
func (w *window) before(b *snapshot, name string, s *series) (old *series, ok bool) {
	if f := b.byName[name]; f != nil {
		if old := f.byKey[s.key]; old != nil {
			return old, true
		}
	}
	return nil, w.first[seriesID{name, s.key}].After(b.at)
}

// increase is by how much a counter grew. A counter that is lower than before
// began again from zero.
func increase(now, old float64) float64 {
	if now < old {
		return now
	}
	return now - old
}

// rate is the increase a second of all given series of a family together:
// a counter's value, or the observations of a histogram or summary.
func (w *window) rate(name string, list []*series) float64 {
	if w.rateBase == nil {
		return nan
	}
	secs := w.now.at.Sub(w.rateBase.at).Seconds()
	if secs <= 0 {
		return nan
	}
	total := 0.0
	for _, s := range list {
		old, ok := w.before(w.rateBase, name, s)
		if !ok {
			return nan
		}
		if old == nil {
			old = &series{}
		}
		total += increase(s.value, old.value) + increase(s.count, old.count)
	}
	return total / secs
}

// quantiles estimates quantiles of what the given series of a histogram
// observed within the window, all together: linear within a bucket, as
// Prometheus' histogram_quantile does. Without an observation they are NaN.
// An observation above the highest finite bound counts as that bound, top.
func (w *window) quantiles(name string, list []*series, qs ...float64) (values []float64, top float64) {
	values = make([]float64, len(qs))
	for i := range values {
		values[i] = nan
	}
	if w.quanBase == nil {
		return values, 0
	}
	var sum []bucket
	for _, s := range list {
		old, ok := w.before(w.quanBase, name, s)
		if !ok {
			return values, 0
		}
		if sum == nil {
			sum = make([]bucket, len(s.buckets))
			for i, b := range s.buckets {
				sum[i].upper = b.upper
			}
		}
		if !addBuckets(sum, s, old) {
			return values, 0
		}
	}
	for i, q := range qs {
		values[i] = bucketQuantile(q, sum)
	}
	return values, topBound(sum)
}

// addBuckets adds what s observed since old, which may be nil. It reports
// false when the bounds differ, so that the sum would mean nothing.
func addBuckets(sum []bucket, s, old *series) bool {
	if len(sum) != len(s.buckets) {
		return false
	}
	began := old == nil || old.count > s.count || len(old.buckets) != len(s.buckets)
	for i, b := range s.buckets {
		if b.upper != sum[i].upper {
			return false
		}
		if began {
			sum[i].count += b.count
		} else {
			sum[i].count += b.count - old.buckets[i].count
		}
	}
	return true
}

// bucketQuantile is the q-quantile (0…1) of a histogram with cumulative
// counts.
func bucketQuantile(q float64, buckets []bucket) float64 {
	n := len(buckets)
	if n < 2 || buckets[n-1].count <= 0 {
		return nan
	}
	rank := q * buckets[n-1].count
	i := 0
	for i < n-1 && buckets[i].count < rank {
		i++
	}
	if i == n-1 {
		return buckets[n-2].upper
	}
	lower, below := 0.0, 0.0
	if i > 0 {
		lower, below = buckets[i-1].upper, buckets[i-1].count
	} else if buckets[0].upper <= 0 {
		return buckets[0].upper
	}
	in := buckets[i].count - below
	if in <= 0 {
		return buckets[i].upper
	}
	return lower + (buckets[i].upper-lower)*(rank-below)/in
}

func topBound(buckets []bucket) float64 {
	if n := len(buckets); n >= 2 {
		return buckets[n-2].upper
	}
	return 0
}

// sumValues, maxValue and minValue fold gauges; of none, the result is NaN.
func sumValues(list []*series) float64 {
	return fold(list, func(a, b float64) float64 { return a + b })
}

func maxValue(list []*series) float64 {
	return fold(list, func(a, b float64) float64 { return max(a, b) })
}

func minValue(list []*series) float64 {
	return fold(list, func(a, b float64) float64 { return min(a, b) })
}

func fold(list []*series, f func(a, b float64) float64) float64 {
	if len(list) == 0 {
		return nan
	}
	v := list[0].value
	for _, s := range list[1:] {
		v = f(v, s.value)
	}
	return v
}
