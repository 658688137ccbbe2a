package gaurun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/furima/furima/internal/push"
)

// LogOptions say where Gaurun's logs go. The zero value logs nothing.
type LogOptions struct {
	// Access and Error name the logs: a path, "stdout", "stderr" or "discard".
	// Empty means "discard".
	Access, Error string
	// Level is the least severe level that the error log takes: debug, info, warn,
	// error, dpanic, panic or fatal. Empty means "error".
	Level string
	// Stdout and Stderr are what those names mean; nil discards. Stderr is also
	// told when a log cannot be written.
	Stdout, Stderr io.Writer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Logs are Gaurun's access log and error log: one JSON object a line. A nil
// *Logs logs nothing. Give it to the gateway as its Observer and to New in
// Options.Logs.
//
// The id of a push counts up as Gaurun's does, but from the time of the start
// and not from 1: lines of what an earlier process has accepted may still come.
type Logs struct {
	access, errors *logFile
	level          slog.Level
	now            func() time.Time

	mu      sync.Mutex // guards what follows
	lastID  uint64
	pending map[uint64]*heldLines // requests that are being accepted, by their first id
	second  int64                 // that stamp is of
	stamp   string
	scratch []byte // a line in the making
}

// heldLines wait for the lines that say that their request was accepted.
type heldLines struct{ access, errors []byte }

var _ push.Observer = (*Logs)(nil)

// levels are Gaurun's, in its order.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	"dpanic": slog.LevelError + 1, "panic": slog.LevelError + 2, "fatal": slog.LevelError + 3,
}

// parseLevel reads a level as Gaurun does, in lower or upper case.
func parseLevel(s string) (slog.Level, error) {
	if s == "" {
		return slog.LevelError, nil
	}
	if l, ok := levels[strings.ToLower(s)]; ok && (s == strings.ToLower(s) || s == strings.ToUpper(s)) {
		return l, nil
	}
	return 0, fmt.Errorf("%q is not one of debug, info, warn, error, panic, fatal", s)
}

// OpenLogs opens the logs. It returns nil if there are none to write.
func OpenLogs(o LogOptions) (*Logs, error) {
	level, err := parseLevel(o.Level)
	if err != nil {
		return nil, fmt.Errorf("level: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Logs{level: level, now: o.Now, pending: make(map[uint64]*heldLines)}
	if l.access, err = openLog(o.Access, o); err != nil {
		return nil, fmt.Errorf("access_log: %w", err)
	}
	if l.access != nil && o.Error == o.Access {
		l.errors = l.access // one file, one order
	} else if l.errors, err = openLog(o.Error, o); err != nil {
		return nil, errors.Join(fmt.Errorf("error_log: %w", err), l.access.close())
	}
	if l.access == nil && l.errors == nil {
		return nil, nil
	}
	// Room for a million ids a second since the start before, and exact in a
	// float, as which many programs read JSON numbers.
	l.lastID = uint64(max(o.Now().Unix(), 0)) * 1_000_000
	return l, nil
}

// Reopen opens the files anew, after they have been moved away. A file that
// cannot be opened stays as it is.
func (l *Logs) Reopen() error {
	if l == nil {
		return nil
	}
	err := l.access.reopen()
	if l.errors != l.access {
		err = errors.Join(err, l.errors.reopen())
	}
	return err
}

// Close writes what has not been written and closes the files. Nothing is
// logged afterwards.
func (l *Logs) Close() error {
	if l == nil {
		return nil
	}
	err := l.access.close()
	if l.errors != l.access {
		err = errors.Join(err, l.errors.close())
	}
	return err
}

// Handler returns a handler that writes records to the error log in the form of
// Gaurun's lines, from the log's level on. Without an error log it discards.
func (l *Logs) Handler() slog.Handler {
	if l == nil || l.errors == nil {
		return slog.DiscardHandler
	}
	return slog.NewJSONHandler(l.errors, &slog.HandlerOptions{
		Level: l.level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.LevelKey:
				return slog.String("level", strings.ToLower(a.Value.String()))
			case slog.TimeKey:
				return slog.String("time", a.Value.Time().Format(timeForm))
			case slog.MessageKey:
				a.Key = "message"
			}
			return a
		},
	})
}

const timeForm = "2006/01/02 15:04:05 MST"

// timestamp is the time as lines have it. l.mu is held.
func (l *Logs) timestamp() string {
	now := l.now()
	if s := now.Unix(); s != l.second || l.stamp == "" {
		l.second, l.stamp = s, now.Format(timeForm)
	}
	return l.stamp
}

// takesErrors reports whether lines of the level error are written.
func (l *Logs) takesErrors() bool { return l.errors != nil && l.level <= slog.LevelError }

// begin appends what every line begins with, up to its message. l.mu is held.
func (l *Logs) begin(b []byte, level string) []byte {
	b = append(b, `{"level":"`...)
	b = append(b, level...)
	b = append(b, `","time":`...)
	b = appendQuoted(b, l.timestamp())
	return append(b, `,"message":`...)
}

// request logs that a request has come in.
func (l *Logs) request(r *http.Request) {
	if l == nil || l.access == nil {
		return
	}
	l.mu.Lock()
	b := l.begin(make([]byte, 0, 256), "info")
	l.mu.Unlock()
	b = append(b, `"","type":"accepted-request","uri":`...)
	b = appendQuoted(b, r.URL.String())
	b = append(b, `,"method":`...)
	b = appendQuoted(b, r.Method)
	b = append(b, `,"proto":`...)
	b = appendQuoted(b, r.Proto)
	b = append(b, `,"content_length":`...)
	b = strconv.AppendInt(b, r.ContentLength, 10)
	l.access.write(append(b, "}\n"...))
}

// fault logs what was wrong with a request or a notification.
func (l *Logs) fault(message string) {
	if l == nil || !l.takesErrors() {
		return
	}
	l.mu.Lock()
	b := l.begin(make([]byte, 0, 256), "error")
	l.mu.Unlock()
	b = appendQuoted(b, message)
	l.errors.write(append(b, "}\n"...))
}

// The types of lines about a push.
const (
	acceptedPush  = "accepted-push"
	succeededPush = "succeeded-push"
	failedPush    = "failed-push"
	disabledPush  = "disabled-push"
)

// entry is a line about a push.
type entry struct {
	level, kind string
	id          uint64
	platform    push.Platform
	token       string
	took        time.Duration
	err         string
	text        logText
}

// append appends the line. l.mu is held.
func (l *Logs) append(b []byte, e entry) []byte {
	b = l.begin(b, e.level)
	b = append(b, e.text.message...)
	b = append(b, `,"id":`...)
	b = strconv.AppendUint(b, e.id, 10)
	b = append(b, `,"platform":"`...)
	b = append(b, platformName(e.platform)...)
	b = append(b, `","token":`...)
	b = appendQuoted(b, e.token)
	b = append(b, `,"type":"`...)
	b = append(b, e.kind...)
	b = append(b, `","ptime":`...)
	b = strconv.AppendFloat(b, math.Floor(e.took.Seconds()*1000)/1000, 'f', -1, 64)
	b = append(b, `,"error":`...)
	b = appendQuoted(b, e.err)
	b = append(b, e.text.rest...)
	return append(b, "}\n"...)
}

func platformName(p push.Platform) string {
	if p == push.FCM {
		return "android"
	}
	return "ios"
}

// logText is what the lines about a notification share: the quoted message, and
// the fields that follow the common ones, each with a comma before it.
type logText struct{ message, rest string }

// logTextOf makes the text of a notification.
func logTextOf(n *notification) logText {
	var b []byte
	str := func(key, v string) {
		if v != "" {
			b = append(b, `,"`+key+`":`...)
			b = appendQuoted(b, v)
		}
	}
	num := func(key string, v int) {
		if v != 0 {
			b = append(b, `,"`+key+`":`...)
			b = strconv.AppendInt(b, int64(v), 10)
		}
	}
	yes := func(key string, v bool) {
		if v {
			b = append(b, `,"`+key+`":true`...)
		}
	}
	str("collapse_key", n.CollapseKey)
	yes("delay_while_idle", n.DelayWhileIdle)
	num("time_to_live", n.TimeToLive)
	str("title", n.Title)
	str("subtitle", n.Subtitle)
	num("badge", n.Badge)
	str("category", n.Category)
	str("sound", n.Sound)
	yes("content_available", n.ContentAvailable)
	yes("mutable_content", n.MutableContent)
	num("expiry", n.Expiry)
	str("identifier", n.Identifier)
	return logText{message: string(appendQuoted(nil, n.Message)), rest: string(b)}
}

// note is the text as it is kept with a notification, with the id of the first
// push of its request.
func (t logText) note(first uint64) string {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(t.message)+len(t.rest))
	b = binary.AppendUvarint(b, first)
	b = binary.AppendUvarint(b, uint64(len(t.message)))
	b = append(b, t.message...)
	return string(append(b, t.rest...))
}

// parseNote reads what note has written.
func parseNote(note string) (first uint64, t logText, ok bool) {
	first, n := uvarint(note)
	if n <= 0 {
		return 0, t, false
	}
	note = note[n:]
	length, n := uvarint(note)
	if n <= 0 || length > uint64(len(note)-n) {
		return 0, t, false
	}
	note = note[n:]
	return first, logText{message: note[:length], rest: note[length:]}, true
}

// uvarint is binary.Uvarint for a string.
func uvarint(s string) (uint64, int) {
	var b [binary.MaxVarintLen64]byte
	return binary.Uvarint(b[:copy(b[:], s)])
}

// accepting takes ids for the pushes of a request that is about to be accepted,
// and holds back what becomes of them until accepted is called.
func (l *Logs) accepting(pushes int) (first uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.lastID + 1
	l.lastID += uint64(pushes)
	l.pending[first] = &heldLines{}
	return first
}

// accepted ends what accepting has begun: with the pushes that were taken, in
// their order, or without any.
func (l *Logs) accepted(first uint64, taken []entry) {
	l.mu.Lock()
	var b []byte
	if l.access != nil {
		for i := range taken {
			taken[i].level, taken[i].kind, taken[i].id = "info", acceptedPush, first+uint64(i)
			b = l.append(b, taken[i])
		}
	}
	// Still under the lock: nothing about these pushes may come before.
	l.access.write(b)
	if held := l.pending[first]; held != nil {
		l.access.write(held.access)
		l.errors.write(held.errors)
	}
	delete(l.pending, first)
	l.mu.Unlock()
}

// refused logs pushes that were not taken, each under an id of its own.
func (l *Logs) refused(kind string, pushes []entry) {
	if !l.takesErrors() {
		return
	}
	l.mu.Lock()
	var b []byte
	for _, e := range pushes {
		l.lastID++
		e.level, e.kind, e.id = "error", kind, l.lastID
		b = l.append(b, e)
	}
	l.mu.Unlock()
	l.errors.write(b)
}

// Ended implements push.Observer: it logs what became of a push.
func (l *Logs) Ended(e push.Ended) {
	if l == nil {
		return
	}
	first, text, ok := parseNote(e.Note)
	if !ok {
		return
	}
	line := entry{
		level: "info", kind: succeededPush,
		id: first + uint64(e.Place), platform: e.Platform, token: e.Token, took: e.Took, err: e.Reason, text: text,
	}
	file := l.access
	if e.Reason != "" {
		line.level, line.kind, file = "error", failedPush, l.errors
		if !l.takesErrors() {
			return
		}
	}
	if file == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.pending[first]
	switch {
	case held == nil:
		l.scratch = l.append(l.scratch[:0], line)
		file.write(l.scratch)
	case e.Reason != "":
		held.errors = l.append(held.errors, line)
	default:
		held.access = l.append(held.access, line)
	}
}
