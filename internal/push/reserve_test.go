package push

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestReserve(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		kept        int64
		free, total uint64
		known       bool
		short       bool
	}{
		"enough":           {64 * mib, 64 * mib, 10_000 * mib, true, false},
		"too little":       {64 * mib, 64*mib - 1, 10_000 * mib, true, true},
		"small disk":       {64 * mib, 25 * mib, 100 * mib, true, false},
		"small disk, full": {64 * mib, 25*mib - 1, 100 * mib, true, true},
		"off":              {-1, 0, 100 * mib, true, false},
		"not known":        {64 * mib, 0, 0, false, false},
	} {
		r := &reserve{space: func() (uint64, uint64, bool) { return c.free, c.total, c.known }}
		r.bytes.Store(c.kept)
		if err := r.check(); errors.Is(err, errReserve) != c.short {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReserveLooksAgain holds that the disk is looked at now and then, and not
// for every request.
func TestReserveLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, free := 0, uint64(0)
		r := &reserve{space: func() (uint64, uint64, bool) { looks++; return free, 1 << 40, true }}
		r.bytes.Store(1)
		for range 100 {
			if r.check() == nil {
				t.Fatal("a full disk takes more")
			}
		}
		free = 10
		if r.check() == nil || looks != 1 {
			t.Errorf("%d looks", looks)
		}
		time.Sleep(lookEvery)
		if err := r.check(); err != nil || looks != 2 {
			t.Errorf("after room was made: %v, %d looks", err, looks)
		}
	})
}
