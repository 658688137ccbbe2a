package push

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
)

// Request asks for notifications to be sent.
type Request struct {
	// App is the name of the app. Empty means the first one.
	App           string
	Notifications []Notification
	// Partial says that notifications which are wrong are left out and
	// reported, instead of the whole request being refused.
	Partial bool
	// Key makes a request that is repeated within a day count once. Empty means
	// none. Fingerprint tells requests with the same key apart, which is an error.
	Key         string
	Fingerprint [sha256.Size]byte
	// Notes are kept with the notifications, by index, for Deps.Observer. They are
	// not sent. Empty means none.
	Notes []string

	single bool // the body was a notification and not a list
}

// Accepted says what was taken, and is on disk.
type Accepted struct {
	ID       string // to ask for; empty if nothing was taken
	Accepted int    // notifications, one a token
	Rejected []Rejection
}

// Rejection is a notification that a partial request was accepted without.
type Rejection struct {
	Index  int    `json:"index"`
	Reason string `json:"reason"`
}

// InvalidError says which fields of a request are wrong.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Pointer + " " + f.Message
	}
	return "invalid push request: " + strings.Join(parts, "; ")
}

// BusyError says that too much waits already. Nothing of the request was taken.
type BusyError struct{ RetryAfter time.Duration }

func (e *BusyError) Error() string { return "the backlog is full" }

// Limits of a notification.
const (
	maxTokenBytes    = 4096 // the subscription of a browser is a URL
	maxCollapseBytes = 64
	maxTTL           = 30 * 24 * time.Hour // no provider keeps anything longer
	maxSendAhead     = 365 * 24 * time.Hour
	maxGroups        = 32 // different times and priorities in one request
	maxFaults        = 50 // faults that one answer lists

	// maxParcelBytes is about how large a job may get before another is begun.
	// It is well below what the queue takes, and bounds what a delivery holds
	// in memory.
	maxParcelBytes = 512 << 10
)

// group is what can be in one job: what goes to one provider with one priority
// at one time, so that no provider waits for another.
type group struct {
	platform Platform
	priority int
	runAt    int64 // in microseconds, 0 for now
}

// Accept takes a request: when it returns without an error every notification
// in it is on disk, and is delivered or ends in a state that Status tells. The
// error is an *InvalidError, a *BusyError, or something that may go away. Before
// Run has looked at the queue it waits.
func (g *Gateway) Accept(ctx context.Context, req Request) (Accepted, error) {
	app := g.app(req.App)
	if app == nil {
		return Accepted{}, &InvalidError{Fields: []FieldError{{Pointer: "/app", Message: "is not the name of an app of this gateway"}}}
	}
	if len(req.Notifications) == 0 {
		return Accepted{}, &InvalidError{Fields: []FieldError{{Pointer: "/notifications", Message: "must not be empty"}}}
	}
	if len(req.Key) > maxKeyBytes {
		return Accepted{}, &InvalidError{Fields: []FieldError{{Pointer: "header/Idempotency-Key", Message: fmt.Sprintf("must have at most %d bytes", maxKeyBytes)}}}
	}
	b := batch{app: app, now: g.now().UTC(), giveUp: g.config().GiveUpAfter, base: newBase(), more: len(req.Notifications)}
	var faults []FieldError
	for i := range req.Notifications {
		note := ""
		if i < len(req.Notes) {
			note = req.Notes[i]
		}
		errs := b.add(&req.Notifications[i], note)
		b.more--
		switch {
		case len(errs) == 0:
		case req.Partial:
			b.rejected = append(b.rejected, Rejection{Index: i, Reason: reasonOf(errs[0])})
		case len(faults) < maxFaults:
			for _, f := range errs {
				if !req.single {
					f.Pointer = fmt.Sprintf("/notifications/%d%s", i, f.Pointer)
				}
				faults = append(faults, f)
			}
		}
	}
	if faults != nil {
		return Accepted{}, &InvalidError{Fields: faults}
	}
	if b.place == 0 {
		return Accepted{Rejected: b.rejected}, nil
	}
	out, err := g.enqueue(ctx, &b, newRequestKey(app.name, req))
	if err != nil {
		return Accepted{}, err
	}
	out.Rejected = b.rejected
	return out, nil
}

// reasonOf says a fault in one line, without where it was.
func reasonOf(f FieldError) string {
	return strings.TrimSpace(strings.ReplaceAll(strings.TrimPrefix(f.Pointer, "/"), "/", ".") + " " + f.Message)
}

// enqueue makes the batch durable.
func (g *Gateway) enqueue(ctx context.Context, b *batch, key requestKey) (Accepted, error) {
	// A caller that hangs up must not leave it open whether the request counts.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enqueueTimeout)
	defer cancel()
	select {
	case <-g.started:
	case <-ctx.Done():
		return Accepted{}, errNotRunning
	}
	if err := g.reserve.check(); err != nil {
		return Accepted{}, err
	}
	n := int64(b.place)
	if !g.backlog.add(n) {
		return Accepted{}, &BusyError{RetryAfter: g.backlog.retryAfter(n)}
	}
	jobs := b.jobs()
	if key.hash != "" {
		out, repeated, err := g.enqueueOnce(ctx, key, int(n), jobs)
		if err != nil || repeated {
			g.backlog.undo(n)
		} else {
			g.metrics.accepted(b.app.name, int(n))
		}
		return out, err
	}
	ids, err := g.queue.Enqueue(ctx, jobs...)
	if err != nil {
		g.backlog.undo(n)
		return Accepted{}, fmt.Errorf("accept %d notifications: %w", n, err)
	}
	g.metrics.accepted(b.app.name, int(n))
	return Accepted{ID: encodeID(ids), Accepted: int(n)}, nil
}

const (
	busyRetryAfter = 5 * time.Second
	enqueueTimeout = 15 * time.Second
)

// batch collects the jobs of a request.
type batch struct {
	app      *app
	now      time.Time
	giveUp   time.Duration
	base     MessageID
	place    uint32 // messages so far
	more     int    // notifications to come, with the one that is being added
	groups   []group
	parcels  []parcel
	rejected []Rejection
}

// parcel is a job in the making.
type parcel struct {
	group group
	env   *envelope
	bytes int
}

// add checks a notification, renders it and puts it into its group, with its
// note.
func (b *batch) add(n *Notification, note string) []FieldError {
	errs := b.check(n)
	lane := b.app.lanes[n.Platform]
	if lane == nil || errs != nil {
		return errs
	}
	at := b.now
	k := group{platform: n.Platform, priority: jobPriority(n.Priority)}
	if n.SendAt.After(b.now) {
		at = n.SendAt.UTC()
		k.runAt = at.UnixMicro()
	}
	rendered, errs := lane.sender.Render(n, at)
	if len(errs) > 0 {
		return errs
	}
	if int64(b.place)+int64(max(len(n.Tokens), 1)) > math.MaxInt32 {
		return []FieldError{{Pointer: "/tokens", Message: "are too many for one request"}}
	}
	if !b.knows(k) {
		return []FieldError{{Pointer: "/send_at", Message: fmt.Sprintf("makes more than %d different times and priorities in one request", maxGroups)}}
	}
	ttl := time.Duration(n.TTL)
	if ttl == 0 {
		ttl = b.giveUp
	}
	// Rounded up, so that a short ttl is not over at once.
	expires := at.Add(ttl + time.Second - time.Nanosecond).Truncate(time.Second)
	for tokens := addressees(n); len(tokens) > 0; {
		p := b.parcel(k, at)
		fit := p.take(&rendered, note, tokens)
		p.env.parts = append(p.env.parts, part{first: b.place, expires: expires, rendered: rendered, note: note, tokens: tokens[:fit]})
		b.place += uint32(fit)
		tokens = tokens[fit:]
	}
	return nil
}

// knows reports whether there may be a job for k.
func (b *batch) knows(k group) bool {
	if slices.Contains(b.groups, k) {
		return true
	}
	if len(b.groups) == maxGroups {
		return false
	}
	b.groups = append(b.groups, k)
	return true
}

// parcel returns a parcel for k with room in it.
func (b *batch) parcel(k group, due time.Time) *parcel {
	for i := len(b.parcels) - 1; i >= 0; i-- {
		if p := &b.parcels[i]; p.group == k {
			if p.bytes < maxParcelBytes {
				return p
			}
			break
		}
	}
	b.parcels = append(b.parcels, parcel{
		group: k,
		env: &envelope{
			base: b.base, app: b.app.name, platform: k.platform, created: b.now, due: due,
			parts: make([]part, 0, min(b.more, maxGuess)),
		},
	})
	return &b.parcels[len(b.parcels)-1]
}

// take makes room for a part and returns how many of its tokens fit, at least
// one.
func (p *parcel) take(rendered *Rendered, note string, tokens []string) int {
	p.bytes += len(rendered.Payload) + len(note)
	for _, h := range rendered.Header {
		p.bytes += len(h.Name) + len(h.Value)
	}
	for i, t := range tokens {
		if i > 0 && p.bytes >= maxParcelBytes {
			return i
		}
		p.bytes += len(t) + 2
	}
	return len(tokens)
}

func (b *batch) jobs() []job.New {
	jobs := make([]job.New, len(b.parcels))
	for i := range b.parcels {
		p := &b.parcels[i]
		jobs[i] = job.New{
			Kind:     b.app.lanes[p.group.platform].kind,
			Payload:  p.env.encode(),
			Priority: p.group.priority,
			// Giving up is ours to decide, by the clock: a job that is leased
			// again after a crash has used up nothing.
			MaxAttempts: math.MaxInt32,
		}
		if p.group.runAt != 0 {
			jobs[i].RunAt = time.UnixMicro(p.group.runAt)
		}
	}
	return jobs
}

// jobPriority orders requests in the queue.
func jobPriority(p client.Priority) int {
	switch p {
	case client.Low:
		return 0
	case client.Normal:
		return 5
	default:
		return 10
	}
}

// check checks what is the same at every provider.
func (b *batch) check(n *Notification) []FieldError {
	var errs []FieldError
	fault := func(pointer, message string) {
		errs = append(errs, FieldError{Pointer: pointer, Message: message})
	}
	switch {
	case n.Platform == "":
		fault("/platform", "is required: apns, fcm or webpush")
	case n.Platform != client.APNS && n.Platform != client.FCM && n.Platform != client.WebPush:
		fault("/platform", "must be apns, fcm or webpush")
	case b.app.lanes[n.Platform] == nil:
		fault("/platform", fmt.Sprintf("is not configured for app %s", b.app.name))
	}
	checkAudience(n, fault)
	for i, t := range n.Tokens {
		if problem := tokenProblem(t); problem != "" {
			fault(fmt.Sprintf("/tokens/%d", i), problem)
			if len(errs) >= maxFaults {
				break
			}
		}
	}
	switch n.Priority {
	case "", client.High, client.Normal, client.Low:
	default:
		fault("/priority", "must be high, normal or low")
	}
	if d := time.Duration(n.TTL); d < 0 || d > maxTTL {
		fault("/ttl", "must be between 0 and 720h")
	}
	if len(n.CollapseID) > maxCollapseBytes || !isPrintable(n.CollapseID) {
		fault("/collapse_id", fmt.Sprintf("must be at most %d printable ASCII characters", maxCollapseBytes))
	}
	if n.SendAt.Sub(b.now) > maxSendAhead {
		fault("/send_at", "must be within a year")
	}
	return errs
}

func tokenProblem(t string) string {
	switch {
	case t == "":
		return "must not be empty"
	case len(t) > maxTokenBytes:
		return fmt.Sprintf("must have at most %d bytes", maxTokenBytes)
	case !isPrintable(t) || strings.Contains(t, " "):
		return "must be printable ASCII without spaces"
	case t[0] == '/':
		return "must not begin with a slash" // as an audience does
	}
	return ""
}

// isPrintable reports whether s can be part of a header or a path.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

const idPrefix = "pu_"

var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// encodeID makes the id of a request out of those of its jobs.
func encodeID(ids []int64) string {
	var b []byte
	last := int64(0)
	for _, id := range ids {
		b = binary.AppendVarint(b, id-last)
		last = id
	}
	return idPrefix + strings.ToLower(idEncoding.EncodeToString(b))
}

var errBadID = errors.New("not the id of a request")

// decodeID returns the jobs of a request.
func decodeID(s string) ([]int64, error) {
	s, ok := strings.CutPrefix(s, idPrefix)
	if !ok || len(s) > 16*maxGroups {
		return nil, errBadID
	}
	raw, err := idEncoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(raw) == 0 {
		return nil, errBadID
	}
	var ids []int64
	last := int64(0)
	for len(raw) > 0 {
		delta, n := binary.Varint(raw)
		if n <= 0 {
			return nil, errBadID
		}
		last += delta
		raw = raw[n:]
		ids = append(ids, last)
	}
	return ids, nil
}
