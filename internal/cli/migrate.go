package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb"
)

func (p *program) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate [market|push]",
		Short: "bring a database to this version's schema",
		Long: `Brings the market's database (store.url) or the push gateway's (push.store) to the
schema of this version, and gives a market without categories the catalogue.
SQLite files are migrated by the roles themselves; for a shared MySQL or MariaDB
run this before the new version starts. The version before keeps working meanwhile.
It may be run again at any time.`,
		Example: `  furima migrate
  FURIMA_STORE_URL=mysql://furima:secret@db:3306/market furima migrate market
  furima migrate push`,
		ValidArgs: []string{"market", "push"},
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := p.load(nil)
			if err != nil {
				return err
			}
			what, db, migrate := "market", cfg.Store, migrateMarket
			if len(args) == 1 && args[0] == "push" {
				what, db, migrate = "push", sqldb.Config{URL: cfg.Push.Store}, push.Migrate
			}
			if err := p.withDB(cmd.Context(), db, cfg.Log, migrate); err != nil {
				return err
			}
			fmt.Fprintf(p.env.Stdout, "the %s database has the schema of this version\n", what)
			return nil
		},
	}
}

// withDB opens a database for the time of f.
func (p *program) withDB(ctx context.Context, cfg sqldb.Config, log daemon.LogConfig, f func(context.Context, *sqldb.DB) error) (err error) {
	db, err := sqldb.Open(ctx, cfg, sqldb.Options{Logger: daemon.NewLogger(p.env.Stderr, p.logConfig(log))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(ctx, db)
}
