package fcm

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/furima/furima/internal/push/h2"
)

// office gives access tokens that last an hour, and takes a second for each.
type office struct {
	mu    sync.Mutex
	asked int
	err   error
}

func (o *office) fetch(ctx context.Context) (*access, error) {
	o.mu.Lock()
	o.asked++
	err := o.err
	o.mu.Unlock()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &access{headers: new(h2.Headers), issued: now, expires: now.Add(time.Hour)}, nil
}

func (o *office) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *office) times(t *testing.T, want int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asked != want {
		t.Errorf("asked for a token %d times, want %d", o.asked, want)
	}
}

func bubble(t *testing.T, f func(t *testing.T, o *office, s *tokenSource)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &office{}
		f(t, o, &tokenSource{fetch: o.fetch, now: time.Now})
	})
}

func must(t *testing.T, s *tokenSource) *access {
	t.Helper()
	a, err := s.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTokenIsFetchedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, o *office, s *tokenSource) {
		var wg sync.WaitGroup
		got := make([]*access, 50)
		for i := range got {
			wg.Go(func() { got[i] = must(t, s) })
		}
		wg.Wait()
		for _, a := range got {
			if a != got[0] {
				t.Error("two tokens")
			}
		}
		time.Sleep(50 * time.Minute)
		if must(t, s) != got[0] {
			t.Error("another token while the first one lasts")
		}
		o.times(t, 1)
		time.Sleep(6 * time.Minute) // within refreshEarly of its end
		// One asks for a new one; the others go on with the old.
		var fresh *access
		wg.Go(func() { fresh = must(t, s) })
		synctest.Wait()
		if must(t, s) != got[0] {
			t.Error("waits for a new token while the old one lasts")
		}
		wg.Wait()
		if fresh == got[0] || must(t, s) != fresh {
			t.Error("not replaced before its end")
		}
		o.times(t, 2)
	})
}

func TestTokenThatCannotBeRefreshedIsUsedToItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T, o *office, s *tokenSource) {
		old := must(t, s)
		time.Sleep(56 * time.Minute)
		o.fail(errors.New("away"))
		for range 10 {
			if must(t, s) != old {
				t.Error("another token")
			}
		}
		o.times(t, 2)
		time.Sleep(refreshPause)
		must(t, s)
		o.times(t, 3)
		time.Sleep(4 * time.Minute)
		if _, err := s.get(t.Context()); err == nil {
			t.Error("a token beyond its end")
		}
		o.fail(nil)
		if must(t, s) == old {
			t.Error("the old token")
		}
	})
}

func TestWaitersShareAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, o *office, s *tokenSource) {
		o.fail(errors.New("away"))
		start := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := s.get(t.Context()); err == nil {
					t.Error("no error")
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != time.Second {
			t.Errorf("it took %v", d)
		}
		o.times(t, 1)
	})
}

// Who asks for a token may go away: another one asks then.
func TestTokenRequestIsTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T, o *office, s *tokenSource) {
		impatient, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.get(impatient); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() { must(t, s) })
		}
		wg.Go(func() {
			if _, err := s.get(impatient); !errors.Is(err, context.Canceled) {
				t.Errorf("a waiter whose context ended: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		o.times(t, 2)
	})
}

func TestTokenIsRenewedOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, o *office, s *tokenSource) {
		first := must(t, s)
		var wg sync.WaitGroup
		for range 10 { // all were refused with the same one
			wg.Go(func() {
				if err := s.renew(first); err != nil {
					t.Error(err)
				}
				if must(t, s) == first {
					t.Error("the refused token")
				}
			})
		}
		wg.Wait()
		o.times(t, 2)
		second := must(t, s)
		if err := s.renew(second); !errors.Is(err, errStillRefused) {
			t.Errorf("another one at once: %v", err)
		}
		if must(t, s) != second {
			t.Error("given up all the same")
		}
		time.Sleep(renewPause)
		if err := s.renew(second); err != nil {
			t.Errorf("after a while: %v", err)
		}
		if must(t, s) == second {
			t.Error("not given up")
		}
		o.times(t, 3)
	})
}

func TestClockSetBackMakesANewToken(t *testing.T) {
	t.Parallel()
	now, asked := noon, 0
	s := &tokenSource{now: func() time.Time { return now }}
	s.fetch = func(context.Context) (*access, error) {
		asked++
		return &access{issued: now, expires: now.Add(time.Hour)}, nil
	}
	must(t, s)
	now = now.Add(-2 * time.Hour)
	must(t, s)
	must(t, s)
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}
