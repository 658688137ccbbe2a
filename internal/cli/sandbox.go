package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
)

// sandboxFlags say where the stand-ins listen and what they keep.
type sandboxFlags struct {
	listen, google, webpush string
	dir                     string
	keep                    int
}

func (p *program) sandboxCommand() *cobra.Command {
	var f sandboxFlags
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "run stand-ins for Apple, Google and browsers, to try furima push against",
		Long: `Runs stand-ins for Apple's, Google's and browsers' push services behind real TLS and
HTTP/2. They check what those check and show what arrives on a page of phones on the
ops listener, /phones/. The tables that make furima push use them are printed.

/sandbox/ on the ops listener is their own API: GET /sandbox/deliveries?after=N,
POST /sandbox/faults {"status":503,"reason":"ServiceUnavailable","count":3},
POST /sandbox/uninstall {"token":"…"}, POST /sandbox/webpush/subscriptions?count=N.`,
		Example: "  furima sandbox --listen 127.0.0.1:2197 --dir data/sandbox",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.loadRole(roleSandbox)
			if err != nil {
				return err
			}
			return p.runRole(cmd.Context(), roleSandbox, cfg, func(ctx context.Context, r *role) error {
				s, err := r.startSandbox(ctx, f)
				if err != nil {
					return err
				}
				r.onOpen = append(r.onOpen, func() { s.print(p.env) })
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:2197", "address of the stand-in for Apple; port 0 takes a free one")
	cmd.Flags().StringVar(&f.google, "listen-google", "", "address of the one for Google (default the port after Apple's, or a free one)")
	cmd.Flags().StringVar(&f.webpush, "listen-webpush", "", "address of the one for browsers (default the next port but one, or a free one)")
	cmd.Flags().IntVar(&f.keep, "keep", 2000, "deliveries that are remembered")
	cmd.Flags().StringVar(&f.dir, "dir", "data/sandbox", "folder for their keys and root certificate")
	return cmd
}

// sandboxes are the stand-ins of a role.
type sandboxes struct {
	phones  *sandbox.Phones
	apple   *sandbox.Apple
	google  *sandbox.Google
	webpush *sandbox.WebPush
}

// startSandbox starts the stand-ins and puts their phones and their API on the
// ops listener.
func (r *role) startSandbox(ctx context.Context, f sandboxFlags) (sandboxes, error) {
	s := sandboxes{phones: sandbox.NewPhones(sandbox.PhonesOptions{Keep: f.keep, PushURL: "http://" + r.cfg.Push.Listen})}
	var err error
	s.apple, err = sandbox.OpenApple(sandbox.AppleOptions{Listen: f.listen, Dir: f.dir, Phones: s.phones, Logger: r.log})
	if err != nil {
		return s, err
	}
	if err := r.Start(ctx, daemon.Step{Name: "sandbox", Run: s.apple.Run}); err != nil {
		return s, err
	}
	err = beside(f.listen, f.google, 1, func(listen string) (err error) {
		s.google, err = sandbox.OpenGoogle(sandbox.GoogleOptions{Listen: listen, Dir: f.dir, Phones: s.phones, Logger: r.log})
		return err
	})
	if err != nil {
		return s, err
	}
	if err := r.Start(ctx, daemon.Step{Name: "sandbox for Google", Run: s.google.Run}); err != nil {
		return s, err
	}
	err = beside(f.listen, f.webpush, 2, func(listen string) (err error) {
		s.webpush, err = sandbox.OpenWebPush(sandbox.WebPushOptions{Listen: listen, Dir: f.dir, Phones: s.phones, Logger: r.log})
		return err
	})
	if err != nil {
		return s, err
	}
	if err := r.Start(ctx, daemon.Step{Name: "sandbox for browsers", Run: s.webpush.Run}); err != nil {
		return s, err
	}
	r.ops.Handle("/phones/", http.StripPrefix("/phones", s.phones.PhonesPage()))
	r.ops.Handle("/sandbox/", s.apple.Control())
	r.ops.Handle("/sandbox/google/", s.google.Control())
	r.ops.Handle("/sandbox/webpush/", s.webpush.Control())
	return s, nil
}

// beside calls open with an address: the one that was asked for; else the one
// that is n ports after first, or a free one if that is taken.
func beside(first, asked string, n int, open func(listen string) error) error {
	if asked != "" {
		return open(asked)
	}
	host, text, err := net.SplitHostPort(first)
	if err != nil {
		return open("") // nobody could say what is after that
	}
	port, err := strconv.Atoi(text)
	if err == nil && port > 0 && port+n <= 65535 {
		err = open(net.JoinHostPort(host, strconv.Itoa(port+n)))
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return open(net.JoinHostPort(host, "0"))
}

// app is an app that is known to all stand-ins.
func (s sandboxes) app() push.AppConfig {
	return push.AppConfig{
		Name: "market",
		APNS: push.APNSConfig{
			KeyFile: s.apple.KeyFile(), KeyID: sandbox.KeyID, TeamID: sandbox.TeamID,
			Topic: "com.example.market", Endpoint: s.apple.URL(), CAFile: s.apple.CAFile(),
		},
		FCM: push.FCMConfig{CredentialsFile: s.google.CredentialsFile(), Endpoint: s.google.URL(), CAFile: s.google.CAFile()},
		WebPush: push.WebPushConfig{
			KeyFile: s.webpush.KeyFile(), Subject: "mailto:push@example.com", AllowPrivate: true, CAFile: s.webpush.CAFile(),
		},
	}
}

// print says how furima push uses the stand-ins.
func (s sandboxes) print(env Env) {
	app := s.app()
	a, g, w := app.APNS, app.FCM, app.WebPush
	fmt.Fprintf(env.Stdout, `The stand-ins listen. furima push uses them with

[[push.apps]]
name = %q
[push.apps.apns]
key_file = %q
key_id = %q
team_id = %q
topic = %q
endpoint = %q
ca_file = %q
[push.apps.fcm]
credentials_file = %q
endpoint = %q
ca_file = %q
[push.apps.webpush]
key_file = %q
subject = %q
allow_private = %v
ca_file = %q
`, app.Name, a.KeyFile, a.KeyID, a.TeamID, a.Topic, a.Endpoint, a.CAFile,
		g.CredentialsFile, g.Endpoint, g.CAFile, w.KeyFile, w.Subject, w.AllowPrivate, w.CAFile)
}
