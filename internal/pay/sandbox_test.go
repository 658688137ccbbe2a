package pay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, file string) *pay.Sandbox {
	t.Helper()
	s, err := pay.OpenSandbox(file, pay.Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func charge(key, token string) pay.ChargeRequest {
	return pay.ChargeRequest{Key: key, Amount: 4500, Currency: "JPY", Token: token}
}

func taken(t *testing.T, s *pay.Sandbox) int {
	t.Helper()
	n, err := s.Charges()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTokens holds what each token does: the answer, what is true afterwards,
// and that asking again changes nothing.
func TestTokens(t *testing.T) {
	for token, c := range map[string]struct {
		code, again   market.Code // of the answer, and of the answer to the same call again
		reason, later market.Reason
		status        market.ChargeStatus // what Lookup tells; "" = there is none
	}{
		pay.TokenOK:              {"", "", "", "", market.ChargeSucceeded},
		pay.TokenDeclined:        {market.CodeConflict, market.CodeConflict, market.ReasonDeclined, market.ReasonDeclined, market.ChargeDeclined},
		pay.TokenInsufficient:    {market.CodeConflict, market.CodeConflict, market.ReasonNoFunds, market.ReasonNoFunds, market.ChargeDeclined},
		pay.TokenTimeoutThenOK:   {market.CodeUnavailable, "", "", "", market.ChargeSucceeded},
		pay.TokenTimeoutThenFail: {market.CodeUnavailable, market.CodeConflict, "", market.ReasonDeclined, market.ChargeDeclined},
		"tok_visa":               {market.CodeInvalid, market.CodeInvalid, market.ReasonUnknownToken, market.ReasonUnknownToken, ""},
		"":                       {market.CodeInvalid, market.CodeInvalid, market.ReasonUnknownToken, market.ReasonUnknownToken, ""},
	} {
		t.Run(token, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "charges.jsonl"))
			got, err := s.Charge(t.Context(), charge("k", token))
			if market.CodeOf(err) != c.code || market.ReasonOf(err) != c.reason {
				t.Errorf("answer %v, want %s %s", err, c.code, c.reason)
			}
			if err == nil && (got.Status != market.ChargeSucceeded || got.Key != "k" || got.Amount != 4500 || got.Currency != "JPY" || got.ID == "" || !got.CreatedAt.Equal(noon)) {
				t.Errorf("charge %+v", got)
			}
			for range 2 {
				if _, err := s.Charge(t.Context(), charge("k", token)); market.CodeOf(err) != c.again || market.ReasonOf(err) != c.later {
					t.Errorf("the same again: %v, want %s %s", err, c.again, c.later)
				}
			}
			found, err := s.Lookup(t.Context(), "k")
			if c.status == "" {
				if market.CodeOf(err) != market.CodeNotFound {
					t.Errorf("lookup = %+v, %v; want none", found, err)
				}
			} else if err != nil || found.Status != c.status {
				t.Errorf("lookup = %+v, %v; want %s", found, err, c.status)
			}
			want := 0
			if c.status == market.ChargeSucceeded {
				want = 1
			}
			if n := taken(t, s); n != want {
				t.Errorf("money was taken %d times, want %d", n, want)
			}
			if err != nil && strings.Contains(err.Error(), "tok_") {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

func TestSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := pay.OpenSandbox(filepath.Join(t.TempDir(), "charges.jsonl"), pay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		began := time.Now()
		if _, err := s.Charge(t.Context(), charge("slow", pay.TokenSlow)); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %s, want an answer after 2s", err, time.Since(began))
		}
		// Whoever does not wait for the answer has paid all the same.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Charge(ctx, charge("impatient", pay.TokenSlow)); market.CodeOf(err) != market.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("gave up waiting: %v, want unavailable", err)
		}
		if c, err := s.Lookup(t.Context(), "impatient"); err != nil || c.Status != market.ChargeSucceeded {
			t.Errorf("lookup = %+v, %v", c, err)
		}
		// Before the call there is nothing to wait for.
		if _, err := s.Charge(ctx, charge("never", pay.TokenOK)); market.CodeOf(err) != market.CodeUnavailable {
			t.Errorf("with an ended context: %v", err)
		}
		if _, err := s.Lookup(t.Context(), "never"); market.CodeOf(err) != market.CodeNotFound {
			t.Errorf("a call that never was has charged: %v", err)
		}
	})
}

func TestChargeRefuses(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "charges.jsonl"))
	if _, err := s.Charge(t.Context(), charge("k", pay.TokenOK)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		r      pay.ChargeRequest
		code   market.Code
		reason market.Reason
	}{
		"no key":           {pay.ChargeRequest{Amount: 1, Currency: "JPY", Token: pay.TokenOK}, market.CodeInvalid, market.ReasonMalformed},
		"no amount":        {pay.ChargeRequest{Key: "x", Currency: "JPY", Token: pay.TokenOK}, market.CodeInvalid, market.ReasonMalformed},
		"negative":         {pay.ChargeRequest{Key: "x", Amount: -1, Currency: "JPY", Token: pay.TokenOK}, market.CodeInvalid, market.ReasonMalformed},
		"no currency":      {pay.ChargeRequest{Key: "x", Amount: 1, Token: pay.TokenOK}, market.CodeInvalid, market.ReasonMalformed},
		"another amount":   {pay.ChargeRequest{Key: "k", Amount: 1, Currency: "JPY", Token: pay.TokenOK}, market.CodeConflict, market.ReasonChargeMismatch},
		"another currency": {pay.ChargeRequest{Key: "k", Amount: 4500, Currency: "USD", Token: pay.TokenOK}, market.CodeConflict, market.ReasonChargeMismatch},
	} {
		if _, err := s.Charge(t.Context(), c.r); market.CodeOf(err) != c.code || market.ReasonOf(err) != c.reason {
			t.Errorf("%s: %v, want %s %s", name, err, c.code, c.reason)
		}
	}
	if n := taken(t, s); n != 1 {
		t.Errorf("money was taken %d times", n)
	}
}

// TestOneChargeAKey sends one key many times at once through two processes'
// worth of sandboxes on one file.
func TestOneChargeAKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "charges.jsonl")
	both := []*pay.Sandbox{open(t, file), open(t, file)}
	var wg sync.WaitGroup
	ids := make([]string, 40)
	for i := range ids {
		wg.Go(func() {
			c, err := both[i%2].Charge(t.Context(), charge("k", pay.TokenOK))
			if err != nil {
				t.Error(err)
			}
			ids[i] = c.ID
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("one key, several charges: %q", ids)
	}
	for _, s := range both {
		if n := taken(t, s); n != 1 {
			t.Errorf("money was taken %d times", n)
		}
	}
}

func TestRefund(t *testing.T) {
	file := filepath.Join(t.TempDir(), "charges.jsonl")
	s := open(t, file)
	first, err := s.Charge(t.Context(), charge("k", pay.TokenOK))
	if err != nil {
		t.Fatal(err)
	}
	want := first
	want.Status = market.ChargeRefunded
	for range 2 {
		if got, err := s.Refund(t.Context(), "k"); err != nil || got != want {
			t.Errorf("refund = %+v, %v; want %+v", got, err, want)
		}
	}
	if got, err := open(t, file).Lookup(t.Context(), "k"); err != nil || got != want {
		t.Errorf("after a restart %+v, %v", got, err)
	}
	if n := taken(t, s); n != 1 {
		t.Errorf("money was taken %d times", n)
	}
	if _, err := s.Refund(t.Context(), "unknown"); market.CodeOf(err) != market.CodeNotFound {
		t.Errorf("refund of nothing: %v", err)
	}
	if _, err := s.Charge(t.Context(), charge("no", pay.TokenDeclined)); market.CodeOf(err) != market.CodeConflict {
		t.Fatal(err)
	}
	if _, err := s.Refund(t.Context(), "no"); market.CodeOf(err) != market.CodeNotFound {
		t.Errorf("refund of a charge that was declined: %v", err)
	}
}

func TestList(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "charges.jsonl"))
	for i, token := range []string{pay.TokenOK, pay.TokenDeclined, pay.TokenOK} {
		_, _ = s.Charge(t.Context(), charge(fmt.Sprint(i), token))
	}
	var keys []string
	all, err := s.List(2)
	for _, c := range all {
		keys = append(keys, c.Key+" "+string(c.Status))
	}
	if diff := cmp.Diff([]string{"2 succeeded", "1 declined"}, keys); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "dir", "charges.jsonl")
	s := open(t, file)
	for i := range 5 {
		if _, err := s.Charge(t.Context(), charge(fmt.Sprint(i), pay.TokenOK)); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := s.List(9)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := open(t, file).List(9)
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("%v (-before +after):\n%s", err, diff)
	}
	if _, err := s.Charge(t.Context(), charge("closed", pay.TokenOK)); market.CodeOf(err) != market.CodeUnavailable {
		t.Errorf("after Close: %v, want unavailable", err)
	}
}

// TestTornLine cuts the file at every byte, as a crash may, and holds that
// every charge whose line is whole is still known, that the key of the torn one
// can be charged again, and that the file is whole afterwards.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "charges.jsonl")
	s := open(t, file)
	for i := range 2 {
		if _, err := s.Charge(t.Context(), charge(fmt.Sprint(i), pay.TokenOK)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		torn := filepath.Join(dir, "torn.jsonl")
		if err := os.WriteFile(torn, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s, err := pay.OpenSandbox(torn, pay.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		lines := bytes.Count(whole[:n], []byte("\n"))
		if got := taken(t, s); got != lines {
			t.Errorf("cut at %d: %d charges, want %d", n, got, lines)
		}
		if clean := n == 0 || whole[n-1] == '\n'; clean != (log.Len() == 0) {
			t.Errorf("cut at %d: log %q", n, &log)
		}
		if _, err := s.Charge(t.Context(), charge(fmt.Sprint(lines), pay.TokenOK)); err != nil {
			t.Errorf("cut at %d: charge again: %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		again := open(t, torn)
		if got := taken(t, again); got != lines+1 {
			t.Errorf("cut at %d, charged again and restarted: %d charges, want %d", n, got, lines+1)
		}
	}
}

func TestBrokenFile(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"no JSON":     {"hello\n", "line 1 is no charge"},
		"no charge":   {"{}\n", "line 1 is no charge"},
		"second line": {`{"key":"k","id":"i","status":"succeeded","amount":1,"currency":"JPY","time":"2026-05-04T12:00:00Z"}` + "\nx\n", "line 2 is no charge"},
		"status":      {`{"key":"k","id":"i","status":"maybe","amount":1,"currency":"JPY","time":"2026-05-04T12:00:00Z"}` + "\n", "line 1 is no charge"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "charges.jsonl")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := pay.OpenSandbox(file, pay.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q and the file", err, c.want)
			}
			if after, _ := os.ReadFile(file); string(after) != c.content {
				t.Errorf("the file was changed to %q", after)
			}
		})
	}
	if _, err := pay.OpenSandbox(t.TempDir(), pay.Options{}); err == nil {
		t.Error("a directory was opened as a file")
	}
}

// TestSandboxAgainstModel drives random calls, through two sandboxes on one
// file with restarts between, against a map.
func TestSandboxAgainstModel(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		file := filepath.Join(dir, fmt.Sprint(n))
		opened := func() *pay.Sandbox {
			s, err := pay.OpenSandbox(file, pay.Options{})
			if err != nil {
				rt.Fatal(err)
			}
			return s
		}
		both := []*pay.Sandbox{opened(), opened()}
		defer func() { _ = errors.Join(both[0].Close(), both[1].Close()) }()
		model := map[string]market.ChargeStatus{}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			which := rapid.IntRange(0, 1).Draw(rt, "process")
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				token := rapid.SampledFrom([]string{pay.TokenOK, pay.TokenDeclined, pay.TokenTimeoutThenOK, pay.TokenTimeoutThenFail}).Draw(rt, "token")
				_, err := both[which].Charge(t.Context(), charge(key, token))
				if _, known := model[key]; !known {
					model[key] = market.ChargeSucceeded
					if token == pay.TokenDeclined || token == pay.TokenTimeoutThenFail {
						model[key] = market.ChargeDeclined
					}
				} else if (err != nil) != (model[key] == market.ChargeDeclined) {
					rt.Fatalf("again for %s, which is %s: %v", key, model[key], err)
				}
			case 2:
				_, err := both[which].Refund(t.Context(), key)
				if can := model[key] == market.ChargeSucceeded || model[key] == market.ChargeRefunded; can != (err == nil) {
					rt.Fatalf("refund of %q: %v", model[key], err)
				} else if can {
					model[key] = market.ChargeRefunded
				}
			case 3:
				if err := both[which].Close(); err != nil {
					rt.Fatal(err)
				}
				both[which] = opened()
			}
			for key, status := range model {
				for _, s := range both {
					if c, err := s.Lookup(t.Context(), key); err != nil || c.Status != status {
						rt.Fatalf("lookup %s = %s, %v; want %s", key, c.Status, err, status)
					}
				}
			}
		}
	})
}
