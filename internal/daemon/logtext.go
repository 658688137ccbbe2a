package daemon

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// textHandler writes log lines for people: time, level, message, and then the
// attributes as key=value. Groups become dotted keys.
type textHandler struct {
	level slog.Leveler
	color bool
	short bool // the time of day only: somebody is watching
	attrs []byte
	group string // "a.b."

	mu *sync.Mutex // held while a line is written to w
	w  io.Writer
}

func newTextHandler(w io.Writer, level slog.Leveler, color, short bool) *textHandler {
	return &textHandler{level: level, color: color, short: short, mu: &sync.Mutex{}, w: w}
}

const (
	sgrReset  = "\x1b[0m"
	sgrDim    = "\x1b[2m"
	sgrBold   = "\x1b[1m"
	sgrRed    = "\x1b[31m"
	sgrYellow = "\x1b[33m"
	sgrGreen  = "\x1b[32m"
	sgrBlue   = "\x1b[34m"
)

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

var lineBufs = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	buf := lineBufs.Get().(*[]byte)
	b := (*buf)[:0]
	defer func() { *buf = b; lineBufs.Put(buf) }()

	if !r.Time.IsZero() {
		layout := "2006-01-02T15:04:05.000Z07:00"
		if h.short {
			layout = "15:04:05.000"
		}
		b = h.paint(b, sgrDim, func(b []byte) []byte { return r.Time.AppendFormat(b, layout) })
		b = append(b, ' ')
	}
	b = h.appendLevel(b, r.Level)
	b = append(b, ' ')
	b = h.paint(b, sgrBold, func(b []byte) []byte { return appendText(b, r.Message, false) })
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = h.appendAttr(b, h.group, a)
		return true
	})
	b = append(b, '\n')

	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b)
	return err
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
		c.attrs = h.appendAttr(c.attrs, h.group, a)
	}
	return &c
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group = h.group + name + "."
	return &c
}

func (h *textHandler) paint(b []byte, sgr string, f func([]byte) []byte) []byte {
	if !h.color {
		return f(b)
	}
	b = append(b, sgr...)
	b = f(b)
	return append(b, sgrReset...)
}

func (h *textHandler) appendLevel(b []byte, l slog.Level) []byte {
	sgr := sgrBlue
	switch {
	case l >= slog.LevelError:
		sgr = sgrRed
	case l >= slog.LevelWarn:
		sgr = sgrYellow
	case l >= slog.LevelInfo:
		sgr = sgrGreen
	}
	s := l.String()
	b = h.paint(b, sgr, func(b []byte) []byte { return append(b, s...) })
	for i := len(s); i < len("ERROR"); i++ {
		b = append(b, ' ')
	}
	return b
}

func (h *textHandler) appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return b
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, m := range v.Group() {
			b = h.appendAttr(b, group, m)
		}
		return b
	}
	b = append(b, ' ')
	b = h.paint(b, sgrDim, func(b []byte) []byte { return append(appendText(b, group+a.Key, true), '=') })
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'f', -1, 64)
	}
	return appendText(b, v.String(), true)
}

// appendText appends s, quoted if it would otherwise break the line apart or
// reach the terminal as a control sequence. As a value, spaces and quotes
// count too.
func appendText(b []byte, s string, value bool) []byte {
	quote := value && s == ""
	for _, r := range s {
		switch {
		case r == utf8.RuneError, r != ' ' && !unicode.IsPrint(r), value && (r == ' ' || r == '"' || r == '='):
			quote = true
		}
	}
	if quote {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}
