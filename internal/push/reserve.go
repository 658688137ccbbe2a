package push

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// reserve keeps some of the disk free from what comes in: to write down that
// something was delivered takes room as well, so that a queue which fills its
// disk could never be emptied.
type reserve struct {
	space  func() (free, total uint64, ok bool)
	bytes  atomic.Int64 // what is kept free; below 0: nothing
	looked atomic.Int64 // when, in nanoseconds
	short  atomic.Bool
}

// lookEvery is how often the disk is looked at. What comes in meanwhile must be
// far less than the reserve.
const lookEvery = 100 * time.Millisecond

var errReserve = errors.New("the disk of the gateway's queue is nearly full: nothing more is taken, so that what waits can be delivered (disk_reserve_bytes)")

func newReserve(db *sqldb.DB) *reserve { return &reserve{space: db.DiskSpace} }

// check returns errReserve while too little is free.
func (r *reserve) check() error {
	now, last := time.Now().UnixNano(), r.looked.Load()
	if now-last >= int64(lookEvery) && r.looked.CompareAndSwap(last, now) {
		r.look()
	}
	if r.short.Load() {
		return errReserve
	}
	return nil
}

func (r *reserve) look() {
	kept := r.bytes.Load()
	free, total, ok := r.space()
	// A small disk is not all reserve.
	r.short.Store(ok && kept > 0 && free < min(uint64(kept), total/4))
}
