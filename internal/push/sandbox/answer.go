package sandbox

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	devicePath    = "/3/device/"
	broadcastPath = "/4/broadcasts/apps/"
	managePath    = "/1/apps/"
)

// response is an answer.
type response struct {
	status     int
	reason     string // for the count of answers
	body       []byte
	retryAfter int
	channel    string
}

func (no *refusal) response() response {
	said := struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp,omitempty"`
	}{Reason: no.reason}
	if no.status == 410 {
		said.Timestamp = no.since.UnixMilli()
	}
	body, _ := json.Marshal(said) // text and a number always encode
	return response{status: no.status, reason: no.reason, body: body, retryAfter: no.retryAfter}
}

// respond answers a request that has come in, at once or after the latency.
func (a *Apple) respond(c *conn, s *stream) {
	if d := a.delay(); d > 0 {
		c.holdBack(s, d)
		return
	}
	a.answer(c, s)
}

// holdBack answers a request later. A connection's answers keep their order.
func (c *conn) holdBack(s *stream, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = append(c.late, lateAnswer{time.Now().Add(d), s.id})
	if len(c.late) > 1 {
		return
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.release)
	} else {
		c.timer.Reset(d)
	}
}

// release answers what the latency has held back for long enough.
func (c *conn) release() {
	for {
		c.mu.Lock()
		if len(c.late) == 0 {
			c.late = nil
			c.mu.Unlock()
			break
		}
		first := c.late[0]
		if wait := time.Until(first.at); wait > 0 {
			select {
			case <-c.done:
			default:
				c.timer.Reset(wait)
			}
			c.mu.Unlock()
			break
		}
		c.late = c.late[1:]
		s := c.streams[first.id]
		c.mu.Unlock()
		if s != nil && !c.isSilent() {
			c.a.answer(c, s)
		}
	}
	c.flush()
}

// answer decides about a request and answers it.
func (a *Apple) answer(c *conn, s *stream) {
	r := &s.request
	r.path, _, _ = strings.Cut(r.path, "?")
	if app, ok := strings.CutPrefix(r.path, managePath); ok {
		bundle, rest, _ := strings.Cut(app, "/")
		c.reply(s, a.manage(r, bundle, rest))
		return
	}
	var d Delivery
	var no *refusal
	if bundle, ok := strings.CutPrefix(r.path, broadcastPath); ok {
		d, no = a.checkBroadcast(r, bundle)
		d.APNSID = r.get("apns-request-id")
	} else {
		d, no = a.check(r)
		d.APNSID = r.get("apns-id")
	}
	if d.APNSID == "" {
		d.APNSID = strings.ToUpper(uuid.NewString())
	}
	if no == nil {
		if f, ok := a.nextFault(d.Token); ok {
			a.misbehave(c, s, d, f)
			return
		}
		if !c.claim(s) {
			return
		}
		a.o.Phones.receive(d)
		c.reply(s, response{status: 200})
		return
	}
	c.reply(s, no.response())
}

// misbehave lets a request meet a fault.
func (a *Apple) misbehave(c *conn, s *stream, d Delivery, f Fault) {
	if f.Deliver || f.GoAway && f.Status == 0 && !f.Hang && !f.Refuse && !f.Reset && !f.Drop && !f.Silent {
		if !c.claim(s) {
			return
		}
		a.o.Phones.receive(d)
	}
	if f.GoAway {
		c.mu.Lock()
		c.sayGoAway(max(s.id, c.handled), or(f.Reason, "Shutdown"))
		c.mu.Unlock()
	}
	switch {
	case f.Drop:
		c.close()
	case f.Silent:
		c.mu.Lock()
		c.silent = true
		c.mu.Unlock()
	case f.Hang:
		c.mu.Lock()
		if c.streams[s.id] == s && !s.hanging {
			s.hanging = true
			a.hang(1)
		}
		c.mu.Unlock()
	case f.Refuse, f.Reset:
		code := http2.ErrCodeRefusedStream
		if f.Reset {
			code = http2.ErrCodeInternal
		}
		c.mu.Lock()
		if c.streams[s.id] == s {
			c.reset(s, code)
		}
		c.mu.Unlock()
	case f.Status != 0 && f.Status != 200:
		no := refusal{status: f.Status, reason: f.Reason, retryAfter: f.RetryAfter, since: f.Since}
		if no.since.IsZero() {
			no.since = a.o.Now()
		}
		c.reply(s, no.response())
	default:
		c.reply(s, response{status: 200})
	}
}

func or(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

// claim reports whether a request may still be delivered: the client has not
// taken it back, nor been told that it is not looked at.
func (c *conn) claim(s *stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[s.id] != s || c.silent {
		return false
	}
	c.handled = max(c.handled, s.id)
	return true
}

// sayGoAway lets the streams up to last end and none after them. mu is held.
func (c *conn) sayGoAway(last uint32, reason string) {
	if c.goAway {
		return
	}
	c.goAway, c.final = true, last
	debug, _ := json.Marshal(map[string]string{"reason": reason})
	_ = c.fr.WriteGoAway(last, http2.ErrCodeNo, debug)
	for id, s := range c.streams {
		if id > last {
			c.forget(s)
		}
	}
	if len(c.streams) == 0 {
		c.last = true
	}
}

// reset ends a stream without an answer. mu is held.
func (c *conn) reset(s *stream, code http2.ErrCode) {
	_ = c.fr.WriteRSTStream(s.id, code)
	c.forget(s)
}

// reply answers a request, unless the client has taken it back.
func (c *conn) reply(s *stream, r response) {
	c.mu.Lock()
	if c.streams[s.id] != s || c.silent {
		c.mu.Unlock()
		return
	}
	c.handled = max(c.handled, s.id)
	c.header(s, r)
	s.body = r.body
	if len(s.body) == 0 {
		c.forget(s)
	} else {
		c.send(s)
	}
	c.mind(r.status)
	c.mu.Unlock()
	c.a.count(r.status, r.reason)
}

// mind changes how many streams the client may open, after an answer. mu is
// held.
func (c *conn) mind(status int) {
	m := c.a.manners.Load()
	if status != 401 && status != 403 && status != 429 {
		c.valid = true
	}
	c.sulking = m.Sulk && status/100 != 2
	c.tell(c.streamLimit(m))
}

// header writes the header of an answer. mu is held.
func (c *conn) header(s *stream, r response) {
	c.hbuf.Reset()
	field := func(name, value string, sensitive bool) {
		_ = c.henc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: sensitive})
	}
	field(":status", strconv.Itoa(r.status), false)
	for _, name := range []string{"apns-id", "apns-request-id"} {
		if id := s.request.get(name); id != "" {
			field(name, id, true)
		} else if name == "apns-id" && strings.HasPrefix(s.request.path, devicePath) {
			field(name, strings.ToUpper(uuid.NewString()), true)
		}
	}
	if r.channel != "" {
		field("apns-channel-id", r.channel, true)
	}
	if r.retryAfter > 0 {
		field("retry-after", strconv.Itoa(r.retryAfter), false)
	}
	if len(r.body) > 0 {
		field("content-type", "application/json", false)
	}
	_ = c.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: s.id, BlockFragment: c.hbuf.Bytes(), EndHeaders: true, EndStream: len(r.body) == 0,
	})
}

// send writes as much of an answer's body as the windows allow. mu is held.
func (c *conn) send(s *stream) {
	for len(s.body) > 0 {
		n := min(int64(len(s.body)), c.window, s.window, 16<<10)
		if n <= 0 {
			return
		}
		end := int(n) == len(s.body)
		_ = c.fr.WriteData(s.id, end, s.body[:n])
		s.body = s.body[n:]
		c.window -= n
		s.window -= n
		if end {
			c.forget(s)
			return
		}
	}
}

// sendAll is send for every stream that waits. mu is held.
func (c *conn) sendAll() {
	for _, s := range c.streams {
		c.send(s)
	}
}
