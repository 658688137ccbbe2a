package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/config"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/seed"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/store"
)

func (p *program) seedCommand() *cobra.Command {
	var o seed.Options
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "fill the market with sample people, items and photos",
		Long: `Fills the market's database with sample data: people, items with Japanese and
English titles, drawn photos, likes and comments. The same --seed makes the same
market. It is meant for an empty database; everybody's password is ` + seed.Password + `.`,
		Example: "  furima seed --items 10000 --seed 1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(nil)
			if err != nil {
				return err
			}
			if o.Items < 1 || o.Users < 1 {
				return usagef("--items and --users must be at least 1")
			}
			return p.withDB(cmd.Context(), cfg.Store, cfg.Log, func(ctx context.Context, db *sqldb.DB) error {
				if err := migrateMarket(ctx, db); err != nil {
					return err
				}
				return p.seed(ctx, cfg, db, o)
			})
		},
	}
	seedFlags(cmd, &o)
	return cmd
}

func seedFlags(cmd *cobra.Command, o *seed.Options) {
	cmd.Flags().IntVar(&o.Items, "items", 10_000, "items to make")
	cmd.Flags().IntVar(&o.Users, "users", 240, "people to make")
	cmd.Flags().IntVar(&o.PhotoSide, "photo-side", 640, "side of the drawn photos, in pixels")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "the same number makes the same market")
}

// seed makes the sample data in a migrated database.
func (p *program) seed(ctx context.Context, cfg config.Config, db *sqldb.DB, o seed.Options) (err error) {
	photos, err := photo.Open(cfg.Photo, photo.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, photos.Close()) }()
	bar := progress{env: p.env, what: "sample data"}
	o.Store = store.New(db, job.NewQueue(db, job.Options{}), store.Options{})
	o.Photos = photos
	o.HashPassword = func(password string) (string, error) { return api.HashPassword(password), nil }
	o.Progress = bar.update
	began := time.Now()
	sum, err := seed.Run(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.env.Stdout, "%d people, %d items, %d photos, %d likes and %d comments in %.1f s\n",
		sum.Users, sum.Items, sum.Photos, sum.Likes, sum.Comments, time.Since(began).Seconds())
	return nil
}
