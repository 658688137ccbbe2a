package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
)

//go:embed migrations
var migrations embed.FS

// schema is the name of the store's migrations in the database.
const schema = "store"

// Migrations returns the store's migrations: sqlite/*.sql and mysql/*.sql.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return sub
}

// Migrate brings the database's schema, the job queue's included, to that of
// this program. It may be called by several processes at once.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	if err := job.Migrate(ctx, db); err != nil {
		return fmt.Errorf("migrate job queue: %w", err)
	}
	if err := db.Migrate(ctx, schema, Migrations()); err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	return nil
}

// Pending returns how many of the store's own migrations the database lacks.
func Pending(ctx context.Context, db *sqldb.DB) (int, error) {
	n, err := db.Pending(ctx, schema, Migrations())
	if err != nil {
		return 0, fmt.Errorf("look for pending migrations: %w", err)
	}
	return n, nil
}
