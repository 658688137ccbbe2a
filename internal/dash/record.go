package dash

import (
	"crypto/rand"
	"hash/fnv"
	"io"
	"maps"
	"math"
	"sort"
	"strconv"
	"time"
)

const (
	// maxTicks is how many points of each line are kept: five minutes.
	maxTicks = 300
	// maxTracks bounds memory when somebody puts an open set in a label.
	maxTracks = 4000
	// rerank is how long the rows that are picked by size stay.
	rerank = 30 * time.Second
	// maxSnaps covers the longest window at one snapshot a second.
	maxSnaps = int(quantileWindow/time.Second) + 2
)

// record is what has been seen while somebody looked: the last few snapshots,
// and the drawn lines as rings of points. It is guarded by page.mu.
type record struct {
	boot  string // tells browsers that ids have got new meanings
	snaps []*snapshot
	first firstSeen

	ids    map[string]int // track key → index in tracks
	tracks [][]float32    // each maxTicks long, NaN where nothing is known
	times  []int64        // Unix milliseconds, maxTicks long
	ticks  int            // so many points have been written; slot = tick % maxTicks

	layout   *layout
	version  int    // of the layout, 1 and up
	members  uint64 // hash of what the layout has
	ranked   map[string]bool
	rankedAt time.Time // when ranked was chosen
}

func newRecord() *record {
	return &record{
		boot:  rand.Text()[:8],
		first: firstSeen{},
		ids:   map[string]int{},
		times: make([]int64, maxTicks),
	}
}

// add takes a snapshot in, adds a point to every line, and lays the page out.
// The layout gets a new version only when other lines are on it.
func (r *record) add(sn *snapshot) {
	if n := len(r.snaps); n >= maxSnaps {
		copy(r.snaps, r.snaps[n-maxSnaps+1:])
		r.snaps = r.snaps[:maxSnaps-1]
	}
	r.snaps = append(r.snaps, sn)
	r.first.add(sn)

	slot := r.ticks % maxTicks
	r.ticks++
	r.times[slot] = sn.at.UnixMilli()
	for _, t := range r.tracks {
		t[slot] = float32(nan)
	}
	b := &builder{window: newWindow(r.snaps, r.first), rec: r, slot: slot}
	if sn.at.Sub(r.rankedAt) < rerank {
		b.keep = r.ranked
	}
	l := b.build()
	if ranked := setOf(l.ranked); !maps.Equal(ranked, r.ranked) {
		r.ranked, r.rankedAt = ranked, sn.at
	}
	if members := hashKeys(l.always); r.layout == nil || members != r.members {
		r.version++
		r.members = members
	}
	r.layout = l
	l.Version, l.Boot = r.version, r.boot
}

// track returns the id of the line with this key and writes its newest point.
// The id is -1 when there are too many lines.
func (r *record) track(key string, slot int, v float64) int {
	id, ok := r.ids[key]
	if !ok {
		if len(r.tracks) >= maxTracks {
			return -1
		}
		id = len(r.tracks)
		t := make([]float32, maxTicks)
		for i := range t {
			t[i] = float32(nan)
		}
		r.tracks = append(r.tracks, t)
		r.ids[key] = id
	}
	r.tracks[id][slot] = float32(v)
	return id
}

// appendFrame appends the newest point of every line as a JSON array; a line's
// index is its id.
func (r *record) appendFrame(b []byte) []byte {
	b = append(b, '[')
	slot := (r.ticks - 1) % maxTicks
	for i, t := range r.tracks {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, t[slot])
	}
	return append(b, ']')
}

// appendHistory appends the points of every line, oldest first, as an array of
// arrays; a line that never moved is a single number.
func (r *record) appendHistory(b []byte) []byte {
	n := min(r.ticks, maxTicks)
	b = append(b, '[')
	for i, t := range r.tracks {
		if i > 0 {
			b = append(b, ',')
		}
		if v := t[r.slot(0)]; constant(t, v, n) {
			b = appendNumber(b, v)
			continue
		}
		b = append(b, '[')
		for k := range n {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendNumber(b, t[r.slot(k)])
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

// appendTimes appends the times of the points of appendHistory.
func (r *record) appendTimes(b []byte) []byte {
	b = append(b, '[')
	for k := range min(r.ticks, maxTicks) {
		if k > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, r.times[r.slot(k)], 10)
	}
	return append(b, ']')
}

// slot is where the k-th oldest point is.
func (r *record) slot(k int) int {
	if r.ticks <= maxTicks {
		return k
	}
	return (r.ticks + k) % maxTicks
}

// constant reports whether the n points of t are all v; slots beyond the
// points written so far hold NaN and are not looked at.
func constant(t []float32, v float32, n int) bool {
	for _, x := range t[:n] {
		if x != v && (x == x || v == v) {
			return false
		}
	}
	return true
}

// appendNumber writes four significant digits: one more than is shown.
func appendNumber(b []byte, v float32) []byte {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if v > -10000 && v < 10000 && v == float32(int32(v)) {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, float64(v), 'g', 4, 32)
}

func hashKeys(keys []string) uint64 {
	sort.Strings(keys)
	h := fnv.New64a()
	for _, k := range keys {
		_, _ = io.WriteString(h, k) // a hash does not fail
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

func setOf(keys []string) map[string]bool {
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return set
}
