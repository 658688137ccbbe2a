package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

var tableLedger = table{"ledger_entries", []string{"id", "posting_key", "kind", "account", "amount", "created_at"}}

// post writes a posting. One that was written before is a duplicate row, which
// the transaction cannot have: whoever posts has read, in it, that its event is
// new.
func (s *Store) post(ctx context.Context, tx *sqldb.Tx, p market.Posting, now time.Time) error {
	if err := p.Check(); err != nil {
		return err
	}
	if err := s.insert(ctx, tx, tableLedger, len(p.Entries), func(i int) []any {
		e := p.Entries[i]
		return []any{s.ids.Next(now), p.Key, string(p.Kind), string(e.Account), int64(e.Amount), sqldb.Micros(now)}
	}); err != nil {
		return fmt.Errorf("post %s: %w", p.Key, err)
	}
	for _, e := range p.Entries {
		id, ok := strings.CutPrefix(string(e.Account), "available:")
		if !ok {
			continue
		}
		user, err := market.ParseUserID(id)
		if err != nil {
			return fmt.Errorf("post %s: %w", p.Key, err)
		}
		if err := s.addBalance(ctx, tx, user, e.Amount); err != nil {
			return fmt.Errorf("post %s: %w", p.Key, err)
		}
	}
	return nil
}

func (s *Store) addBalance(ctx context.Context, tx *sqldb.Tx, user market.UserID, amount market.Money) error {
	n, err := exec(ctx, tx, "UPDATE balances SET available = available + ? WHERE user_id = ?", int64(amount), int64(user))
	if err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO balances (user_id, available) VALUES (?, ?)", int64(user), int64(amount))
	return err
}

// Balance is what a seller has.
type Balance struct {
	Available market.Money // may be paid out
	Pending   market.Money // in orders that have not ended
	OnTheWay  market.Money // in payouts that have not ended
}

// Balance returns what a seller has.
func (s *Store) Balance(ctx context.Context, user market.UserID) (Balance, error) {
	var b Balance
	err := s.db.ReadTx(ctx, func(tx *sqldb.Tx) error {
		b = Balance{}
		err := tx.QueryRowContext(ctx, "SELECT available FROM balances WHERE user_id = ?", int64(user)).Scan((*int64)(&b.Available))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := tx.QueryRowContext(ctx, "SELECT COALESCE(SUM(price - fee), 0) FROM orders WHERE seller_id = ? AND state IN ("+heldStates+")",
			int64(user)).Scan((*int64)(&b.Pending)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT COALESCE(SUM(amount), 0) FROM ledger_entries WHERE account = ?",
			string(market.PayoutAccount(user))).Scan((*int64)(&b.OnTheWay))
	})
	if err != nil {
		return Balance{}, failed(err, "read balance of user %d", int64(user))
	}
	return b, nil
}

// heldStates are the states in which a seller may still get an order's money.
const heldStates = "'awaiting_shipment', 'shipped', 'delivered', 'received', 'disputed'"

const sqlBalanceEntries = "SELECT id, kind, posting_key, amount, created_at FROM ledger_entries WHERE account = ? AND id < ? ORDER BY id DESC LIMIT ?"

// BalanceEntry is a line of a seller's account.
type BalanceEntry struct {
	ID     int64
	Kind   market.PostingKind
	Key    string // what it is for: order:<id>:… or payout:<id>:…
	Amount market.Money
	At     time.Time
}

// BalanceEntries returns lines of a seller's account, newest first, those
// before the given id, or the newest if it is 0. Limit 0 means 30; at most 100.
func (s *Store) BalanceEntries(ctx context.Context, user market.UserID, cursor string, rows int) (entries []BalanceEntry, next string, err error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return nil, "", err
	}
	list := "balance/" + user.String()
	before := market.Cursor{ID: math.MaxInt64}
	if cursor != "" {
		if before, err = market.DecodeCursor(key, list, cursor); err != nil {
			return nil, "", err
		}
	}
	n := limit(rows)
	found, err := s.db.QueryContext(ctx, sqlBalanceEntries, string(market.AvailableAccount(user)), before.ID, n+1)
	if err != nil {
		return nil, "", failed(err, "read account of user %d", int64(user))
	}
	if err := each(found, func(row scanner) error {
		var e BalanceEntry
		var at int64
		err := row.Scan(&e.ID, (*string)(&e.Kind), &e.Key, (*int64)(&e.Amount), &at)
		e.At = sqldb.FromMicros(at)
		entries = append(entries, e)
		return err
	}); err != nil {
		return nil, "", failed(err, "read account of user %d", int64(user))
	}
	if len(entries) > n {
		entries = entries[:n]
		next = market.Cursor{ID: entries[n-1].ID}.Encode(key, list)
	}
	return entries, next, nil
}

// Audit is what holding the whole ledger against the orders has found. All of
// it must be zero.
type Audit struct {
	Sum        market.Money // of all entries
	Unbalanced int          // postings that do not sum to zero
	Held       int          // orders whose account does not hold what their state says
	Balances   int          // sellers whose kept balance is not the sum of their entries
}

// OK reports whether nothing was found.
func (a Audit) OK() bool { return a == Audit{} }

// Audit reads the whole ledger: it is for operators and tests, not for requests.
func (s *Store) Audit(ctx context.Context) (Audit, error) {
	var a Audit
	err := s.db.ReadTx(ctx, func(tx *sqldb.Tx) error {
		for _, q := range []struct {
			into  any
			query string
		}{
			{(*int64)(&a.Sum), "SELECT COALESCE(SUM(amount), 0) FROM ledger_entries"},
			{&a.Unbalanced, "SELECT COUNT(*) FROM (SELECT posting_key FROM ledger_entries GROUP BY posting_key HAVING SUM(amount) <> 0) wrong"},
			{&a.Balances, "SELECT COUNT(*) FROM balances b WHERE b.available < 0"},
		} {
			if err := tx.QueryRowContext(ctx, q.query).Scan(q.into); err != nil {
				return err
			}
		}
		var err error
		if a.Held, err = auditHeld(ctx, tx); err != nil {
			return err
		}
		wrong, err := auditBalances(ctx, tx)
		a.Balances += wrong
		return err
	})
	return a, failed(err, "audit the ledger")
}

// auditHeld counts orders whose account does not hold what their state says.
// Both sides are read in the order of their ids, which is that of their texts.
func auditHeld(ctx context.Context, tx *sqldb.Tx) (wrong int, err error) {
	held := map[market.Account]market.Money{}
	rows, err := tx.QueryContext(ctx, "SELECT account, SUM(amount) FROM ledger_entries WHERE account >= 'held:' AND account < 'held;' GROUP BY account HAVING SUM(amount) <> 0")
	if err != nil {
		return 0, err
	}
	if err := each(rows, func(row scanner) error {
		var a market.Account
		var m int64
		err := row.Scan((*string)(&a), &m)
		held[a] = market.Money(m)
		return err
	}); err != nil {
		return 0, err
	}
	rows, err = tx.QueryContext(ctx, "SELECT id, state, price FROM orders WHERE state NOT IN ('pending_payment', 'cancelled', 'completed', 'refunded')")
	if err != nil {
		return 0, err
	}
	err = each(rows, func(row scanner) error {
		var o market.Order
		if err := row.Scan((*int64)(&o.ID), (*string)(&o.State), (*int64)(&o.Price)); err != nil {
			return err
		}
		account := market.HeldAccount(o.ID)
		if held[account] != o.Held() {
			wrong++
		}
		delete(held, account)
		return nil
	})
	return wrong + len(held), err
}

func auditBalances(ctx context.Context, tx *sqldb.Tx) (wrong int, err error) {
	sums := map[market.Account]market.Money{}
	rows, err := tx.QueryContext(ctx, "SELECT account, SUM(amount) FROM ledger_entries WHERE account >= 'available:' AND account < 'available;' GROUP BY account HAVING SUM(amount) <> 0")
	if err != nil {
		return 0, err
	}
	if err := each(rows, func(row scanner) error {
		var a market.Account
		var m int64
		err := row.Scan((*string)(&a), &m)
		sums[a] = market.Money(m)
		return err
	}); err != nil {
		return 0, err
	}
	rows, err = tx.QueryContext(ctx, "SELECT user_id, available FROM balances WHERE available <> 0")
	if err != nil {
		return 0, err
	}
	err = each(rows, func(row scanner) error {
		var user market.UserID
		var available market.Money
		if err := row.Scan((*int64)(&user), (*int64)(&available)); err != nil {
			return err
		}
		account := market.AvailableAccount(user)
		if sums[account] != available {
			wrong++
		}
		delete(sums, account)
		return nil
	})
	return wrong + len(sums), err
}
