package push

import (
	"context"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// deadTokens remembers tokens that their providers have declared dead, so that
// they are not sent to again for a while: a provider that gets many bad tokens
// slows down for the good ones. It holds hashes, in sets of deadWays of which the
// oldest makes room, and takes about 13 MiB once there is anything in it. Reading
// takes no lock.
type deadTokens struct {
	seed  maphash.Seed
	now   func() time.Time
	epoch time.Time    // that ages count from
	keep  atomic.Int64 // nanoseconds; below 0: remembers nothing

	table   atomic.Pointer[deadTable]
	entries atomic.Int64

	mu      sync.Mutex // guards writing, and what follows
	reasons []string   // by number
}

const (
	deadSets = 1 << 17
	deadWays = 8
)

// deadTable is read while it is written: a key is taken away before what belongs
// to it changes.
type deadTable struct {
	keys [deadSets * deadWays]atomic.Uint64 // hashes; 0: free
	what [deadSets * deadWays]atomic.Uint32 // minutes since the epoch, and the reason's number in the low byte
}

func newDeadTokens(now func() time.Time, keep time.Duration) *deadTokens {
	// There is room for tokens that died before, and for 30 years.
	c := &deadTokens{seed: maphash.MakeSeed(), now: now, epoch: now().AddDate(-1, 0, 0)}
	c.keep.Store(int64(keep))
	return c
}

// lane returns what there is to know about a lane's tokens.
func (c *deadTokens) lane(app string, platform Platform) *deadLane {
	l := &deadLane{all: c}
	l.seed.Store(maphash.String(c.seed, app+"\x00"+string(platform)))
	return l
}

// deadLane is a lane's part of the cache.
type deadLane struct {
	all  *deadTokens
	seed atomic.Uint64
}

// forget makes everything that is known of the lane's tokens unknown: with other
// credentials they may be good.
func (l *deadLane) forget() { l.seed.Add(0x9e3779b97f4a7c15) }

func (l *deadLane) hash(token string) uint64 {
	h := maphash.String(l.all.seed, token) ^ l.seed.Load()
	h *= 0x9fb21c651e98df25 // the lane must make another set of it, too
	return max(h^h>>32, 1)
}

// deadView is deadLane for one delivery. The zero value knows and learns nothing.
type deadView struct {
	lane *deadLane
	now  uint32 // minutes since the epoch
	hits int
}

// view returns what is known now.
func (l *deadLane) view() deadView {
	if l.all.keep.Load() < 0 {
		return deadView{}
	}
	return deadView{lane: l, now: l.all.minute(l.all.now())}
}

// reason returns why the token is dead, or nothing if it is not known to be.
func (v *deadView) reason(token string) string {
	if v.lane == nil {
		return ""
	}
	c := v.lane.all
	t := c.table.Load()
	if t == nil {
		return ""
	}
	h := v.lane.hash(token)
	for i := h % deadSets * deadWays; i < h%deadSets*deadWays+deadWays; i++ {
		if t.keys[i].Load() != h {
			continue
		}
		what := t.what[i].Load()
		if t.keys[i].Load() != h || !c.holds(what>>8, v.now) {
			return ""
		}
		v.hits++
		return c.name(what & 0xff)
	}
	return ""
}

// add notes that a token is dead.
func (v *deadView) add(token, reason string) {
	if v.lane != nil {
		v.lane.add(token, reason, v.now)
	}
}

func (l *deadLane) add(token, reason string, minute uint32) {
	c := l.all
	h := l.hash(token)
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.table.Load()
	if t == nil {
		t = new(deadTable)
		c.table.Store(t)
	}
	first := h % deadSets * deadWays
	place := first + h>>32%deadWays // of those that are equally old, any
	for i := first; i < first+deadWays; i++ {
		k := t.keys[i].Load()
		if k == h || k == 0 {
			place = i
			break
		}
		if t.what[i].Load()>>8 < t.what[place].Load()>>8 {
			place = i
		}
	}
	if t.keys[place].Load() == 0 {
		c.entries.Add(1)
	}
	t.keys[place].Store(0)
	t.what[place].Store(minute<<8 | c.number(reason))
	t.keys[place].Store(h)
}

// minute is a time as the table has it.
func (c *deadTokens) minute(t time.Time) uint32 {
	return uint32(min(max(t.Sub(c.epoch)/time.Minute, 0), math.MaxUint32>>8))
}

// holds reports whether what was noted at a minute still counts at another. A
// clock that has jumped back does not make it count for longer.
func (c *deadTokens) holds(noted, now uint32) bool {
	age := int64(now) - int64(noted)
	return max(age, -age) < int64(max(time.Duration(c.keep.Load())/time.Minute, 1))
}

// number returns the number of a reason. c.mu is held.
func (c *deadTokens) number(reason string) uint32 {
	for i, r := range c.reasons {
		if r == reason {
			return uint32(i)
		}
	}
	if len(c.reasons) == math.MaxUint8 {
		return math.MaxUint8
	}
	c.reasons = append(c.reasons, reason)
	return uint32(len(c.reasons) - 1)
}

func (c *deadTokens) name(number uint32) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number < uint32(len(c.reasons)) {
		return c.reasons[number]
	}
	return "Unregistered"
}

// setKeep sets how long tokens are remembered.
func (c *deadTokens) setKeep(d time.Duration) { c.keep.Store(int64(d)) }

// recallAtOnce is how many rows of feedback are read at once.
const recallAtOnce = 5000

// recall learns from what other runs and other processes have put on record since
// the given feedback id, some of it. It returns where to go on. What may have
// been the app's fault is left out: its configuration may have changed since.
func (g *Gateway) recall(ctx context.Context, after int64) (next int64, more bool, err error) {
	keep := time.Duration(g.dead.keep.Load())
	lanes := make(map[string]*deadLane)
	for _, l := range g.current().lanes {
		lanes[l.app+"\x00"+string(l.platform)] = l.dead
	}
	n := 0
	next, err = g.results.died(ctx, after, recallAtOnce, func(t deadToken, at time.Time) {
		n++
		l := lanes[t.app+"\x00"+string(t.platform)]
		if l == nil || blamesToken(t.platform, t.reason) || g.now().Sub(at) >= keep {
			return
		}
		l.add(t.token, t.reason, g.dead.minute(at))
	})
	return next, n == recallAtOnce, err
}
