package cli

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/config"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/apns"
)

// pushChannelsCommand manages Apple's broadcast channels with an app's own
// credentials: it speaks to Apple and not to the gateway.
func (p *program) pushChannelsCommand() *cobra.Command {
	var app string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "channels",
		Short: "manage Apple's broadcast channels of an app",
		Long: `Makes, lists and deletes the channels that live activities subscribe to (iOS 18 and
later). It asks Apple with the app's credentials from the configuration. To send
to a channel: furima push send --channel ID.`,
		Example: `  furima push channels create --app market --keep latest
  furima push channels list --app market`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&app, "app", "", "name of the app (default the configuration's first)")
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")

	// with opens the channels of the app for one command.
	with := func(f func(cmd *cobra.Command, c *apns.Channels, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			c, err := p.openChannels(app)
			if err != nil {
				return err
			}
			defer c.Close()
			return f(cmd, c, args)
		}
	}
	show := func(c apns.Channel) error {
		if asJSON {
			return json.NewEncoder(p.env.Stdout).Encode(map[string]string{"id": c.ID, "keep": keepName(c.Policy), "push_type": c.PushType})
		}
		_, err := fmt.Fprintf(p.env.Stdout, "%s\tkeeps %s\t%s\n", c.ID, keepName(c.Policy), c.PushType)
		return err
	}
	cmd.AddCommand(channelsCreate(p, with), &cobra.Command{
		Use: "list", Short: "list the ids of all channels", Example: "  furima push channels list", Args: cobra.NoArgs,
		RunE: with(func(cmd *cobra.Command, c *apns.Channels, _ []string) error {
			ids, err := c.List(cmd.Context())
			if err != nil {
				return err
			}
			slices.Sort(ids)
			if asJSON {
				return json.NewEncoder(p.env.Stdout).Encode(ids)
			}
			for _, id := range ids {
				fmt.Fprintln(p.env.Stdout, id)
			}
			return nil
		}),
	}, &cobra.Command{
		Use: "show ID", Short: "show a channel", Example: "  furima push channels show dHN0LXNyY2gtY2hubA==", Args: cobra.ExactArgs(1),
		RunE: with(func(cmd *cobra.Command, c *apns.Channels, args []string) error {
			ch, err := c.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return show(ch)
		}),
	}, &cobra.Command{
		Use: "delete ID", Short: "delete a channel: what is sent to it later is refused", Example: "  furima push channels delete dHN0LXNyY2gtY2hubA==", Args: cobra.ExactArgs(1),
		RunE: with(func(cmd *cobra.Command, c *apns.Channels, args []string) error {
			return c.Delete(cmd.Context(), args[0])
		}),
	})
	return cmd
}

func channelsCreate(p *program, with func(func(*cobra.Command, *apns.Channels, []string) error) func(*cobra.Command, []string) error) *cobra.Command {
	var keep string
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "make a channel and print its id",
		Example: "  furima push channels create --keep latest",
		Args:    cobra.NoArgs,
	}
	run := with(func(cmd *cobra.Command, c *apns.Channels, _ []string) error {
		policy := apns.NoStorage
		if keep == keepLatest {
			policy = apns.MostRecent
		}
		id, err := c.Create(cmd.Context(), policy)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.env.Stdout, id)
		return err
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if keep != keepNone && keep != keepLatest {
			return usagef("--keep must be none or latest")
		}
		return run(cmd, args)
	}
	cmd.Flags().StringVar(&keep, "keep", keepNone, `what Apple keeps for devices that are offline: "none", or the "latest" message`)
	completeFixed(cmd, "keep", keepNone, keepLatest)
	return cmd
}

// What Apple keeps of a channel's messages.
const (
	keepNone   = "none"
	keepLatest = "latest"
)

func keepName(p apns.StoragePolicy) string {
	if p == apns.MostRecent {
		return keepLatest
	}
	return keepNone
}

func (p *program) openChannels(app string) (*apns.Channels, error) {
	cfg, err := p.load(nil)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(cfg.Push.Apps, func(a push.AppConfig) bool { return app == "" || a.Name == app })
	switch {
	case len(cfg.Push.Apps) == 0:
		return nil, config.Faults{{Key: "push.apps", Problem: "is empty: no app to manage channels of"}}
	case i < 0:
		return nil, usagef("--app: there is no app of that name in the configuration")
	}
	c, err := apns.OpenChannels(cfg.Push.Apps[i], apns.Options{})
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// completeFixed makes the shell complete a flag's values.
func completeFixed(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is there
	}
}
