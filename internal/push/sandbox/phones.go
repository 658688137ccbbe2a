package sandbox

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// Tokens that begin with DeadPrefix answer 410 Unregistered, those that begin
// with ForeignPrefix 400 BadDeviceToken.
const (
	DeadPrefix    = "deadbeef"
	ForeignPrefix = "baadf00d"
)

// PhonesOptions say how much Phones remembers and what its page shows.
type PhonesOptions struct {
	// Keep is how many deliveries are remembered. 0 means 2,000.
	Keep int
	// KeepIDs is how many apns-ids are counted. 0 means 100,000.
	KeepIDs int
	// AppName is what the lock screens call the app. Empty means "furima".
	AppName string
	// PushURL and App go into the example that the page shows while no phone
	// has anything: the gateway's address and the app's name in its
	// configuration. Empty means "http://127.0.0.1:1056" and "market".
	PushURL, App string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Delivery is a notification that reached a phone.
type Delivery struct {
	Seq        int64           `json:"seq"` // 1 for the first, then one more each
	Time       time.Time       `json:"time"`
	Token      string          `json:"token"`             // ChannelPrefix and an id for a broadcast
	Channel    string          `json:"channel,omitempty"` // id, of a broadcast
	Label      string          `json:"label,omitempty"`   // whose phone, when it is known
	APNSID     string          `json:"apns_id"`
	Topic      string          `json:"topic"`
	PushType   string          `json:"push_type"`
	Priority   string          `json:"priority,omitempty"`
	Expiration string          `json:"expiration,omitempty"`
	CollapseID string          `json:"collapse_id,omitempty"`
	Title      string          `json:"title,omitempty"`
	Subtitle   string          `json:"subtitle,omitempty"`
	Body       string          `json:"body,omitempty"`
	Badge      int             `json:"badge,omitempty"`
	Payload    json.RawMessage `json:"payload"`
}

// Phones is every phone that has received something, or is known by name.
type Phones struct {
	o    PhonesOptions
	born int64 // tells one run of the program from another

	mu       sync.Mutex // guards what follows
	ring     []Delivery // deliveries, the one with Seq s at s % len(ring)
	last     int64      // Seq of the newest
	labels   map[string]string
	gone     map[string]time.Time // tokens without the app, since when
	counts   map[string]int       // deliveries by apns-id
	counted  []string             // the keys of counts in the order of arrival, a ring
	oldest   int                  // index in counted of the oldest
	repeated int64
	changed  chan struct{} // closed when there is something new; nil while nobody waits
	revision int64         // goes up when labels or gone change
}

// maxLabels bounds the names and the uninstalled phones that are remembered.
const maxLabels = 100_000

// NewPhones returns an empty set of phones.
func NewPhones(o PhonesOptions) *Phones {
	if o.Keep <= 0 {
		o.Keep = 2000
	}
	if o.KeepIDs <= 0 {
		o.KeepIDs = 100_000
	}
	if o.AppName == "" {
		o.AppName = "furima"
	}
	if o.PushURL == "" {
		o.PushURL = "http://127.0.0.1:1056"
	}
	if o.App == "" {
		o.App = "market"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Phones{
		o:      o,
		born:   o.Now().UnixNano(),
		ring:   make([]Delivery, o.Keep),
		labels: make(map[string]string),
		gone:   make(map[string]time.Time),
		counts: make(map[string]int),
	}
}

// Label names the owner of a phone; an empty label forgets the name.
func (p *Phones) Label(token, label string) {
	token = canonical(token)
	p.mu.Lock()
	defer p.mu.Unlock()
	if label == "" {
		delete(p.labels, token)
	} else if _, known := p.labels[token]; known || len(p.labels) < maxLabels {
		p.labels[token] = label
	}
	p.revision++
	p.wake()
}

// Uninstall takes the app from a phone: from now on Apple answers 410 for it.
func (p *Phones) Uninstall(token string) {
	token = canonical(token)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, already := p.gone[token]; already || len(p.gone) >= maxLabels {
		return
	}
	p.gone[token] = p.o.Now()
	p.revision++
	p.wake()
}

// Install puts the app back on a phone.
func (p *Phones) Install(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.gone, canonical(token))
	p.revision++
	p.wake()
}

// uninstalled reports since when the phone has no app.
func (p *Phones) uninstalled(token string) (time.Time, bool) {
	if strings.HasPrefix(token, DeadPrefix) {
		return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	since, gone := p.gone[token]
	return since, gone
}

// Gone returns the tokens that Uninstall took the app from, with the time.
func (p *Phones) Gone() map[string]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := make(map[string]time.Time, len(p.gone))
	for token, since := range p.gone {
		gone[token] = since
	}
	return gone
}

// receive puts a notification on a phone. Seq and Time are set here.
func (p *Phones) receive(d Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	d.Seq, d.Time = p.last, p.o.Now().UTC()
	p.ring[d.Seq%int64(len(p.ring))] = d
	p.count(d.APNSID)
	p.wake()
}

// count notes one more delivery of an apns-id; the oldest ids are forgotten.
func (p *Phones) count(id string) {
	n, known := p.counts[id]
	p.counts[id] = n + 1
	switch {
	case known:
		p.repeated++
	case len(p.counted) < p.o.KeepIDs:
		p.counted = append(p.counted, id)
	default:
		delete(p.counts, p.counted[p.oldest])
		p.counted[p.oldest] = id
		p.oldest = (p.oldest + 1) % len(p.counted)
	}
}

// wake tells every waiter that something is new. p.mu is held.
func (p *Phones) wake() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// wait returns the channel that is closed when something is new. p.mu is held.
func (p *Phones) wait() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// Count returns how often a notification with this apns-id arrived.
func (p *Phones) Count(apnsID string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[apnsID]
}

// Received returns how many notifications arrived since the start, and how
// many of them repeated an apns-id that had arrived before.
func (p *Phones) Received() (total, repeated int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.repeated
}

// Deliveries returns what arrived after the delivery with number after, oldest
// first, at most limit of them; 0 means all that is remembered. What has been
// forgotten is missing from it.
func (p *Phones) Deliveries(after int64, limit int) []Delivery {
	p.mu.Lock()
	ds := p.since(after, limit)
	p.mu.Unlock()
	show(ds)
	return ds
}

// show fills in what lock screens show of deliveries: who looks at them pays for
// it, not who delivers.
func show(ds []Delivery) {
	for i := range ds {
		if d := &ds[i]; d.Title == "" && d.Body == "" && d.Badge == 0 { // else the stand-in knew how to read it
			d.Title, d.Subtitle, d.Body, d.Badge = visible(d.Payload)
		}
	}
}

// since is Deliveries with p.mu held, without what is shown.
func (p *Phones) since(after int64, limit int) []Delivery {
	first := max(after+1, p.last-int64(len(p.ring))+1, 1)
	n := p.last - first + 1
	if n <= 0 {
		return nil
	}
	if limit > 0 {
		n = min(n, int64(limit))
	}
	ds := make([]Delivery, 0, n)
	for seq := first; seq < first+n; seq++ {
		d := p.ring[seq%int64(len(p.ring))]
		if d.Label = p.labels[d.Token]; d.Label == "" && d.Channel != "" {
			d.Label = "Broadcast channel"
		}
		ds = append(ds, d)
	}
	return ds
}

// Subscribe returns a channel of everything that arrives from now on. It is
// closed when ctx ends. A subscriber that is slower than PhonesOptions.Keep
// allows misses deliveries, which shows as a gap in Seq.
func (p *Phones) Subscribe(ctx context.Context) <-chan Delivery {
	out := make(chan Delivery)
	p.mu.Lock()
	after := p.last
	p.mu.Unlock()
	go func() {
		defer close(out)
		for {
			p.mu.Lock()
			ds, changed := p.since(after, 100), p.wait()
			p.mu.Unlock()
			show(ds)
			for _, d := range ds {
				select {
				case out <- d:
					after = d.Seq
				case <-ctx.Done():
					return
				}
			}
			if len(ds) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// visible returns what a lock screen shows of an APNs payload.
func visible(payload []byte) (title, subtitle, body string, badge int) {
	var p struct {
		APS struct {
			Alert json.RawMessage `json:"alert"`
			Badge int             `json:"badge"`
		} `json:"aps"`
	}
	if json.Unmarshal(payload, &p) != nil {
		return "", "", "", 0
	}
	var text string
	if json.Unmarshal(p.APS.Alert, &text) == nil {
		return "", "", text, p.APS.Badge
	}
	var alert struct {
		Title    string `json:"title"`
		Subtitle string `json:"subtitle"`
		Body     string `json:"body"`
		TitleKey string `json:"title-loc-key"`
		LocKey   string `json:"loc-key"`
	}
	_ = json.Unmarshal(p.APS.Alert, &alert) // an alert of another form shows nothing
	if alert.Title == "" {
		alert.Title = alert.TitleKey
	}
	if alert.Body == "" {
		alert.Body = alert.LocKey
	}
	return alert.Title, alert.Subtitle, alert.Body, p.APS.Badge
}
