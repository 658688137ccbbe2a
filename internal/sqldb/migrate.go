package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// Migrate applies the migrations of fsys that the database lacks. fsys holds
// sqlite/*.sql and mysql/*.sql in goose's form; name keeps the versions of one
// owner apart from those of another in the same database. Several processes
// may call it at once: one works, the others wait.
func (db *DB) Migrate(ctx context.Context, name string, fsys fs.FS) error {
	unlock, err := db.lockMigrations(ctx, name)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	defer unlock()
	if db.dialect.name == nameMySQL {
		if err := db.repairVersions(ctx, name); err != nil {
			return fmt.Errorf("migrate %s: %w", name, reason(err))
		}
	}
	p, err := db.provider(name, fsys)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", name, reason(err))
	}
	return nil
}

// Pending returns how many migrations of fsys the database lacks.
func (db *DB) Pending(ctx context.Context, name string, fsys fs.FS) (int, error) {
	p, err := db.provider(name, fsys)
	if err != nil {
		return 0, err
	}
	if db.dialect.name == nameMySQL {
		switch empty, err := db.emptyVersions(ctx, name); {
		case err != nil:
			return 0, fmt.Errorf("status of migrations %s: %w", name, reason(err))
		case empty:
			return len(p.ListSources()), nil
		}
	}
	states, err := p.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("status of migrations %s: %w", name, reason(err))
	}
	n := 0
	for _, s := range states {
		if s.State == goose.StatePending {
			n++
		}
	}
	return n, nil
}

func (db *DB) provider(name string, fsys fs.FS) (*goose.Provider, error) {
	sub, err := fs.Sub(fsys, db.dialect.name)
	if err != nil {
		return nil, fmt.Errorf("migrations %s: %w", name, err)
	}
	dialect := goose.DialectSQLite3
	if db.dialect.name == nameMySQL {
		dialect = goose.DialectMySQL
	}
	versions, err := database.NewStore(dialect, "goose_"+name)
	if err != nil {
		return nil, fmt.Errorf("migrations %s: %w", name, err)
	}
	options := []goose.ProviderOption{goose.WithStore(versions), goose.WithSlog(slog.New(slog.DiscardHandler))}
	if db.dialect.name == nameMySQL {
		steps, err := db.steps(name, sub)
		if err != nil {
			return nil, fmt.Errorf("migrations %s: %w", name, err)
		}
		sub, options = nil, append(options, goose.WithGoMigrations(steps...))
	}
	p, err := goose.NewProvider("", db.write, sub, options...)
	if err != nil {
		return nil, fmt.Errorf("migrations %s: %w", name, err)
	}
	return p, nil
}

// lockMigrations keeps others from migrating at the same time. On MySQL it is a
// named lock, which a connection holds until it is released or broken, on SQLite
// a claim.
func (db *DB) lockMigrations(ctx context.Context, name string) (unlock func(), err error) {
	if db.dialect.name == nameSQLite {
		return db.awaitClaim(ctx, migrationClaim)
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock migrations: %w", reason(err))
	}
	lock := "furima_migrate_" + name
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT(DATABASE(), ?), 60)", lock).Scan(&got); err != nil || got.Int64 != 1 {
		if err == nil {
			err = errors.New("another process has been migrating for a minute")
		}
		return nil, fmt.Errorf("lock migrations: %w", errors.Join(reason(err), conn.Close()))
	}
	return func() {
		// Not with ctx: the lock is to be given back in any case. Closing the
		// connection would do it too, at a later time.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT RELEASE_LOCK(CONCAT(DATABASE(), ?))", lock)
		_ = conn.Close()
	}, nil
}

// awaitClaim claims id as soon as nobody else does.
func (db *DB) awaitClaim(ctx context.Context, id int64) (release func(), err error) {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for {
		release, err := db.Alive(id)
		if !errors.Is(err, errClaimed) {
			return release, err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another process that migrates: %w", context.Cause(ctx))
		}
	}
}
