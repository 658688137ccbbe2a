package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/push/sandbox"
)

func (p *program) sandboxCommand() *cobra.Command {
	var listen, dir string
	var keep int
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "run a stand-in for Apple's push service, to try furima push against",
		Long: `Runs a stand-in for Apple behind real TLS and HTTP/2. It checks what Apple checks
and shows what arrives on a page of phones on the ops listener, /phones/.
It prints the [push.apps.apns] table that makes furima push use it.

/sandbox/ on the ops listener is its own API: GET /sandbox/deliveries?after=N,
POST /sandbox/faults {"status":503,"reason":"ServiceUnavailable","count":3},
POST /sandbox/uninstall {"token":"…"}.`,
		Example: "  furima sandbox --listen 127.0.0.1:2197 --dir data/sandbox",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.loadRole(roleSandbox)
			if err != nil {
				return err
			}
			return p.runRole(cmd.Context(), roleSandbox, cfg, func(ctx context.Context, r *role) error {
				apple, _, err := r.startSandbox(ctx, listen, dir, keep)
				if err != nil {
					return err
				}
				r.onOpen = append(r.onOpen, func() {
					fmt.Fprintf(p.env.Stdout, `The stand-in for Apple listens. furima push uses it with

[[push.apps]]
name = "market"
[push.apps.apns]
key_file = %q
key_id = %q
team_id = %q
topic = "com.example.market"
endpoint = %q
ca_file = %q
`, apple.KeyFile(), sandbox.KeyID, sandbox.TeamID, apple.URL(), apple.CAFile())
				})
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:2197", "address of the stand-in; port 0 takes a free one")
	cmd.Flags().IntVar(&keep, "keep", 2000, "deliveries that are remembered")
	cmd.Flags().StringVar(&dir, "dir", "data/sandbox", "folder for its signing key and root certificate")
	return cmd
}

// startSandbox starts the stand-in for Apple and puts its phones and its API
// on the ops listener.
func (r *role) startSandbox(ctx context.Context, listen, dir string, keep int) (*sandbox.Apple, *sandbox.Phones, error) {
	phones := sandbox.NewPhones(sandbox.PhonesOptions{Keep: keep, PushURL: "http://" + r.cfg.Push.Listen})
	apple, err := sandbox.OpenApple(sandbox.AppleOptions{Listen: listen, Dir: dir, Phones: phones, Logger: r.log})
	if err != nil {
		return nil, nil, err
	}
	if err := r.Start(ctx, daemon.Step{Name: "sandbox", Run: apple.Run}); err != nil {
		return nil, nil, err
	}
	r.ops.Handle("/phones/", http.StripPrefix("/phones", phones.PhonesPage()))
	r.ops.Handle("/sandbox/", apple.Control())
	return apple, phones, nil
}
