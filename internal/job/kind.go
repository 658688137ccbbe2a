package job

import (
	"hash/fnv"
	"sync"
)

// kind is what is kept about a kind of job in memory: what its name comes to, and its
// metrics.
type kind struct {
	name    string
	nameArg any // name and lane as arguments, made once
	laneArg any
	lane    int64
	metrics kindMetrics
}

// laneOf makes the number that stands for a kind in job_queue: a hash, so that
// nobody has to keep a table of kinds. That two kinds in use share one has a
// chance of one in 10^15; a worker that is handed a kind it does not know gives
// it back (see Worker.load).
func laneOf(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	lane := int64(h.Sum64() >> 1)
	return max(lane, 1)
}

// maxKinds bounds the kinds that have metrics of their own. They are few
// constants; a program that makes them up gets one set for the rest.
const maxKinds = 256

// kinds finds kinds by their names.
type kinds struct {
	mu      sync.RWMutex
	byName  map[string]*kind
	metrics *metrics
}

func (k *kinds) get(name string) *kind {
	k.mu.RLock()
	found := k.byName[name]
	k.mu.RUnlock()
	if found != nil {
		return found
	}
	lane := laneOf(name)
	made := &kind{name: name, nameArg: name, lane: lane, laneArg: lane}
	k.mu.Lock()
	defer k.mu.Unlock()
	if found := k.byName[name]; found != nil {
		return found
	}
	if len(k.byName) >= maxKinds {
		made.metrics = k.metrics.forKind("other")
		return made
	}
	made.metrics = k.metrics.forKind(name)
	k.byName[name] = made
	return made
}
