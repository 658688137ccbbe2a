package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// maxDevices is how many devices of a person are notified. The one that was
// registered longest ago makes room for a new one.
const maxDevices = 20

// RegisterDevice makes a device known, or gives a known one (same user and
// name) a new token. A token belongs to one device: whoever registers it last
// has it. reg.ID is not looked at.
func (s *Store) RegisterDevice(ctx context.Context, reg market.DeviceRegistration) (market.Device, error) {
	if _, err := s.rules.NewDevice(reg, s.time()); err != nil {
		return market.Device{}, err
	}
	var dev market.Device
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		reg.ID = market.DeviceID(s.ids.Next(now))
		var err error
		if dev, err = s.rules.NewDevice(reg, now); err != nil {
			return err
		}
		hash := sha256.Sum256([]byte(dev.Token))
		var session any
		if reg.Session != (market.TokenHash{}) {
			session = reg.Session[:]
		}
		if _, err := tx.ExecContext(ctx,
			"DELETE FROM devices WHERE platform = ? AND token_hash = ? AND NOT (user_id = ? AND name = ?)",
			string(dev.Platform), hash[:], int64(dev.UserID), dev.Name); err != nil {
			return err
		}
		var created int64
		err = tx.QueryRowContext(ctx, "SELECT id, created_at FROM devices WHERE user_id = ? AND name = ?"+s.sql.forUpdate,
			int64(dev.UserID), dev.Name).Scan((*int64)(&dev.ID), &created)
		if err == nil {
			dev.CreatedAt = sqldb.FromMicros(created)
			_, err = tx.ExecContext(ctx,
				"UPDATE devices SET platform = ?, token_hash = ?, token = ?, locale = ?, session_hash = ?, registered_at = ? WHERE id = ?",
				string(dev.Platform), hash[:], dev.Token, string(dev.Locale), session, sqldb.Micros(dev.RegisteredAt), int64(dev.ID))
			return err
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := s.makeRoom(ctx, tx, dev.UserID); err != nil {
			return err
		}
		tx.OnCommit(func() { s.metrics.count(eventDeviceAdded) })
		_, err = tx.ExecContext(ctx, "INSERT INTO devices (id, user_id, name, platform, token_hash, token, locale, session_hash, created_at, registered_at)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			int64(dev.ID), int64(dev.UserID), dev.Name, string(dev.Platform), hash[:], dev.Token, string(dev.Locale), session,
			sqldb.Micros(dev.CreatedAt), sqldb.Micros(dev.RegisteredAt))
		return err
	})
	if err != nil {
		return market.Device{}, failed(err, "register device of user %d", int64(reg.UserID))
	}
	return dev, nil
}

// makeRoom deletes the oldest devices of a user who has as many as one may.
func (s *Store) makeRoom(ctx context.Context, tx *sqldb.Tx, user market.UserID) error {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM devices WHERE user_id = ? ORDER BY registered_at DESC, id DESC", int64(user))
	if err != nil {
		return err
	}
	var ids []int64
	if err := each(rows, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}); err != nil || len(ids) < maxDevices {
		return err
	}
	ids = ids[maxDevices-1:]
	_, err = tx.ExecContext(ctx, "DELETE FROM devices WHERE id IN "+s.db.Dialect().In(len(ids)), args(ids)...)
	return err
}

// ForgetDevice forgets a person's device by its name. Without one it does
// nothing.
func (s *Store) ForgetDevice(ctx context.Context, user market.UserID, name string) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		n, err := exec(ctx, tx, "DELETE FROM devices WHERE user_id = ? AND name = ?", int64(user), name)
		if n > 0 {
			tx.OnCommit(func() { s.metrics.count(eventDeviceGone) })
		}
		return err
	})
	return failed(err, "forget device of user %d", int64(user))
}

// ForgetDevices forgets the devices whose tokens a push service has called
// dead, unless a token was registered again after it had died, and remembers
// in the same transaction how far the gateway's feedback has been read. It
// returns how many devices it has forgotten.
func (s *Store) ForgetDevices(ctx context.Context, dead []market.DeadToken, cursor string) (int, error) {
	n := 0
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		n = 0
		for _, d := range dead {
			if d.Time.IsZero() {
				d.Time = now
			}
			hash := sha256.Sum256([]byte(d.Token))
			gone, err := exec(ctx, tx, "DELETE FROM devices WHERE platform = ? AND token_hash = ? AND registered_at <= ?",
				string(d.Platform), hash[:], sqldb.Micros(d.Time))
			if err != nil {
				return err
			}
			n += int(gone)
		}
		tx.OnCommit(func() { s.metrics.events.WithLabelValues(eventDeviceGone).Add(float64(n)) })
		_, err := tx.ExecContext(ctx, s.sql.setMark, markPushCursor, cursor)
		return err
	})
	if err != nil {
		return 0, failed(err, "forget devices")
	}
	return n, nil
}

// Devices returns the devices of some people.
func (s *Store) Devices(ctx context.Context, users ...market.UserID) ([]market.Device, error) {
	if len(users) == 0 {
		return nil, nil
	}
	ids := padded(users)
	rows, err := s.db.QueryContext(ctx,
		"SELECT id, user_id, name, platform, token, locale, created_at, registered_at FROM devices WHERE user_id IN "+
			s.db.Dialect().In(len(ids))+" ORDER BY user_id, id", ids...)
	if err != nil {
		return nil, failed(err, "read devices")
	}
	var all []market.Device
	err = each(rows, func(row scanner) error {
		var d market.Device
		var created, registered int64
		if err := row.Scan((*int64)(&d.ID), (*int64)(&d.UserID), &d.Name, (*string)(&d.Platform), &d.Token, (*string)(&d.Locale), &created, &registered); err != nil {
			return err
		}
		d.CreatedAt, d.RegisteredAt = sqldb.FromMicros(created), sqldb.FromMicros(registered)
		all = append(all, d)
		return nil
	})
	return all, failed(err, "read devices")
}
