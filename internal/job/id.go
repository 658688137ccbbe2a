package job

import (
	"math/rand/v2"
	"sync"
	"time"
)

// An id is 42 bits of milliseconds since 1970 (enough until 2109), 11 bits that count within
// the millisecond, and 10 random bits of the process. So ids grow with time,
// which makes inserts cheap and the queue first in, first out, and they need no
// round trip to the database. Two processes with the same bits can still make
// the same id; the primary key notices, and the one that comes second takes
// other bits (see Queue.insertJobs).
const (
	nodeBits  = 10
	countBits = 11
)

// ids makes ids.
type ids struct {
	mu   sync.Mutex
	last int64 // milliseconds and count of the last id, as one number
	node int64
}

func newIDs() *ids { return &ids{node: rand.Int64N(1 << nodeBits)} }

// next returns the first of n ids; the others follow at distances of idStep.
// When the clock stands still or goes back the count goes on.
func (g *ids) next(now time.Time, n int) int64 {
	t := max(now.UnixMilli(), 0) << countBits
	g.mu.Lock()
	defer g.mu.Unlock()
	first := max(t, g.last+1)
	g.last = first + int64(n) - 1
	return first<<nodeBits | g.node
}

// idStep is the distance between ids made in one go.
const idStep = 1 << nodeBits

// reroll takes other bits, because somebody else has the same.
func (g *ids) reroll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.node = rand.Int64N(1 << nodeBits)
}
