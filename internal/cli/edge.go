package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/config"
	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/edge"
)

func (p *program) edgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edge",
		Short: "render, check and run nginx in front",
		Long: `Makes nginx's configuration from [[edge.sites]], checks it with nginx itself, and
runs nginx with it. The least that works:

[[edge.sites]]
name = "market.example"
listen = "0.0.0.0:443"
cert_file = "market.pem"
key_file = "market.key"
upstream = ["127.0.0.1:8080"]`,
		Example: "  furima edge check -c furima.toml\n  furima edge run -c furima.toml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.edgeRenderCommand(), &cobra.Command{
		Use:     "check",
		Short:   "let nginx read the configuration without running it",
		Example: "  furima edge check -c furima.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.loadEdge()
			if err != nil {
				return err
			}
			if err := edge.New(cfg.Edge, edge.Options{}).Check(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintln(p.env.Stdout, "nginx accepts the configuration")
			return nil
		},
	}, &cobra.Command{
		Use:   "run",
		Short: "run nginx until a signal, and start it again if it dies",
		Long: `Renders, checks and runs nginx, waits until it serves, and watches it. When this
process ends, however it ends, no nginx stays behind.`,
		Example: "  furima edge run -c furima.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.loadEdge()
			if err != nil {
				return err
			}
			return p.runRole(cmd.Context(), roleEdge, cfg, func(ctx context.Context, r *role) error {
				return r.startEdge(ctx)
			})
		},
	})
	return cmd
}

// loadEdge is load for commands that are of no use without a site.
func (p *program) loadEdge() (config.Config, error) {
	cfg, err := p.loadRole(roleEdge)
	if err == nil && len(cfg.Edge.Sites) == 0 {
		err = config.Faults{{Key: "edge.sites", Problem: "is empty: no site to serve"}}
	}
	return cfg, err
}

// startEdge starts nginx and waits until it serves.
func (r *role) startEdge(ctx context.Context) error {
	e := edge.New(r.cfg.Edge, edge.Options{Logger: r.log, Registerer: r.reg})
	return r.Start(ctx, daemon.Step{Name: "nginx", Run: e.Run, Ready: e.Ready})
}

func (p *program) edgeRenderCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "render --out DIR",
		Short: "write nginx's configuration into a folder",
		Long: `Writes nginx's configuration into a folder that it may then run in: the files of
this version below versions/, and nginx.conf, which leads to them.`,
		Example: "  furima edge render -c furima.toml --out rendered && nginx -t -c $PWD/rendered/nginx.conf",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("--out needs a folder")
			}
			cfg, err := p.loadEdge()
			if err != nil {
				return err
			}
			dir, err := filepath.Abs(out)
			if err != nil {
				return err
			}
			cfg.Edge.RunDir = dir
			tree, err := edge.New(cfg.Edge, edge.Options{}).Render(cmd.Context())
			if err != nil {
				return err
			}
			if err := tree.Write(); err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(tree.Files)) {
				fmt.Fprintln(p.env.Stdout, filepath.Join(tree.Dir(), name))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder to write into; made when missing")
	return cmd
}
