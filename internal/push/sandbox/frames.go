package sandbox

import (
	"errors"
	"io"

	"golang.org/x/net/http2"
)

// read handles frames until the connection ends.
func (c *conn) read() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(slowReader{c}, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return errors.New("the client does not speak HTTP/2")
	}
	for {
		f, err := c.fr.ReadFrame()
		if c.isSilent() {
			<-c.done
			return nil
		}
		var se http2.StreamError
		var ce http2.ConnectionError
		switch {
		case err == nil:
			err = c.handle(f)
		case errors.As(err, &se):
			c.mu.Lock()
			_ = c.fr.WriteRSTStream(se.StreamID, se.Code)
			if s := c.streams[se.StreamID]; s != nil {
				c.forget(s)
			}
			c.mu.Unlock()
			continue
		}
		if errors.As(err, &ce) {
			c.mu.Lock()
			_ = c.fr.WriteGoAway(c.newest, http2.ErrCode(ce), nil)
			c.last = true
			c.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
}

func (c *conn) isSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent
}

// handle takes a frame.
func (c *conn) handle(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.onHeaders(f)
	case *http2.DataFrame:
		return c.onData(f)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) > maxOut {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return c.onSettings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.fr.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		if s := c.streams[f.StreamID]; s != nil {
			c.forget(s)
		}
	case *http2.WindowUpdateFrame:
		if s := c.streams[f.StreamID]; s != nil {
			s.window += int64(f.Increment)
			c.send(s)
		} else if f.StreamID == 0 {
			c.window += int64(f.Increment)
			c.sendAll()
		}
	}
	return nil
}

func (c *conn) onSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		if len(c.told) > 0 {
			c.allowed, c.told = c.told[0], c.told[1:]
		}
		return nil
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			delta := int64(s.Val) - c.initialWindow
			c.initialWindow = int64(s.Val)
			for _, s := range c.streams {
				s.window += delta
			}
			c.sendAll()
		case http2.SettingHeaderTableSize:
			c.henc.SetMaxDynamicTableSizeLimit(s.Val)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.fr.WriteSettingsAck()
}

// onHeaders opens a stream.
func (c *conn) onHeaders(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	c.mu.Lock()
	s := c.streams[id]
	switch {
	case s != nil: // trailers
		s.whole = s.whole || f.StreamEnded()
	case id%2 == 0:
		c.mu.Unlock()
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case id <= c.newest: // of a stream that is closed
		c.mu.Unlock()
		return nil
	default:
		c.newest = id
		if c.goAway && id > c.final {
			c.mu.Unlock()
			return nil
		}
		if len(c.streams) >= c.allowed || f.Truncated {
			_ = c.fr.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			c.mu.Unlock()
			c.a.unwelcome.Add(1)
			return nil
		}
		s = &stream{id: id, window: c.initialWindow, whole: f.StreamEnded()}
		s.request = request{method: f.PseudoValue("method"), path: f.PseudoValue("path"), fields: f.RegularFields(), certificate: c.certificate}
		c.streams[id] = s
	}
	whole := s.whole
	c.mu.Unlock()
	if whole {
		c.a.respond(c, s)
	}
	return nil
}

// onData takes a part of a body. One that is larger than any may be is answered
// before its end.
func (c *conn) onData(f *http2.DataFrame) error {
	c.mu.Lock()
	if c.taken += int(f.Length); c.taken > ourWindow/4 {
		_ = c.fr.WriteWindowUpdate(0, uint32(c.taken))
		c.taken = 0
	}
	s := c.streams[f.StreamID]
	if s == nil || s.whole {
		c.mu.Unlock()
		return nil
	}
	s.request.body = append(s.request.body, f.Data()...)
	s.whole = f.StreamEnded() || len(s.request.body) > maxBody
	whole := s.whole
	c.mu.Unlock()
	if whole {
		c.a.respond(c, s)
	}
	return nil
}

// forget drops a stream. mu is held.
func (c *conn) forget(s *stream) {
	if s.hanging {
		c.a.hang(-1)
	}
	delete(c.streams, s.id)
	if c.goAway && len(c.streams) == 0 {
		c.last = true
	}
}
