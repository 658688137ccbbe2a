package campaign_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push/campaign"
)

var sale = client.Notification{Title: "Sale", Body: "50 % off"}

func TestSendsEveryLineOnce(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := newFake()
	var receipts []campaign.Receipt
	var last campaign.Progress
	state := filepath.Join(t.TempDir(), "state")
	sum, err := campaign.Run(t.Context(), strings.NewReader(lines(12_345)), campaign.Options{
		Sender: f, App: "market", Text: sale, StatePath: state,
		Receipts: func(rs []campaign.Receipt) error { receipts = append(receipts, rs...); return nil },
		Progress: func(p campaign.Progress) { last = p },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.once(12_345); err != nil {
		t.Error(err)
	}
	if sum.Sent != 12_345 || sum.Accepted != 12_345 || sum.Requests != 13 || sum.Lines != 12_345 || sum.Bad != 0 || !sum.Done || !sum.Clean {
		t.Errorf("summary %+v", sum)
	}
	if last.Accepted != 12_345 || last.Bytes != sum.Position.Offset || last.InFlight != 0 {
		t.Errorf("the last progress is %+v", last)
	}
	for i, r := range receipts {
		if want := int64(i)*1000 + 1; r.FirstLine != want || r.ID == "" {
			t.Errorf("receipt %d: %+v", i, r)
		}
	}
	if st := readState(t, state); !cmp.Equal(st, sum.State) {
		t.Errorf("state file: %s", cmp.Diff(sum.State, st))
	}

	// Again: there is nothing left to do.
	sum, err = campaign.Run(t.Context(), strings.NewReader(lines(12_345)), campaign.Options{Sender: f, App: "market", Text: sale, StatePath: state})
	if err != nil || sum.Sent != 0 || f.calls != 13 {
		t.Errorf("a finished campaign: %+v, %v, %d calls", sum, err, f.calls)
	}
	// More lines have come since.
	sum, err = campaign.Run(t.Context(), strings.NewReader(lines(12_400)), campaign.Options{Sender: f, App: "market", Text: sale, StatePath: state})
	if err != nil || sum.Sent != 55 || sum.Accepted != 12_400 || f.once(12_400) != nil {
		t.Errorf("a campaign that grew: %+v, %v, %v", sum, err, f.once(12_400))
	}
}

func readState(t *testing.T, path string) campaign.State {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var st campaign.State
	if err := json.Unmarshal(raw, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestWaits holds that a gateway that is busy or fails is waited for as it asks,
// that it is left alone meanwhile, and that nothing is lost or counted twice.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.takes = 10 * time.Millisecond
		began := time.Now()
		f.before = func(call int, _ client.PushRequest) error {
			since := time.Since(began)
			switch {
			case since < 30*time.Second:
				return busy(7 * time.Second)
			case since < 40*time.Second:
				return down(0)
			}
			return nil
		}
		f.after = func(call int) error {
			if call%5 == 0 {
				return errLost // the answer, not the request
			}
			return nil
		}
		sum, err := campaign.Run(t.Context(), strings.NewReader(lines(50_000)), campaign.Options{Sender: f, Text: sale, InFlight: 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.once(50_000); err != nil {
			t.Error(err)
		}
		if sum.Accepted != 50_000 {
			t.Errorf("summary %+v", sum)
		}
		early := 0
		for _, at := range f.at {
			if at.Sub(began) < 30*time.Second {
				early++
			}
		}
		// Every 7 to 8.4 seconds, four requests each.
		if early > 5*4 {
			t.Errorf("%d requests in the 30 seconds in which the gateway asked for waits of 7", early)
		}
		if took := time.Since(began); took < 40*time.Second || took > 2*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestGivesUp(t *testing.T) {
	fatal := &client.Problem{Status: 401, Code: client.Unauthenticated, Detail: "send a token"}
	tests := map[string]struct {
		before  func(call int, since time.Duration) error
		want    error
		atLeast time.Duration
		atMost  time.Duration
	}{
		"no gateway at all":      {func(int, time.Duration) error { return errLost }, errLost, 0, time.Second},
		"cut off from the start": {func(_ int, since time.Duration) error { return failUntil(since, 20*time.Second, io.EOF) }, nil, 20 * time.Second, 2 * time.Minute},
		"no such token":          {func(int, time.Duration) error { return fatal }, fatal, 0, time.Second},
		"gone on the way":        {func(call int, _ time.Duration) error { return failAfter(call, 10, errLost) }, errLost, time.Minute, 3 * time.Minute},
		"failing on the way":     {func(call int, _ time.Duration) error { return failAfter(call, 10, down(time.Second)) }, nil, time.Minute, 3 * time.Minute},
		"refused on the way":     {func(call int, _ time.Duration) error { return failAfter(call, 10, fatal) }, fatal, 0, time.Second},
		"busy is waited for":     {func(_ int, since time.Duration) error { return failUntil(since, time.Hour, busy(time.Second)) }, nil, time.Hour, 2 * time.Hour},
		"failing less than that": {func(_ int, since time.Duration) error { return failUntil(since, 50*time.Second, down(0)) }, nil, 50 * time.Second, 2 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				f := newFake()
				f.before = func(call int, _ client.PushRequest) error { return tt.before(call, time.Since(began)) }
				o := campaign.Options{Sender: f, Text: sale, Patience: time.Minute, StatePath: filepath.Join(t.TempDir(), "state")}
				sum, err := campaign.Run(t.Context(), strings.NewReader(lines(12_000)), o)
				took := time.Since(began)
				if took < tt.atLeast || took > tt.atMost {
					t.Errorf("it took %s", took)
				}
				if tt.want == nil && name != "failing on the way" {
					if err != nil || f.once(12_000) != nil {
						t.Errorf("%v, %v", err, f.once(12_000))
					}
					return
				}
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Fatalf("error %v", err)
				}
				if sum.Done {
					t.Errorf("summary %+v", sum)
				}
				// When the gateway is well again, the rest goes out, once.
				f.before = nil
				if sum, err = campaign.Run(t.Context(), strings.NewReader(lines(12_000)), o); err != nil {
					t.Fatal(err)
				}
				if err := f.once(12_000); err != nil {
					t.Errorf("after going on: %v (%+v)", err, sum)
				}
			})
		})
	}
}

func failAfter(call, calls int, err error) error {
	if call < calls {
		return nil
	}
	return err
}

func failUntil(since, until time.Duration, err error) error {
	if since >= until {
		return nil
	}
	return err
}

func TestRate(t *testing.T) {
	for _, tt := range []struct {
		rate    float64
		n       int
		perCall int
	}{{1000, 5_000, 250}, {10, 100, 2}, {0.5, 10, 1}, {100_000, 20_000, 1000}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.takes = 5 * time.Millisecond
			began := time.Now()
			if _, err := campaign.Run(t.Context(), strings.NewReader(lines(tt.n)), campaign.Options{Sender: f, Text: sale, Rate: tt.rate}); err != nil {
				t.Fatal(err)
			}
			if err := f.once(tt.n); err != nil {
				t.Error(err)
			}
			if want := (tt.n + tt.perCall - 1) / tt.perCall; f.calls != want {
				t.Errorf("rate %v: %d requests, want %d", tt.rate, f.calls, want)
			}
			// At no time more than the rate allows, but for the first batch.
			for i, at := range f.at {
				if limit := tt.rate*at.Sub(began).Seconds() + float64(tt.perCall); float64((i+1)*tt.perCall) > limit+1e-6*limit {
					t.Fatalf("rate %v: %d after %s", tt.rate, (i+1)*tt.perCall, at.Sub(began))
				}
			}
			want := time.Duration(float64(tt.n-tt.perCall) / tt.rate * float64(time.Second))
			if took := time.Since(began); took > want+want/20+time.Second {
				t.Errorf("rate %v: %d took %s, want about %s", tt.rate, tt.n, took, want)
			}
		})
	}
}

// TestNothingPilesUp holds that one request which hangs does not let the rest
// run ahead without bound.
func TestNothingPilesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.before = func(call int, _ client.PushRequest) error {
			if call == 0 {
				time.Sleep(time.Hour) // of the bubble's clock
				return errLost
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		n := campaign.MaxWindow + 500
		sum, err := campaign.Run(ctx, strings.NewReader(lines(n)), campaign.Options{Sender: f, Text: sale, Batch: 1})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if int64(f.calls) != campaign.MaxWindow+sum.Accepted || sum.Clean {
			t.Errorf("%d requests, %+v", f.calls, sum)
		}
	})
}

// TestStopsOnRequest holds that what is under way when ctx ends is waited for,
// so that nothing is in doubt, even with an input that hangs.
func TestStopsOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.takes = 3 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		in, out := io.Pipe()
		hang := make(chan struct{})
		defer close(hang)
		go func() {
			_, _ = io.WriteString(out, lines(1500))
			<-hang
			out.Close()
		}()
		o := campaign.Options{Sender: f, Text: sale, Batch: 100, InFlight: 2, StatePath: filepath.Join(t.TempDir(), "state")}
		sum, err := campaign.Run(ctx, in, o)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		// Two at a time: at 3, 6, 9 seconds, and two that were under way at 10.
		if sum.Accepted != 800 || f.total != 800 || !sum.Clean || sum.Done || sum.Position.Line != 800 {
			t.Errorf("%d of %d, %+v", sum.Accepted, f.total, sum)
		}
		var was campaign.State
		o.Resumed = func(st campaign.State) { was = st }
		o.Batch = 333 // which is free to change after a clean stop
		if _, err := campaign.Run(t.Context(), strings.NewReader(lines(1500)), o); err != nil {
			t.Fatal(err)
		}
		if was.Accepted != 800 {
			t.Errorf("resumed from %+v", was)
		}
		if err := f.once(1500); err != nil {
			t.Error(err)
		}
	})
}

// TestStopsWhileHeld holds that a campaign that waits for its gateway stops at
// once, and that what may have been accepted before counts once when it goes on.
func TestStopsWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var lost atomic.Bool
		lost.Store(true)
		f.after = func(call int) error {
			if lost.Load() && call > 3 {
				return errLost
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		o := campaign.Options{Sender: f, Text: sale, Batch: 10, InFlight: 3, StatePath: filepath.Join(t.TempDir(), "state")}
		began := time.Now()
		var held campaign.Progress
		o.Progress = func(p campaign.Progress) {
			if p.Held != "" {
				held = p
			}
		}
		sum, err := campaign.Run(ctx, strings.NewReader(lines(500)), o)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Second {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		if sum.Clean || f.total == int(sum.Accepted) {
			t.Errorf("what was accepted without an answer: %d of %d; %+v", sum.Accepted, f.total, sum)
		}
		if held.Held != "the gateway does not answer" || held.HeldFor <= 0 {
			t.Errorf("progress %+v", held)
		}
		lost.Store(false)
		o.Batch = 77 // must not be followed: something is in doubt
		if _, err := campaign.Run(t.Context(), strings.NewReader(lines(500)), o); err != nil {
			t.Fatal(err)
		}
		if err := f.once(500); err != nil {
			t.Error(err)
		}
	})
}

func TestSendOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.before = func(call int, req client.PushRequest) error {
			if req.IdempotencyKey == "" {
				t.Error("no key")
			}
			return failUntil(time.Duration(call), 3, busy(2*time.Second))
		}
		n := sale
		n.Platform, n.Tokens = client.APNS, []string{"aa"}
		req := client.PushRequest{Notifications: []client.Notification{n}}
		got, err := campaign.Send(t.Context(), req, campaign.Options{Sender: f})
		if err != nil || got.Accepted != 1 || f.total != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		f.before = func(int, client.PushRequest) error { return busy(time.Hour) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := campaign.Send(ctx, req, campaign.Options{Sender: f}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNamed holds that a campaign with a name counts once without a state file.
func TestNamed(t *testing.T) {
	f := newFake()
	for range 3 {
		if _, err := campaign.Run(t.Context(), strings.NewReader(lines(2500)), campaign.Options{Sender: f, Text: sale, ID: "spring"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.once(2500); err != nil {
		t.Error(err)
	}
	// And that without a name, or under another one, it counts again.
	for _, id := range []string{"", "", "summer"} {
		if _, err := campaign.Run(t.Context(), strings.NewReader(lines(2500)), campaign.Options{Sender: f, Text: sale, ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if f.total != 4*2500 {
		t.Errorf("%d were accepted", f.total)
	}
}

func TestWrongOptions(t *testing.T) {
	f := newFake()
	for name, o := range map[string]campaign.Options{
		"no gateway":      {},
		"a batch":         {Sender: f, Batch: -1},
		"in flight":       {Sender: f, InFlight: -1},
		"a rate":          {Sender: f, Rate: -1},
		"on error":        {Sender: f, OnError: "ask"},
		"a format":        {Sender: f, Format: "xml"},
		"no platform":     {Sender: f, Format: campaign.Tokens},
		"tokens":          {Sender: f, Text: client.Notification{Tokens: []string{"a"}}},
		"a topic for all": {Sender: f, Text: client.Notification{Platform: client.FCM, FCM: &client.FCMOverride{Topic: "a"}}},
	} {
		if _, err := campaign.Run(t.Context(), strings.NewReader(lines(1)), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if f.calls != 0 {
		t.Errorf("%d requests", f.calls)
	}
}
