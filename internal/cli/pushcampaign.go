package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push/campaign"
)

// sendCampaign sends lines until their end.
func (p *program) sendCampaign(ctx context.Context, f sendFlags, n client.Notification) error {
	switch {
	case f.wait:
		return usagef("--wait is for one notification; use --ids FILE, then furima push status - --wait < FILE")
	case f.file == "" && isTerminal(p.env.Stdin):
		return usagef("whom to send to? --token, --topic, --condition or --channel, or lines from --file or the standard input")
	case f.batch < 0 || f.inFlight < 1 || f.rate < 0 || f.patience < 0:
		return usagef("--batch, --rate and --patience must not be negative, --in-flight at least 1")
	case f.onError != string(campaign.Stop) && f.onError != string(campaign.Skip):
		return usagef("--on-error must be stop or skip")
	case f.format != string(campaign.JSON) && f.format != string(campaign.Tokens):
		return usagef("--format must be json or tokens")
	case f.format == string(campaign.Tokens) && n.Platform == "":
		return usagef("--format tokens needs --platform")
	}
	in, size, err := p.openLines(f.file)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := p.gateway(f.gw)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	bar := newCampaignBar(p.env.Stderr, size, f.onError == string(campaign.Stop))
	o := campaign.Options{
		Sender: c, App: f.app, Text: n, Format: campaign.Format(f.format),
		Batch: f.batch, InFlight: f.inFlight, Rate: f.rate, Patience: f.patience, OnError: campaign.OnError(f.onError),
		StatePath: f.state, ID: f.id,
		Resumed: bar.resumed, Progress: bar.progress, BadLine: bar.badLine,
	}
	if f.dryRun {
		o.Sender, o.StatePath, o.Rate = dryRun{}, "", 0
	}
	if f.ids != "" && !f.dryRun {
		ids, err := os.OpenFile(f.ids, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return usagef("--ids: %w", err)
		}
		defer ids.Close()
		o.Receipts = func(rs []campaign.Receipt) error {
			if err := writeIDs(ids, rs); err != nil {
				return fmt.Errorf("note the ids: %w", err)
			}
			return nil
		}
	}
	sum, err := campaign.Run(ctx, in, o)
	bar.close()
	return p.campaignEnd(f, sum, err)
}

// dryRun is a gateway that takes everything and does nothing.
type dryRun struct{}

func (dryRun) Send(_ context.Context, req client.PushRequest) (client.PushAccepted, error) {
	n := 0
	for _, x := range req.Notifications {
		n += max(1, len(x.Tokens))
	}
	return client.PushAccepted{Accepted: n}, nil
}

// openLines opens the input. size is 0 if it is not known.
func (p *program) openLines(path string) (in io.ReadCloser, size int64, err error) {
	if path == "" || path == "-" {
		return io.NopCloser(p.env.Stdin), 0, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, usagef("--file: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return nil, 0, usagef("--file: %w", err)
	case info.IsDir():
		f.Close()
		return nil, 0, usagef("--file: %s is a directory", path)
	case info.Mode().IsRegular():
		size = info.Size()
	}
	return f, size, nil
}

// campaignSummary is what --json prints.
type campaignSummary struct {
	Done      bool    `json:"done"`
	Accepted  int64   `json:"accepted"` // by all runs of the campaign
	Sent      int64   `json:"sent"`     // by this one
	Requests  int64   `json:"requests"`
	Lines     int64   `json:"lines"`
	Bad       int64   `json:"bad"`
	Line      int64   `json:"line"` // everything up to it is settled
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	Error     string  `json:"error,omitempty"`
}

// campaignEnd tells what a run came to, and how to go on.
func (p *program) campaignEnd(f sendFlags, sum campaign.Summary, runErr error) error {
	runErr = interrupted(runErr)
	if sum.Campaign == "" { // it has not begun
		return runErr
	}
	s := campaignSummary{
		Done: sum.Done, Accepted: sum.Accepted, Sent: sum.Sent, Requests: sum.Requests, Lines: sum.Lines, Bad: sum.Bad,
		Line: sum.Position.Line, Seconds: math.Round(sum.Elapsed.Seconds()*1000) / 1000,
	}
	if s.Seconds > 0 {
		s.PerSecond = math.Round(float64(sum.Sent) / s.Seconds)
	}
	if runErr != nil {
		s.Error = oneLine(runErr)
	}
	if f.asJSON {
		if err := json.NewEncoder(p.env.Stdout).Encode(s); err != nil {
			return err
		}
	} else {
		verb := "accepted"
		if f.dryRun {
			verb = "could be sent"
		}
		fmt.Fprintf(p.env.Stdout, "%s notifications %s in %s (%s/s)\n",
			thousands(sum.Sent), verb, sum.Elapsed.Round(time.Millisecond), thousands(int64(s.PerSecond)))
		if sum.LeftOut > 0 {
			fmt.Fprintf(p.env.Stdout, "%s left out\n", lineCount(sum.LeftOut))
		}
		if sum.Accepted != sum.Sent {
			fmt.Fprintf(p.env.Stdout, "%s since the campaign began\n", thousands(sum.Accepted))
		}
	}
	if runErr == nil && sum.LeftOut > 0 {
		return fmt.Errorf("left out %s", lineCount(sum.LeftOut))
	}
	if runErr != nil && !f.dryRun {
		p.howToGoOn(f, sum, runErr)
	}
	return runErr
}

func (p *program) howToGoOn(f sendFlags, sum campaign.Summary, err error) {
	line := sum.Position.Line
	bad, isBad := errors.AsType[*campaign.BadLineError](err)
	switch {
	case isBad && bad.LeftOut:
		fmt.Fprintf(p.env.Stderr, "Everything else up to line %d has been sent.\n", line)
	case isBad:
		fmt.Fprintf(p.env.Stderr, "Everything before line %d has been sent.\n", line+1)
	case sum.Clean:
		fmt.Fprintf(p.env.Stderr, "Everything up to line %d has been sent, and nothing after it.\n", line)
	default:
		fmt.Fprintf(p.env.Stderr, "Everything up to line %d has been sent, and perhaps some after it.\n", line)
	}
	switch {
	case f.state != "":
		fmt.Fprintln(p.env.Stderr, "The same command goes on from there; each notification counts once.")
	case f.id != "":
		fmt.Fprintln(p.env.Stderr, "The same command within a day sends the rest; what was sent counts once.")
	case sum.Clean:
		fmt.Fprintf(p.env.Stderr, "For the rest, give it the lines from %d on. (With --state the same command would go on.)\n", line+1)
	default:
		fmt.Fprintf(p.env.Stderr, "The lines from %d on may reach some twice. (With --state they would not.)\n", line+1)
	}
}

// maxBadLines is how many bad lines are shown.
const maxBadLines = 20

// campaignBar shows how far a campaign is: a bar on a terminal, a line now and
// then elsewhere.
type campaignBar struct {
	w        io.Writer
	terminal bool
	width    int
	size     int64 // of the input in bytes, 0: not known
	from     int64 // where this run began
	shown    bool  // a bar is on the line
	lastLine time.Duration
	held     bool
	bad      int
	stops    bool // at a bad line
}

func newCampaignBar(w io.Writer, size int64, stops bool) *campaignBar {
	b := &campaignBar{w: w, terminal: isTerminal(w), width: 80, size: size, stops: stops}
	if f, ok := w.(*os.File); ok && b.terminal {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			b.width = width
		}
	}
	return b
}

// lineEvery is how often a line is written without a terminal.
const lineEvery = 10 * time.Second

func (b *campaignBar) progress(p campaign.Progress) {
	text := progressText(p, b.size, b.from)
	if b.terminal {
		const barWidth = 24
		if b.size > 0 {
			filled := int(barWidth * min(1, float64(p.Position.Offset)/float64(b.size)))
			text = "[" + strings.Repeat("#", filled) + strings.Repeat(".", barWidth-filled) + "] " + text
		}
		if r := []rune(text); len(r) > b.width-1 {
			text = string(r[:b.width-1])
		}
		fmt.Fprintf(b.w, "\r\x1b[K%s", text)
		b.shown = true
		return
	}
	// The first time that the gateway is waited for shows at once.
	if firstHeld := p.Held != "" && !b.held; !firstHeld && p.Elapsed-b.lastLine < lineEvery {
		return
	}
	b.lastLine, b.held = p.Elapsed, b.held || p.Held != ""
	fmt.Fprintln(b.w, text)
}

// progressText is "43 %, 4,300,000 accepted, 98,000/s, 57s left".
func progressText(p campaign.Progress, size, from int64) string {
	var parts []string
	if size > 0 {
		parts = append(parts, fmt.Sprintf("%d %%", 100*min(p.Position.Offset, size)/size))
	}
	parts = append(parts, thousands(p.Accepted)+" accepted", thousands(int64(p.PerSecond))+"/s")
	if p.Bad > 0 {
		parts = append(parts, thousands(p.Bad)+" bad")
	}
	left := size - p.Position.Offset
	if done := p.Position.Offset - from; size > 0 && done > 0 && left > 0 {
		eta := time.Duration(float64(p.Elapsed) / float64(done) * float64(left))
		parts = append(parts, eta.Round(time.Second).String()+" left")
	}
	if p.Held != "" {
		parts = append(parts, fmt.Sprintf("waiting %s: %s", p.HeldFor.Round(time.Second), p.Held))
	}
	return strings.Join(parts, ", ")
}

// say writes a line of its own.
func (b *campaignBar) say(format string, args ...any) {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.shown = false
	}
	fmt.Fprintf(b.w, format+"\n", args...)
}

func (b *campaignBar) resumed(st campaign.State) {
	b.from = st.Position.Offset
	b.say("going on after line %d, %s accepted so far", st.Position.Line, thousands(st.Accepted))
	// The gateway forgets keys after a day.
	if age := time.Since(st.UpdatedAt); !st.Clean && age > 23*time.Hour {
		b.say("the last run ended in the middle, %s ago: up to %d notifications may be sent twice",
			age.Round(time.Hour), st.Batch*campaign.DefaultInFlight)
	}
}

func (b *campaignBar) badLine(l campaign.BadLine) {
	b.bad++
	if b.bad == 1 && b.stops {
		return // it is the error that the run ends with
	}
	if b.bad <= maxBadLines {
		b.say("line %d: %s", l.Line, l.Reason)
	}
}

func (b *campaignBar) close() {
	if b.shown {
		fmt.Fprintln(b.w)
		b.shown = false
	}
	if more := b.bad - maxBadLines; more > 0 {
		b.say("… and %d more bad lines", more)
	}
}

// lineCount is "1 line" or "1,234 lines".
func lineCount(n int64) string {
	if n == 1 {
		return "1 line"
	}
	return thousands(n) + " lines"
}

// thousands is 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
