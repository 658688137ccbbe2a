package push

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/furima/furima/internal/job"
)

func TestPersistWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	for name, c := range map[string]struct {
		fails   int           // how often writing fails before it succeeds
		ends    time.Duration // when the delivery's context does, 0 never
		err     error
		want    error
		atLeast time.Duration
		atMost  time.Duration
	}{
		"at once":              {want: nil},
		"after a while":        {fails: 4, err: away, atLeast: 500 * time.Millisecond, atMost: 10 * time.Second},
		"not for ever":         {fails: 1000, err: away, want: away, atLeast: saveTimeout, atMost: saveTimeout},
		"the lease is lost":    {fails: 1000, err: job.ErrLeaseLost, want: job.ErrLeaseLost},
		"the gateway must end": {fails: 1000, ends: time.Second, err: away, want: away, atLeast: time.Second, atMost: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.ends > 0 {
					time.AfterFunc(c.ends, cancel)
				}
				save, stop := context.WithTimeout(t.Context(), saveTimeout)
				defer stop()
				start, fails := time.Now(), c.fails
				err := persist(ctx, save, func() error {
					if fails > 0 {
						fails--
						return c.err
					}
					return nil
				})
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if took := time.Since(start); took < c.atLeast || took > c.atMost {
					t.Errorf("took %v, want %v to %v", took, c.atLeast, c.atMost)
				}
			})
		})
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for _, ids := range [][]int64{{1}, {0}, {1<<63 - 1}, {5, 6, 7}, {9, 3, 1 << 60}} {
		s := encodeID(ids)
		got, err := decodeID(s)
		if err != nil || len(got) != len(ids) {
			t.Errorf("%v became %q and then %v, %v", ids, s, got, err)
			continue
		}
		for i := range ids {
			if got[i] != ids[i] {
				t.Errorf("%v became %q and then %v", ids, s, got)
			}
		}
	}
	for _, s := range []string{"", "pu_", "pu_!", "it_04", "pu_vvvvvvvvvvvvvvvvvvvvvvvvvv", "04"} {
		if ids, err := decodeID(s); err == nil {
			t.Errorf("%q became %v", s, ids)
		}
	}
}
