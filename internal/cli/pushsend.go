package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push/campaign"
)

// sendFlags are the flags of furima push send.
type sendFlags struct {
	gw gatewayFlags

	app, platform      string
	tokens             []string
	topic, condition   string // instead of tokens
	channel            string
	title, body        string
	badge              int
	sound, category    string
	threadID, image    string
	data               []string
	ttl                time.Duration
	priority, collapse string
	sendAt             string
	notification       string // JSON

	file, format   string
	batch          int
	inFlight       int
	rate           float64
	state, id, ids string
	onError        string
	patience       time.Duration
	dryRun         bool

	wait, asJSON bool
}

func (p *program) pushSendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send",
		Short: "send a notification, or a campaign of millions, to a running gateway",
		Long: `Sends one notification to the tokens, the topic or the channel of the flags, and
prints the id of the request.

Without those it sends a campaign: a line of JSON for each notification, from --file
or the standard input. A line is a notification as in POST /v1/push, or just
{"token":"…","platform":"fcm"}; what it does not say the flags say. Lines travel
together, at most --batch notifications in a request and --in-flight requests at
once. A gateway that is busy is waited for.

With --state a campaign that was interrupted goes on where it stopped when the same
command is given again, and every notification counts once, even after a crash. (The
gateway remembers what it was sent for a day.)

Exit status: 0 everything was accepted; 1 something was not, or not yet; 2 the
arguments are wrong.`,
		Example: `  furima push send --platform apns --token 8f3a… --title 'Sold!' --body 'Your camera was bought.'
  furima push send --topic news --title 'Sale' --data page=sale --ttl 2h
  furima push send --file users.jsonl --title Sale --body '50 % off' --state sale.state --rate 20000
  psql -Atc 'select token from devices' | furima push send --format tokens --platform fcm --title Sale`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := f.text(cmd.Flags().Changed("badge"))
			if err != nil {
				return err
			}
			if f.single(&n) {
				return p.sendOne(cmd.Context(), f, n)
			}
			return p.sendCampaign(cmd.Context(), f, n)
		},
	}
	f.gw.add(cmd)
	f.addText(cmd)
	f.addCampaign(cmd)
	return cmd
}

func (f *sendFlags) addText(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.app, "app", "", "app to send for, as in the gateway's configuration (default its first)")
	fl.StringVar(&f.platform, "platform", "", "apns, fcm or webpush")
	fl.StringArrayVar(&f.tokens, "token", nil, "token of a device; may be repeated")
	fl.StringVar(&f.topic, "topic", "", "send to a topic of Google's instead of tokens")
	fl.StringVar(&f.condition, "condition", "", "send to topics of Google's: \"'a' in topics && 'b' in topics\"")
	fl.StringVar(&f.channel, "channel", "", "send to a broadcast channel of Apple's instead of tokens")
	fl.StringVar(&f.title, "title", "", "title")
	fl.StringVar(&f.body, "body", "", "text")
	fl.IntVar(&f.badge, "badge", 0, "number on the app's icon; 0 clears it")
	fl.StringVar(&f.sound, "sound", "", "name of the sound")
	fl.StringVar(&f.category, "category", "", "which actions the app offers")
	fl.StringVar(&f.threadID, "thread-id", "", "groups notifications on the device")
	fl.StringVar(&f.image, "image", "", "URL of a picture")
	fl.StringArrayVar(&f.data, "data", nil, "KEY=VALUE for the app; may be repeated")
	fl.DurationVar(&f.ttl, "ttl", 0, "how long it is worth delivering (default as the gateway is configured)")
	fl.StringVar(&f.priority, "priority", "", "high, normal or low (default high)")
	fl.StringVar(&f.collapse, "collapse-id", "", "a later notification of the same id replaces it")
	fl.StringVar(&f.sendAt, "send-at", "", "not before: 2026-01-31T09:00:00+09:00, or +2h from now")
	fl.StringVar(&f.notification, "notification", "", `a notification as JSON with everything else: '{"apns":{"push_type":"background"}}'`)
	completeFixed(cmd, "platform", string(client.APNS), string(client.FCM), string(client.WebPush))
	completeFixed(cmd, "priority", string(client.High), string(client.Normal), string(client.Low))
}

func (f *sendFlags) addCampaign(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "file", "", `file of lines; "-" is the standard input`)
	fl.StringVar(&f.format, "format", string(campaign.JSON), "of a line: json, or tokens (a token and nothing else)")
	fl.IntVar(&f.batch, "batch", 0, fmt.Sprintf("notifications in a request (default %d, less with a low --rate)", campaign.DefaultBatch))
	fl.IntVar(&f.inFlight, "in-flight", campaign.DefaultInFlight, "requests under way at once")
	fl.Float64Var(&f.rate, "rate", 0, "notifications a second at most; 0: as fast as the gateway takes them")
	fl.StringVar(&f.state, "state", "", "file that keeps how far the campaign has come")
	fl.StringVar(&f.id, "id", "", "name of the campaign, or of the notification: what is sent twice under it within a day counts once")
	fl.StringVar(&f.ids, "ids", "", "append the ids of the requests to this file, for furima push status and cancel")
	fl.StringVar(&f.onError, "on-error", string(campaign.Stop), "what a bad line does: stop, or skip (it is reported and left out)")
	fl.DurationVar(&f.patience, "patience", campaign.DefaultPatience, "how long a gateway that fails is waited for; one that is busy is waited for without an end")
	fl.BoolVar(&f.dryRun, "dry-run", false, "check the lines and send nothing")
	fl.BoolVar(&f.wait, "wait", false, "of one notification: wait until it has been sent, and tell what became of it")
	fl.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	completeFixed(cmd, "format", string(campaign.JSON), string(campaign.Tokens))
	completeFixed(cmd, "on-error", string(campaign.Stop), string(campaign.Skip))
}

// single reports whether the flags name whom one notification, n, goes to.
func (f *sendFlags) single(n *client.Notification) bool {
	return len(f.tokens) > 0 || n.FCM != nil && (n.FCM.Topic != "" || n.FCM.Condition != "") || n.APNS != nil && n.APNS.ChannelID != ""
}

// text is the notification that the flags describe.
func (f *sendFlags) text(badge bool) (client.Notification, error) {
	var n client.Notification
	if f.notification != "" {
		dec := json.NewDecoder(strings.NewReader(f.notification))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&n); err != nil {
			return n, usagef("--notification: %w", err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return n, usagef("--notification: is more than one JSON object")
		}
		f.tokens = append(n.Tokens, f.tokens...)
		n.Tokens = nil
	}
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&n.Title, f.title)
	set(&n.Body, f.body)
	set(&n.Sound, f.sound)
	set(&n.Category, f.category)
	set(&n.ThreadID, f.threadID)
	set(&n.Image, f.image)
	set(&n.CollapseID, f.collapse)
	set((*string)(&n.Platform), f.platform)
	set((*string)(&n.Priority), f.priority)
	if badge {
		n.Badge = &f.badge
	}
	if f.ttl != 0 {
		n.TTL = client.Duration(f.ttl)
	}
	for _, kv := range f.data {
		key, value, ok := strings.Cut(kv, "=")
		if !ok || key == "" {
			return n, usagef("--data must be KEY=VALUE")
		}
		if n.Data == nil {
			n.Data = make(map[string]string)
		}
		n.Data[key] = value
	}
	if err := f.setTime(&n); err != nil {
		return n, err
	}
	return n, f.setAudience(&n)
}

func (f *sendFlags) setTime(n *client.Notification) error {
	switch after, relative := strings.CutPrefix(f.sendAt, "+"); {
	case f.sendAt == "":
	case relative:
		d, err := time.ParseDuration(after)
		if err != nil || d < 0 {
			return usagef("--send-at must be a time such as 2026-01-31T09:00:00Z, or +2h from now")
		}
		if f.state != "" || f.id != "" {
			return usagef("--send-at with --state or --id must be a time, so that it is the same one when the command is given again")
		}
		n.SendAt = time.Now().Add(d).UTC().Truncate(time.Millisecond)
	default:
		t, err := time.Parse(time.RFC3339, f.sendAt)
		if err != nil {
			return usagef("--send-at must be a time such as 2026-01-31T09:00:00Z, or +2h from now")
		}
		n.SendAt = t.UTC()
	}
	return nil
}

// setAudience puts a topic, a condition or a channel into the overrides, and
// the platform that has it.
func (f *sendFlags) setAudience(n *client.Notification) error {
	given := 0
	for _, is := range []bool{len(f.tokens) > 0, f.topic != "", f.condition != "", f.channel != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		return usagef("--token, --topic, --condition and --channel exclude each other")
	}
	platform := client.Platform("")
	switch {
	case f.topic != "" || f.condition != "":
		platform = client.FCM
		if n.FCM == nil {
			n.FCM = &client.FCMOverride{}
		}
		n.FCM.Topic, n.FCM.Condition = f.topic, f.condition // of which one is empty
	case f.channel != "":
		platform = client.APNS
		if n.APNS == nil {
			n.APNS = &client.APNSOverride{}
		}
		n.APNS.ChannelID = f.channel
	}
	if platform != "" && n.Platform == "" {
		n.Platform = platform
	}
	if platform != "" && n.Platform != platform {
		return usagef("--platform %s has no such thing: it is %s that does", n.Platform, platform)
	}
	return nil
}

// sendOne sends one notification, which may have many tokens.
func (p *program) sendOne(ctx context.Context, f sendFlags, n client.Notification) error {
	switch {
	case n.Platform == "":
		return usagef("--platform is needed: apns, fcm or webpush")
	case f.file != "":
		return usagef("--file goes without --token, --topic, --condition and --channel")
	case f.state != "" || f.dryRun || f.rate != 0 || f.batch != 0:
		return usagef("--state, --rate, --batch and --dry-run are for campaigns, which have lines instead of --token")
	}
	c, err := p.gateway(f.gw)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	req := client.PushRequest{App: f.app, IdempotencyKey: f.id}
	for tokens := f.tokens; ; {
		one := n
		one.Tokens = tokens[:min(len(tokens), client.MaxPushTokens)]
		tokens = tokens[len(one.Tokens):]
		req.Notifications = append(req.Notifications, one)
		if len(tokens) == 0 {
			break
		}
	}
	accepted, err := campaign.Send(ctx, req, campaign.Options{Sender: c, Patience: f.patience})
	if err != nil {
		return interrupted(err)
	}
	if err := p.noteIDs(f.ids, []campaign.Receipt{{ID: accepted.ID, Accepted: accepted.Accepted}}); err != nil {
		return err
	}
	if !f.wait {
		if f.asJSON {
			return json.NewEncoder(p.env.Stdout).Encode(accepted)
		}
		_, err := fmt.Fprintln(p.env.Stdout, accepted.ID)
		return err
	}
	st, err := c.Status(ctx, accepted.ID)
	if err == nil {
		st, err = p.untilEnded(ctx, c, st)
	}
	if err != nil {
		return fmt.Errorf("%s was accepted: %w", accepted.ID, err)
	}
	if err := p.printStatus(st, f.asJSON); err != nil {
		return err
	}
	if st.Sent < st.Total {
		return fmt.Errorf("%d of %d notifications were not sent", st.Total-st.Sent, st.Total)
	}
	return nil
}

func interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

// noteIDs appends the ids of accepted requests to a file.
func (p *program) noteIDs(path string, receipts []campaign.Receipt) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("note the ids: %w", err)
	}
	err = errors.Join(writeIDs(f, receipts), f.Close())
	if err != nil {
		return fmt.Errorf("note the ids: %w", err)
	}
	return nil
}

// writeIDs writes a line for each request: its id, how many notifications were
// accepted, and the lines that they come from.
func writeIDs(w io.Writer, receipts []campaign.Receipt) error {
	var b strings.Builder
	for _, r := range receipts {
		fmt.Fprintf(&b, "%s\t%d", r.ID, r.Accepted)
		if r.FirstLine > 0 {
			fmt.Fprintf(&b, "\t%d-%d", r.FirstLine, r.LastLine)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
