package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) apiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "run the market's JSON API and its jobs",
		Long: `Runs the market's JSON API and the jobs that follow from it, on SQLite below
./data, or on MySQL or MariaDB with store.url = "mysql://…". Its documentation is
at /docs, its OpenAPI document at /openapi.json.`,
		Example: `  furima api
  FURIMA_STORE_URL=mysql://furima:secret@db:3306/market furima api -c furima.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.loadRole(roleAPI)
			if err != nil {
				return err
			}
			return p.runRole(cmd.Context(), roleAPI, cfg, func(ctx context.Context, r *role) error {
				m, err := r.openMarket(ctx, false)
				if err != nil {
					return err
				}
				_, err = r.startAPI(ctx, m)
				return err
			})
		},
	}
}
