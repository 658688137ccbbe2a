package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

var errUserNotFound = market.Errorf(market.CodeNotFound, "", "there is no such person")

// RegisterUser makes a user; reg.ID is not looked at. An address that is
// registered already is market.CodeConflict with ReasonEmailTaken.
func (s *Store) RegisterUser(ctx context.Context, reg market.Registration) (market.User, error) {
	// What the rules refuse needs no transaction.
	if _, err := s.rules.NewUser(reg, s.time()); err != nil {
		return market.User{}, err
	}
	var user market.User
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		reg.ID = market.UserID(s.ids.Next(now))
		var err error
		if user, err = s.rules.NewUser(reg, now); err != nil {
			return err
		}
		var one int
		switch err := tx.QueryRowContext(ctx, "SELECT 1 FROM users WHERE email = ?", user.Email).Scan(&one); {
		case err == nil:
			return &market.Error{Code: market.CodeConflict, Reason: market.ReasonEmailTaken, Field: "email", Message: "is registered already"}
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		tx.OnCommit(func() { s.metrics.count(eventUserRegistered) })
		return s.insert(ctx, tx, tableUsers, 1, func(int) []any { return userValues(user, reg.PasswordHash) })
	})
	if err != nil {
		return market.User{}, failed(err, "register user")
	}
	return user, nil
}

const userColumns = "id, email, name, locale, state, version, bio, good_count, bad_count, created_at, updated_at"

func scanUser(row scanner, more ...any) (market.User, error) {
	var u market.User
	var created, updated int64
	err := row.Scan(append([]any{(*int64)(&u.ID), &u.Email, &u.Name, (*string)(&u.Locale), (*string)(&u.State), &u.Version, &u.Bio, &u.Good, &u.Bad, &created, &updated}, more...)...)
	u.CreatedAt, u.UpdatedAt = sqldb.FromMicros(created), sqldb.FromMicros(updated)
	return u, err
}

// User returns a person.
func (s *Store) User(ctx context.Context, id market.UserID) (market.User, error) {
	u, err := scanUser(s.db.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE id = ?", int64(id)))
	if err != nil {
		return market.User{}, failed(orNotFound(err, errUserNotFound), "read user %d", int64(id))
	}
	return u, nil
}

// UserByEmail returns a person and the hash of the password, for logging in. An
// address that cannot be one and one that nobody has are both
// market.CodeNotFound: the caller tells nobody which.
func (s *Store) UserByEmail(ctx context.Context, email string) (market.Credentials, error) {
	email, err := market.NormalizeEmail(email)
	if err != nil {
		return market.Credentials{}, errUserNotFound
	}
	var c market.Credentials
	c.User, err = scanUser(s.db.QueryRowContext(ctx,
		"SELECT "+userColumns+", password_hash FROM users WHERE email = ?", email), &c.PasswordHash)
	if err != nil {
		return market.Credentials{}, failed(orNotFound(err, errUserNotFound), "read user by address")
	}
	return c, nil
}
