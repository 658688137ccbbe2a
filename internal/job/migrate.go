package job

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/furima/furima/internal/sqldb"
)

//go:embed migrations
var migrations embed.FS

// schema is the name of the queue's migrations in the database.
const schema = "job"

// Migrations returns the queue's migrations: sqlite/*.sql and mysql/*.sql.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return sub
}

// Migrate brings the queue's tables to this program's schema. Several processes
// may call it at once.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	return db.Migrate(ctx, schema, Migrations())
}

// Pending returns how many of the queue's migrations the database lacks.
func Pending(ctx context.Context, db *sqldb.DB) (int, error) {
	n, err := db.Pending(ctx, schema, Migrations())
	if err != nil {
		return 0, fmt.Errorf("look for pending migrations of the job queue: %w", err)
	}
	return n, nil
}
