package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
)

// withPushTools adds what speaks to a running gateway, or prepares one, to the
// command that runs it.
func (p *program) withPushTools(cmd *cobra.Command) *cobra.Command {
	cmd.AddCommand(
		p.pushSendCommand(),
		p.pushStatusCommand(),
		p.pushCancelCommand(),
		p.pushFeedbackCommand(),
		p.pushVAPIDCommand(),
		p.pushChannelsCommand(),
	)
	return cmd
}

// pushTokenVariable holds the bearer token for a gateway. It is no key of the
// configuration.
const pushTokenVariable = "FURIMA_PUSH_TOKEN"

// gatewayFlags say where the gateway is.
type gatewayFlags struct {
	url, tokenFile string
}

func (f *gatewayFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "url", "http://127.0.0.1:1056", `where the gateway is: "http://host:port", "https://host" or "unix:/path"`)
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file with the gateway's bearer token (default the variable "+pushTokenVariable+", if it is set)")
}

// gateway returns a client of the gateway that the flags name.
func (p *program) gateway(f gatewayFlags) (*client.Push, error) {
	token := ""
	switch {
	case f.tokenFile != "":
		raw, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, usagef("--token-file: %w", err)
		}
		if token = strings.TrimSpace(string(raw)); token == "" {
			return nil, usagef("--token-file: %s is empty", f.tokenFile)
		}
	default:
		for _, kv := range p.env.Environ {
			if v, ok := strings.CutPrefix(kv, pushTokenVariable+"="); ok {
				token = strings.TrimSpace(v)
			}
		}
	}
	if !strings.HasPrefix(f.url, "http://") && !strings.HasPrefix(f.url, "https://") && !strings.HasPrefix(f.url, "unix:") {
		return nil, usagef(`--url must be "http://host:port", "https://host" or "unix:/path"`)
	}
	return client.NewPush(client.PushOptions{URL: f.url, Token: token, UserAgent: "furima/" + version}), nil
}

// eachID calls f once with every id that is given: arguments, or with "-" the
// first word of every line of the standard input, as --ids writes them. (After a
// crash some are there twice.)
func (p *program) eachID(args []string, f func(id string) error) error {
	seen := make(map[string]bool)
	for _, arg := range args {
		if arg != "-" {
			if err := f(arg); err != nil {
				return err
			}
			continue
		}
		lines := bufio.NewScanner(p.env.Stdin)
		for lines.Scan() {
			id, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), "\t")
			if id == "" || seen[id] {
				continue
			}
			seen[id] = true
			if err := f(id); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read ids: %w", err)
		}
	}
	return nil
}

func (p *program) pushStatusCommand() *cobra.Command {
	var gw gatewayFlags
	var wait, asJSON bool
	cmd := &cobra.Command{
		Use:   "status ID...",
		Short: "tell what became of notifications that were accepted",
		Long: `Tells how many notifications of a request wait, were sent, or ended otherwise, and
why. With "-" instead of an id, the ids are read from the standard input, one a line.

With --wait it waits until nothing waits any more; then the exit status is 1 if
anything was not sent.`,
		Example: `  furima push status pu_2c
  furima push status pu_2c --wait --json
  furima push status - --wait < sale.ids`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.gateway(gw)
			if err != nil {
				return err
			}
			defer c.CloseIdleConnections()
			var sum client.PushStatus
			n := 0
			err = p.eachID(args, func(id string) error {
				st, err := c.Status(cmd.Context(), id)
				if err == nil && wait {
					st, err = p.untilEnded(cmd.Context(), c, st)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				n++
				addStatus(&sum, st)
				return p.printStatus(st, asJSON)
			})
			if err != nil {
				return err
			}
			if n > 1 && !asJSON {
				fmt.Fprintf(p.env.Stdout, "together: %s\n", statusLine(sum))
			}
			if wait && sum.Sent < sum.Total {
				return fmt.Errorf("%d of %d notifications were not sent", sum.Total-sum.Sent, sum.Total)
			}
			return nil
		},
	}
	gw.add(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until nothing of it waits any more")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object for each id")
	return cmd
}

func (p *program) pushCancelCommand() *cobra.Command {
	var gw gatewayFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cancel ID...",
		Short: "give up what has not been sent yet",
		Long: `Cancels what still waits of a request and tells how it stands then. What a
provider has been handed already may still arrive. With "-" instead of an id, the
ids are read from the standard input, one a line.`,
		Example: `  furima push cancel pu_2c
  furima push cancel - < sale.ids`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.gateway(gw)
			if err != nil {
				return err
			}
			defer c.CloseIdleConnections()
			return p.eachID(args, func(id string) error {
				st, err := c.Cancel(cmd.Context(), id)
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				return p.printStatus(st, asJSON)
			})
		},
	}
	gw.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object for each id")
	return cmd
}

// untilEnded asks for a status until nothing waits.
func (p *program) untilEnded(ctx context.Context, c *client.Push, st client.PushStatus) (client.PushStatus, error) {
	pause := 50 * time.Millisecond
	for st.Waiting > 0 {
		if err := pauseFor(ctx, pause); err != nil {
			return st, errors.New("interrupted while waiting")
		}
		pause = min(2*pause, 2*time.Second)
		now, err := c.Status(ctx, st.ID)
		if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Temporary() {
			pause = max(pause, problem.RetryAfter)
			continue
		}
		if err != nil {
			return st, err
		}
		st = now
	}
	return st, nil
}

// pauseFor waits for d, or until ctx ends, which is its error.
func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *program) printStatus(st client.PushStatus, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.env.Stdout).Encode(st)
	}
	fmt.Fprintf(p.env.Stdout, "%s  %s  %s: %s\n", st.ID, st.App, st.CreatedAt.UTC().Format(time.RFC3339), statusLine(st))
	for _, reason := range slices.Sorted(maps.Keys(st.Reasons)) {
		fmt.Fprintf(p.env.Stdout, "  %s: %d\n", reason, st.Reasons[reason])
	}
	return nil
}

// statusLine is "3 notifications, 2 sent, 1 unregistered".
func statusLine(st client.PushStatus) string {
	parts := []string{fmt.Sprintf("%d notifications", st.Total)}
	if st.Total == 1 {
		parts[0] = "1 notification"
	}
	for _, s := range []struct {
		n    int
		name string
	}{{st.Waiting, "waiting"}, {st.Sent, "sent"}, {st.Unregistered, "unregistered"}, {st.Rejected, "rejected"}, {st.Expired, "expired"}, {st.Cancelled, "cancelled"}} {
		if s.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", s.n, s.name))
		}
	}
	return strings.Join(parts, ", ")
}

func addStatus(sum *client.PushStatus, st client.PushStatus) {
	sum.Total += st.Total
	sum.Waiting += st.Waiting
	sum.Sent += st.Sent
	sum.Unregistered += st.Unregistered
	sum.Rejected += st.Rejected
	sum.Expired += st.Expired
	sum.Cancelled += st.Cancelled
}

type feedbackFlags struct {
	gw                 gatewayFlags
	cursor, cursorFile string
	limit              int
	follow, asJSON     bool
	every              time.Duration
}

func (p *program) pushFeedbackCommand() *cobra.Command {
	var f feedbackFlags
	cmd := &cobra.Command{
		Use:   "feedback",
		Short: "list tokens that their providers have declared dead",
		Long: `Lists dead tokens, the oldest first: since when, app, platform, reason and token,
separated by tabs. Where to go on the next time is printed to the standard error;
with --cursor-file it is read from a file and written back after each page.`,
		Example: `  furima push feedback
  furima push feedback --cursor-file data/feedback.cursor --json | ./forget-tokens
  furima push feedback --follow`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.cursor != "" && f.cursorFile != "" {
				return usagef("--cursor and --cursor-file exclude each other")
			}
			if f.every <= 0 || f.limit < 0 {
				return usagef("--interval must be above 0, --limit not negative")
			}
			return p.pushFeedback(cmd.Context(), f)
		},
	}
	f.gw.add(cmd)
	cmd.Flags().StringVar(&f.cursor, "cursor", "", "where an earlier list ended (default the oldest that is kept)")
	cmd.Flags().StringVar(&f.cursorFile, "cursor-file", "", "file that keeps the cursor from one call to the next")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "tokens to ask for at once (default as many as the gateway likes)")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "go on with what comes, until interrupted")
	cmd.Flags().DurationVar(&f.every, "interval", 5*time.Second, "with --follow: how often to ask")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, an object a line")
	return cmd
}

func (p *program) pushFeedback(ctx context.Context, f feedbackFlags) error {
	c, err := p.gateway(f.gw)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	cursor := f.cursor
	if f.cursorFile != "" {
		raw, err := os.ReadFile(f.cursorFile)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return usagef("--cursor-file: %w", err)
		}
		cursor = strings.TrimSpace(string(raw))
	}
	defer func() {
		if f.cursorFile == "" && cursor != "" {
			fmt.Fprintf(p.env.Stderr, "next: --cursor %s\n", cursor)
		}
	}()
	answered := false
	for {
		page, err := c.Feedback(ctx, cursor, f.limit)
		if ctx.Err() != nil {
			return nil // it is how following ends
		}
		pause := f.every
		switch problem, refused := errors.AsType[*client.Problem](err); {
		case err == nil:
			answered = true
			if err := p.printFeedback(page.Tokens, f.asJSON); err != nil {
				return err
			}
			if page.NextCursor != cursor {
				cursor = page.NextCursor
				if f.cursorFile != "" {
					if err := replaceFile(f.cursorFile, cursor+"\n"); err != nil {
						return err
					}
				}
			}
			if len(page.Tokens) > 0 {
				continue
			}
		case !f.follow, refused && !problem.Temporary(), !refused && !answered:
			return err
		case refused:
			pause = max(pause, problem.RetryAfter)
		}
		if !f.follow {
			return nil
		}
		if pauseFor(ctx, pause) != nil {
			return nil
		}
	}
}

func (p *program) printFeedback(tokens []client.DeadToken, asJSON bool) error {
	w := bufio.NewWriter(p.env.Stdout)
	enc := json.NewEncoder(w)
	for _, t := range tokens {
		if !asJSON {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Time.UTC().Format(time.RFC3339), t.App, t.Platform, t.Reason, t.Token)
			continue
		}
		if err := enc.Encode(t); err != nil {
			return fmt.Errorf("print dead tokens: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print dead tokens: %w", err)
	}
	return nil
}

// replaceFile writes a file so that it is the old one or the new one at any time.
func replaceFile(path, content string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) // in vain once it is renamed
	_, err = io.WriteString(tmp, content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (p *program) pushVAPIDCommand() *cobra.Command {
	var out, of string
	cmd := &cobra.Command{
		Use:   "vapid",
		Short: "make a key for Web Push, or tell the public half of one",
		Long: `Makes a VAPID key for push.apps.webpush.key_file. The public key, which the page
gives to the browser as applicationServerKey, goes to the standard output, and the
key to the file of --out, which must not exist. Without --out the key goes to
the standard output and the public key to the standard error.

A new key makes every subscription made with the old one useless: keep it.`,
		Example: `  furima push vapid --out vapid.pem
  furima push vapid --public-of vapid.pem`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case out != "" && of != "":
				return usagef("--out and --public-of exclude each other")
			case of != "":
				return p.vapidPublic(of)
			}
			return p.vapidNew(out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write the key to, readable by its owner alone")
	cmd.Flags().StringVar(&of, "public-of", "", "print the public key of the key in this file instead")
	return cmd
}

func (p *program) vapidPublic(path string) error {
	key, err := push.WebPushConfig{KeyFile: path}.VAPIDKey()
	if err != nil {
		return err
	}
	public, err := push.VAPIDPublicKey(key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.env.Stdout, public)
	return err
}

func (p *program) vapidNew(out string) error {
	key, public, err := push.NewVAPIDKey()
	if err != nil {
		return err
	}
	if out == "" {
		fmt.Fprintf(p.env.Stderr, "public key: %s\n", public)
		_, err := p.env.Stdout.Write(key)
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = fmt.Fprintln(p.env.Stdout, public)
	return err
}
