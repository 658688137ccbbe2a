package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

var errPayoutNotFound = market.Errorf(market.CodeNotFound, "", "there is no such payout")

const payoutColumns = "id, user_id, amount, currency, state, failure, created_at, updated_at"

var tablePayouts = table{"payouts", []string{"id", "user_id", "amount", "currency", "state", "failure", "created_at", "updated_at"}}

func scanPayout(row scanner) (market.Payout, error) {
	var p market.Payout
	var created, updated int64
	err := row.Scan((*int64)(&p.ID), (*int64)(&p.User), (*int64)(&p.Amount), &p.Currency, (*string)(&p.State), (*string)(&p.Failure), &created, &updated)
	p.CreatedAt, p.UpdatedAt = sqldb.FromMicros(created), sqldb.FromMicros(updated)
	return p, err
}

// RequestPayout takes money out of what a seller has available; a job
// KindPayout has the provider pay it.
func (s *Store) RequestPayout(ctx context.Context, user market.UserID, amount market.Money) (market.Payout, error) {
	var payout market.Payout
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		var available market.Money
		err := tx.QueryRowContext(ctx, "SELECT available FROM balances WHERE user_id = ?"+s.sql.forUpdate, int64(user)).Scan((*int64)(&available))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if payout, err = s.rules.NewPayout(market.PayoutID(s.ids.Next(now)), user, amount, available, now); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, tablePayouts, 1, func(int) []any {
			return []any{
				int64(payout.ID), int64(user), int64(amount), payout.Currency, string(payout.State), string(payout.Failure),
				sqldb.Micros(payout.CreatedAt), sqldb.Micros(payout.UpdatedAt),
			}
		}); err != nil {
			return err
		}
		if err := s.post(ctx, tx, market.PostingOfPayout(payout), now); err != nil {
			return err
		}
		_, err = s.queue.EnqueueTx(ctx, tx, newJob(KindPayout, PayoutRef{Payout: payout.ID}))
		return err
	})
	if err != nil {
		return market.Payout{}, failed(err, "request payout of user %d", int64(user))
	}
	return payout, nil
}

// Payout returns a payout.
func (s *Store) Payout(ctx context.Context, id market.PayoutID) (market.Payout, error) {
	p, err := scanPayout(s.db.QueryRowContext(ctx, "SELECT "+payoutColumns+" FROM payouts WHERE id = ?", int64(id)))
	if err != nil {
		return market.Payout{}, failed(orNotFound(err, errPayoutNotFound), "read payout %d", int64(id))
	}
	return p, nil
}

// EndPayout writes down what the provider has made of a payout: paid, or failed
// and the money is available again. To be told the same again does nothing.
func (s *Store) EndPayout(ctx context.Context, id market.PayoutID, to market.PayoutState, failure market.Reason) (market.Payout, error) {
	var payout market.Payout
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		before, err := scanPayout(tx.QueryRowContext(ctx, "SELECT "+payoutColumns+" FROM payouts WHERE id = ?"+s.sql.forUpdate, int64(id)))
		if err != nil {
			return orNotFound(err, errPayoutNotFound)
		}
		var changed bool
		if payout, changed, err = before.End(to, failure, now); err != nil || !changed {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE payouts SET state = ?, failure = ?, updated_at = ? WHERE id = ?",
			string(payout.State), string(payout.Failure), sqldb.Micros(now), int64(id)); err != nil {
			return err
		}
		return s.post(ctx, tx, market.PostingOfPayout(payout), now)
	})
	if err != nil {
		return market.Payout{}, failed(err, "end payout %d", int64(id))
	}
	return payout, nil
}
