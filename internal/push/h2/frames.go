package h2

import (
	"errors"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What the server's frames do. conn.mu is held in all of this.

// onBadFrame takes an error of the framer. Errors of one stream end the
// connection too: a header block that was not decoded leaves the compression out
// of step, and the others come from broken servers alone.
func (c *conn) onBadFrame(err error) error {
	var se http2.StreamError
	var ce http2.ConnectionError
	switch {
	case errors.As(err, &ce):
		return breach(http2.ErrCode(ce), c.in.detail())
	case errors.As(err, &se):
		return breach(se.Code, c.in.detail())
	case errors.Is(err, http2.ErrFrameTooLarge):
		return breach(http2.ErrCodeFrameSize, "a frame is too large")
	}
	return err
}

func (in *inbound) detail() string {
	if err := in.framer.ErrorDetail(); err != nil {
		return err.Error()
	}
	return "a frame is malformed"
}

func (c *conn) onFrame(f http2.Frame) error {
	if c.in.stranger {
		if s, ok := f.(*http2.SettingsFrame); !ok || s.IsAck() {
			return breach(http2.ErrCodeProtocol, "its first frame is not SETTINGS")
		}
		c.in.stranger = false
	}
	switch f := f.(type) {
	case *http2.HeadersFrame:
		return c.onHeaders(f)
	case *http2.ContinuationFrame:
		return c.onBlock(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.DataFrame:
		return c.onData(f)
	case *http2.WindowUpdateFrame:
		return c.onWindow(f)
	case *http2.RSTStreamFrame:
		return c.onReset(f)
	case *http2.SettingsFrame:
		return c.onSettings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.ctrl = appendPing(c.ctrl, flagAck, f.Data)
		}
	case *http2.GoAwayFrame:
		return c.onGoAway(f)
	case *http2.PushPromiseFrame:
		return breach(http2.ErrCodeProtocol, "PUSH_PROMISE, which was not allowed")
	}
	return nil // PRIORITY and frames that nobody here knows
}

// stream returns the open stream with an id, nil if it is closed already. An id
// that was never used is a breach.
func (c *conn) stream(id uint32) (*stream, error) {
	if id&1 == 0 || id >= c.nextID {
		return nil, breach(http2.ErrCodeProtocol, "a frame for a stream that was not opened")
	}
	return c.streams[id], nil
}

func (c *conn) onHeaders(f *http2.HeadersFrame) error {
	if _, err := c.stream(f.StreamID); err != nil {
		return err
	}
	c.in.answer = answer{id: f.StreamID, end: f.StreamEnded()}
	return c.onBlock(f.HeaderBlockFragment(), f.HeadersEnded())
}

// onBlock takes a piece of a header block. Also the blocks of closed streams
// have to be decoded, because the table changes with them.
func (c *conn) onBlock(b []byte, last bool) error {
	a := &c.in.answer
	if a.block += len(b); a.block > maxHeaderBlock {
		return breach(http2.ErrCodeEnhanceYourCalm, "a header is too large")
	}
	if _, err := c.in.dec.Write(b); err != nil {
		return breach(http2.ErrCodeCompression, err.Error())
	}
	if !last {
		return nil
	}
	if err := c.in.dec.Close(); err != nil {
		return breach(http2.ErrCodeCompression, err.Error())
	}
	// The stream may have ended since the block began.
	if s := c.streams[a.id]; s != nil {
		c.onAnswer(s, a)
	}
	return nil
}

// onField is called by the decoder.
func (c *conn) onField(f hpack.HeaderField) {
	a := &c.in.answer
	if a.list += int(f.Size()); a.list > maxHeaderList {
		a.fault = "its header is too large"
		return
	}
	if f.Name == ":status" {
		if a.regular || a.status != 0 || !a.setStatus(f.Value) {
			a.fault = "its status is malformed"
		}
		return
	}
	a.regular = true
	for i := range len(f.Name) {
		if b := f.Name[i]; !isTokenByte[b] || 'A' <= b && b <= 'Z' {
			a.fault = "a field name is malformed"
			return
		}
	}
	if f.Name == "" {
		a.fault = "a field has no name"
	}
	for i, name := range c.p.cfg.Keep {
		if name == f.Name {
			a.kept[i] = f.Value
		}
	}
}

func (a *answer) setStatus(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return false
	}
	a.status = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	return true
}

// onAnswer takes a complete header block: an interim answer, the final one, or
// trailers.
func (c *conn) onAnswer(s *stream, a *answer) {
	switch {
	case a.fault != "":
		c.malformed(s, http2.ErrCodeProtocol, a.fault)
	case s.status != 0: // trailers
		if a.status != 0 || !a.end {
			c.malformed(s, http2.ErrCodeProtocol, "it has a second header")
			return
		}
		c.answered(s)
	case a.status == 0:
		c.malformed(s, http2.ErrCodeProtocol, "it has no status")
	case a.status < 200:
		if a.end || a.status == 101 {
			c.malformed(s, http2.ErrCodeProtocol, "its interim status is malformed")
		}
	default:
		s.status = a.status
		r := s.response()
		r.Status, r.Kept = a.status, a.kept
		if a.end {
			c.answered(s)
		}
	}
}

func (c *conn) malformed(s *stream, code http2.ErrCode, what string) {
	c.in.done = append(c.in.done, c.reset(s, code, &Error{Reason: Malformed, Unknown: true, Err: errors.New(what)}))
}

// answered ends a stream whose answer is complete, or as complete as it is
// wanted.
func (c *conn) answered(s *stream) {
	r := s.response()
	r.Latency = c.lastRead.Sub(s.since)
	if c.answers++; c.answers == 1 {
		c.p.proved()
	}
	if !c.proven && isGood(s.status) {
		c.proven = true
	}
	if c.soft < c.p.cfg.MaxStreams {
		c.soft++
	}
	if spent := c.p.cfg.Spent; spent != nil && s.status/100 != 2 && !c.drained && spent(r) {
		c.drain()
		c.p.kickKeeper() // for another one
	}
	if !s.complete { // the server did not want the rest of the request
		c.ctrl = appendReset(c.ctrl, s.id, uint32(http2.ErrCodeCancel))
	}
	c.in.done = append(c.in.done, c.dropStream(s))
	c.lastUse = c.lastRead
}

// isGood reports whether a status says that the server serves us.
func isGood(status int) bool {
	return status < 500 && status != 401 && status != 403 && status != 429
}

func (c *conn) onData(f *http2.DataFrame) error {
	s, err := c.stream(f.StreamID)
	if err != nil {
		return err
	}
	// Padding counts. What comes is used up at once, so the window of the
	// connection protects nothing: it is opened again and not watched over.
	n := int(f.Length)
	if c.taken += n; c.taken > ourWindow/4 {
		c.ctrl = appendWindow(c.ctrl, 0, uint32(c.taken))
		c.taken = 0
	}
	if s == nil {
		return nil
	}
	if s.status == 0 {
		c.malformed(s, http2.ErrCodeProtocol, "DATA before its header")
		return nil
	}
	// The window of a stream is never opened further: less than that is kept.
	if s.received += n; s.received > initialWindow {
		c.malformed(s, http2.ErrCodeFlowControl, "more DATA than the window of the stream")
		return nil
	}
	wanted := c.keep(s, f.Data())
	if f.StreamEnded() {
		c.answered(s)
	} else if !wanted {
		if s.complete { // else answered resets it
			c.ctrl = appendReset(c.ctrl, s.id, uint32(http2.ErrCodeCancel))
		}
		c.answered(s)
	}
	return nil
}

// keep keeps what is wanted of a body and reports whether more of it is.
func (c *conn) keep(s *stream, data []byte) bool {
	if c.p.cfg.DiscardOK && s.status/100 == 2 {
		return s.received <= maxBody
	}
	r := s.response()
	if room := c.p.cfg.MaxBodyBytes - len(r.Body); len(data) > room {
		data, r.Truncated = data[:room], true
	}
	if len(data) > 0 {
		r.Body = append(r.Body, data...)
	}
	return !r.Truncated
}

func (c *conn) onWindow(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > maxWindow {
			return breach(http2.ErrCodeFlowControl, "the window of the connection is too large")
		}
		return nil
	}
	s, err := c.stream(f.StreamID)
	if err != nil || s == nil {
		return err
	}
	if s.window += int64(f.Increment); s.window > maxWindow {
		c.malformed(s, http2.ErrCodeFlowControl, "its window is too large")
	}
	return nil
}

func (c *conn) onReset(f *http2.RSTStreamFrame) error {
	s, err := c.stream(f.StreamID)
	if err != nil || s == nil {
		return err
	}
	switch {
	case f.ErrCode == http2.ErrCodeRefusedStream:
		// It does not take as many as it said. Each answer allows one more.
		c.soft = max(1, min(c.soft, len(c.streams)-1))
		why := &Error{Reason: Refused, Code: f.ErrCode}
		c.in.done = c.p.putBack([]call{c.dropStream(s)}, why, c.in.done)
		return nil
	case f.ErrCode == http2.ErrCodeHTTP11Required:
		s.response().Err = &Error{Reason: Reset, Code: f.ErrCode}
	default:
		s.response().Err = &Error{Reason: Reset, Unknown: true, Code: f.ErrCode}
	}
	c.in.done = append(c.in.done, c.dropStream(s))
	return nil
}

func (c *conn) onSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if !c.peer.settled {
		c.peer.streams = c.p.cfg.MaxStreams // unless it says otherwise
		c.peer.settled = true
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			var ce http2.ConnectionError
			errors.As(err, &ce)
			return breach(http2.ErrCode(ce), "the setting "+s.String()+" is not valid")
		}
		switch s.ID {
		case http2.SettingMaxConcurrentStreams:
			c.peer.streams = int(min(s.Val, 1<<30))
		case http2.SettingInitialWindowSize:
			return c.setInitialWindow(int64(s.Val))
		case http2.SettingHeaderTableSize:
			c.enc.setLimit(s.Val)
		case http2.SettingMaxFrameSize:
			c.peer.frame = int(min(s.Val, writeSize))
		case http2.SettingEnablePush:
			if s.Val != 0 {
				return breach(http2.ErrCodeProtocol, "a server cannot enable push")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.ctrl = appendFrame(c.ctrl, 0, frameSettings, flagAck, 0)
	return nil
}

// setInitialWindow changes the window of all streams, open ones too, which may
// take them below zero.
func (c *conn) setInitialWindow(n int64) error {
	delta := n - c.peer.window
	c.peer.window = n
	for s := c.line.first; s != nil; s = s.next {
		if s.window += delta; s.window > maxWindow {
			return breach(http2.ErrCodeFlowControl, "a setting makes the window of a stream too large")
		}
	}
	return nil
}

// onGoAway stops the opening of streams and puts those back that the server will
// not process. The others may go on.
func (c *conn) onGoAway(f *http2.GoAwayFrame) error {
	debug := f.DebugData()
	c.gone = &goneAway{code: f.ErrCode, debug: string(debug[:min(len(debug), maxDebug)])}
	if f.ErrCode != http2.ErrCodeNo || c.answers < fewAnswers {
		// No new connection at once. It is said here, before anybody can open
		// one.
		c.p.noteFailure(c.gone)
		c.noted = true
	}
	c.drain()
	var again []call
	for s := c.line.first; s != nil; {
		next := s.next
		if s.id > f.LastStreamID {
			again = append(again, c.dropStream(s))
		}
		s = next
	}
	why := &Error{Reason: Lost, Code: f.ErrCode, Err: c.gone}
	c.in.done = c.p.putBack(again, why, c.in.done)
	return nil
}
