package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/config"
)

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "check or print the configuration",
		Example: "  furima config check -c furima.toml\n  furima config print",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "report every fault of the configuration, each with its key",
		Long: `Reads the file and the FURIMA_* environment and reports every fault at once.
Exit status 0 if there is none, else 2.`,
		Example: "  furima config check -c furima.toml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := p.load(nil); err != nil {
				return err
			}
			fmt.Fprintln(p.env.Stdout, "configuration is good")
			return nil
		},
	}, &cobra.Command{
		Use:     "print",
		Short:   "print the configuration in force as TOML, secrets redacted",
		Long:    "Prints defaults, file and FURIMA_* environment laid over each other, as TOML. Secrets read \"redacted\".",
		Example: "  FURIMA_API_LISTEN=127.0.0.1:9000 furima config print",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.load(nil)
			if err != nil {
				return err
			}
			return config.Print(p.env.Stdout, cfg)
		},
	})
	return cmd
}
