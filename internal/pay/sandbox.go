package pay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/furima/furima/internal/market"
)

// The sandbox's payment tokens.
const (
	TokenOK              = "tok_ok"                // charged
	TokenDeclined        = "tok_declined"          // refused
	TokenInsufficient    = "tok_insufficient"      // refused: not enough money
	TokenTimeoutThenOK   = "tok_timeout_then_ok"   // charged, but the answer is lost
	TokenTimeoutThenFail = "tok_timeout_then_fail" // refused, but the answer is lost
	TokenSlow            = "tok_slow_2s"           // charged at once, answered after two seconds
)

// slowness is how long TokenSlow's answer takes.
const slowness = 2 * time.Second

// errLost stands for an answer that never came.
var errLost = errors.New("sandbox: the answer is lost")

// Sandbox is a Provider that moves no money. It keeps its charges in a file,
// which is on disk before a charge is answered, and which processes on one
// machine may share. OpenSandbox opens it.
type Sandbox struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	journal *journal
	charges map[string]*market.Charge // by key
	order   []*market.Charge          // by age
	taken   int                       // charges that succeeded, refunded ones included
	payouts map[string]entry          // by key
}

var _ Provider = (*Sandbox)(nil)

// OpenSandbox opens a sandbox on a file and reads what was charged before.
func OpenSandbox(file string, o Options) (*Sandbox, error) {
	s := &Sandbox{log: o.Logger, now: o.Now, charges: map[string]*market.Charge{}, payouts: map[string]entry{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.journal, err = openJournal(file); err != nil {
		return nil, fmt.Errorf("open sandbox provider: %w", err)
	}
	// Reading takes the lock, so that no other process is in the middle of a line.
	if err := s.locked(func() error { return nil }); err != nil {
		return nil, errors.Join(fmt.Errorf("open sandbox provider: %w", err), s.journal.close())
	}
	return s, nil
}

// Close closes the file.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.close()
}

// locked runs f while no other goroutine and no other process writes, after
// everything that others have written was read.
func (s *Sandbox) locked(f func() error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.journal.lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.journal.unlock()) }()
	dropped, err := s.journal.catchUp(s.apply)
	if err != nil {
		return err
	}
	if dropped > 0 {
		s.log.Warn("sandbox: dropped a line that a crash left unfinished", slog.Int64("bytes", dropped))
	}
	return f()
}

// write makes a charge durable, then known.
func (s *Sandbox) write(c market.Charge) error {
	if err := s.journal.append(entryOf(c)); err != nil {
		return market.Wrap(market.CodeUnavailable, "", err, "the payment provider does not answer")
	}
	return s.apply(entryOf(c))
}

// apply makes an entry of the journal known. The last entry of a key counts.
func (s *Sandbox) apply(e entry) error {
	if e.Kind == kindPayout {
		s.payouts[e.Key] = e
		return nil
	}
	c, err := e.charge()
	if err != nil {
		return err
	}
	old, again := s.charges[c.Key]
	if again {
		*old = c
		return nil
	}
	s.charges[c.Key] = &c
	s.order = append(s.order, &c)
	if c.Status != market.ChargeDeclined {
		s.taken++
	}
	return nil
}

// Charge implements Provider.
func (s *Sandbox) Charge(ctx context.Context, r ChargeRequest) (market.Charge, error) {
	if r.Key == "" || r.Amount <= 0 || r.Currency == "" {
		return market.Charge{}, market.Errorf(market.CodeInvalid, market.ReasonMalformed, "a charge needs a key, a positive amount and a currency")
	}
	if err := ctx.Err(); err != nil {
		return market.Charge{}, unknown(err)
	}
	var c market.Charge
	replayed := false
	err := s.locked(func() error {
		if old, again := s.charges[r.Key]; again {
			if old.Amount != r.Amount || old.Currency != r.Currency {
				return market.Errorf(market.CodeConflict, market.ReasonChargeMismatch, "the key was used for another amount")
			}
			c, replayed = *old, true
			return nil
		}
		var err error
		if c, err = s.outcome(r); err != nil {
			return err
		}
		return s.write(c)
	})
	if err != nil {
		return market.Charge{}, known(err)
	}
	if !replayed {
		if err := answer(ctx, r.Token); err != nil {
			return market.Charge{}, unknown(err)
		}
	}
	return c, refusal(c)
}

// outcome decides by the token what becomes of a charge.
func (s *Sandbox) outcome(r ChargeRequest) (market.Charge, error) {
	sum := sha256.Sum256([]byte(r.Key))
	c := market.Charge{
		ID: "sandbox_" + hex.EncodeToString(sum[:12]), Key: r.Key, Status: market.ChargeSucceeded,
		Amount: r.Amount, Currency: r.Currency, CreatedAt: s.now().UTC().Truncate(time.Microsecond),
	}
	switch r.Token {
	case TokenOK, TokenTimeoutThenOK, TokenSlow:
	case TokenDeclined, TokenTimeoutThenFail:
		c.Status, c.Failure = market.ChargeDeclined, market.ReasonDeclined
	case TokenInsufficient:
		c.Status, c.Failure = market.ChargeDeclined, market.ReasonNoFunds
	default:
		return market.Charge{}, market.Fieldf("payment_token", market.ReasonUnknownToken, "the payment provider does not know it")
	}
	return c, nil
}

// answer carries the answer of a token's charge: late, lost, or at once.
func answer(ctx context.Context, token string) error {
	switch token {
	case TokenTimeoutThenOK, TokenTimeoutThenFail:
		return errLost
	case TokenSlow:
		t := time.NewTimer(slowness)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// refusal is the error of a charge that was declined.
func refusal(c market.Charge) error {
	if c.Status != market.ChargeDeclined {
		return nil
	}
	message := "the payment was declined"
	if c.Failure == market.ReasonNoFunds {
		message = "there is not enough money for the payment"
	}
	return market.Errorf(market.CodeConflict, c.Failure, "%s", message)
}

// unknown is the error of a call whose effect is not known.
func unknown(err error) error {
	return market.Wrap(market.CodeUnavailable, "", err, "the payment provider does not answer")
}

// known keeps a market error and makes any other, one of the file, unknown.
func known(err error) error {
	if _, ok := errors.AsType[*market.Error](err); ok {
		return err
	}
	return unknown(err)
}

// Lookup implements Provider.
func (s *Sandbox) Lookup(ctx context.Context, key string) (market.Charge, error) {
	if err := ctx.Err(); err != nil {
		return market.Charge{}, unknown(err)
	}
	var c market.Charge
	err := s.locked(func() error {
		found, ok := s.charges[key]
		if !ok {
			return errNoCharge
		}
		c = *found
		return nil
	})
	if err != nil {
		return market.Charge{}, known(err)
	}
	return c, nil
}

var errNoCharge = market.Errorf(market.CodeNotFound, "", "there is no such charge")

// Refund implements Provider.
func (s *Sandbox) Refund(ctx context.Context, key string) (market.Charge, error) {
	if err := ctx.Err(); err != nil {
		return market.Charge{}, unknown(err)
	}
	var c market.Charge
	err := s.locked(func() error {
		found, ok := s.charges[key]
		if !ok || found.Status == market.ChargeDeclined {
			return errNoCharge
		}
		c = *found
		if c.Status == market.ChargeRefunded {
			return nil
		}
		c.Status = market.ChargeRefunded
		return s.write(c)
	})
	if err != nil {
		return market.Charge{}, known(err)
	}
	return c, nil
}

// FailingPayout is the amount of which the sandbox fails a payout, so that an
// app can be tried with one.
const FailingPayout market.Money = 4444

// Payout implements Provider.
func (s *Sandbox) Payout(ctx context.Context, r PayoutRequest) (market.PayoutState, market.Reason, error) {
	if r.Key == "" || r.Amount <= 0 || r.Currency == "" {
		return "", "", market.Errorf(market.CodeInvalid, market.ReasonMalformed, "a payout needs a key, a positive amount and a currency")
	}
	if err := ctx.Err(); err != nil {
		return "", "", unknown(err)
	}
	var out entry
	err := s.locked(func() error {
		var again bool
		if out, again = s.payouts[r.Key]; again {
			if out.Amount != int64(r.Amount) || out.Currency != r.Currency {
				return market.Errorf(market.CodeConflict, market.ReasonChargeMismatch, "the key was used for another amount")
			}
			return nil
		}
		out = entry{
			Kind: kindPayout, Key: r.Key, Amount: int64(r.Amount), Currency: r.Currency,
			Status: string(market.PayoutPaid), Time: s.now().UTC().Truncate(time.Microsecond),
		}
		if r.Amount == FailingPayout {
			out.Status, out.Failure = string(market.PayoutFailed), string(market.ReasonDeclined)
		}
		if err := s.journal.append(out); err != nil {
			return unknown(err)
		}
		return s.apply(out)
	})
	if err != nil {
		return "", "", known(err)
	}
	return market.PayoutState(out.Status), market.Reason(out.Failure), nil
}

// Charges returns how often money was taken, by whichever process, what was
// given back later included. It is for tests and the stand-in's page.
func (s *Sandbox) Charges() (int, error) {
	n := 0
	err := s.locked(func() error { n = s.taken; return nil })
	return n, err
}

// List returns the last n charges, newest first, declined ones included.
func (s *Sandbox) List(n int) ([]market.Charge, error) {
	var last []market.Charge
	err := s.locked(func() error {
		for i := len(s.order) - 1; i >= 0 && len(last) < n; i-- {
			last = append(last, *s.order[i])
		}
		return nil
	})
	return last, err
}
