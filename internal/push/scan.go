package push

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/furima/furima/client"
)

// body reads the requests that nearly all callers send nearly all the time,
// several times as fast as a decoder for any type can: decoding is much of what a
// notification costs. It knows the plain fields. Whatever else is there, or is
// wrong, makes it false, and then decodeBody has the last word; so there is one
// place where it says what a request may look like and what is wrong with it.
//
// The request is in the scanner's memory, and refers to the text.
func (sc *scanner) body(text string) (Request, bool) {
	sc.s, sc.i = text, 0
	var req Request
	var one Notification
	var seen fields
	list := false
	if !sc.object(func(name string) bool {
		switch name {
		case "app":
			return seen.first(fieldApp) && sc.str(&req.App)
		case "notifications":
			list = true
			return seen.first(fieldNotifications) && sc.notifications(&req.Notifications)
		}
		return sc.field(&one, &seen, name)
	}) || !sc.end() {
		return Request{}, false
	}
	single := seen&^(fieldApp|fieldNotifications) != 0
	switch {
	case list && !single:
		return req, true
	case !list && len(one.Tokens) > 0:
		req.Notifications, req.single = []Notification{one}, true
		return req, true
	}
	return Request{}, false
}

// fields are those of an object that have been seen: none may come twice.
type fields uint32

const (
	fieldApp fields = 1 << iota
	fieldNotifications
	fieldTokens
	fieldPlatform
	fieldTitle
	fieldBody
	fieldBadge
	fieldSound
	fieldCategory
	fieldThreadID
	fieldData
	fieldTTL
	fieldPriority
	fieldCollapseID
)

// first notes a field and reports whether it had not been seen.
func (f *fields) first(field fields) bool {
	again := *f&field != 0
	*f |= field
	return !again
}

// scanner takes values off the front of a JSON text. A method that is false has
// found something that it does not read.
type scanner struct {
	s string
	i int

	// Memory of what is read.
	all  []Notification
	strs []string
	ints []int
	maps []map[string]string
	used int // of maps
}

// reset lets go of what was read, and keeps the memory if it is not too much.
func (sc *scanner) reset() {
	sc.s = ""
	sc.all, sc.strs, sc.ints = emptied(sc.all), emptied(sc.strs), emptied(sc.ints)
	for _, m := range sc.maps[:sc.used] {
		clear(m)
	}
	if sc.used = 0; len(sc.maps) > maxGuess {
		sc.maps = nil
	}
}

// newMap returns an empty map.
func (sc *scanner) newMap() map[string]string {
	if sc.used == len(sc.maps) {
		sc.maps = append(sc.maps, make(map[string]string))
	}
	sc.used++
	return sc.maps[sc.used-1]
}

func emptied[T any](s []T) []T {
	if cap(s) > maxGuess {
		return nil
	}
	clear(s)
	return s[:0]
}

// space passes over white space and returns the byte after it, 0 at the end.
func (sc *scanner) space() byte {
	for sc.i < len(sc.s) {
		switch c := sc.s[sc.i]; c {
		case ' ', '\n', '\t', '\r':
			sc.i++
		default:
			return c
		}
	}
	return 0
}

// take takes c, with white space before it.
func (sc *scanner) take(c byte) bool {
	if sc.space() != c {
		return false
	}
	sc.i++
	return true
}

func (sc *scanner) end() bool { return sc.space() == 0 && sc.i == len(sc.s) }

// list reads values between brackets, with commas in between.
func (sc *scanner) list(begin, end byte, value func() bool) bool {
	if !sc.take(begin) {
		return false
	}
	if sc.take(end) {
		return true
	}
	for {
		if !value() {
			return false
		}
		if sc.take(end) {
			return true
		}
		if !sc.take(',') {
			return false
		}
	}
}

func (sc *scanner) object(member func(name string) bool) bool {
	return sc.list('{', '}', func() bool {
		var name string
		return sc.str(&name) && sc.take(':') && member(name)
	})
}

// str reads a string.
func (sc *scanner) str(to *string) bool {
	if !sc.take('"') {
		return false
	}
	rest := sc.s[sc.i:]
	n := strings.IndexByte(rest, '"')
	if n < 0 {
		return false
	}
	plain := true
	for i := range n {
		switch c := rest[i]; {
		case c < ' ':
			return false
		case c == '\\':
			return sc.escaped(to)
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	if !plain && !utf8.ValidString(rest[:n]) {
		return false
	}
	*to = rest[:n]
	sc.i += n + 1
	return true
}

// escaped reads the rest of a string that has a backslash in it.
func (sc *scanner) escaped(to *string) bool {
	begin := sc.i - 1
	for i := sc.i; i < len(sc.s); i++ {
		switch sc.s[i] {
		case '\\':
			i++
		case '"':
			text, err := jsontext.AppendUnquote(nil, sc.s[begin:i+1])
			*to, sc.i = string(text), i+1
			return err == nil
		}
	}
	return false
}

// number reads a whole number of a few digits.
func (sc *scanner) number(to *int) bool {
	sc.space()
	begin, negative := sc.i, false
	if sc.i < len(sc.s) && sc.s[sc.i] == '-' {
		negative = true
		sc.i++
		begin++
	}
	n := 0
	for sc.i < len(sc.s) && sc.s[sc.i] >= '0' && sc.s[sc.i] <= '9' {
		n = n*10 + int(sc.s[sc.i]-'0')
		sc.i++
		if sc.i-begin > 9 {
			return false
		}
	}
	digits := sc.i - begin
	if digits == 0 || digits > 1 && sc.s[begin] == '0' {
		return false
	}
	if sc.i < len(sc.s) {
		switch sc.s[sc.i] {
		case '.', 'e', 'E':
			return false
		}
	}
	if negative {
		n = -n
	}
	*to = n
	return true
}

// maxGuess bounds what is made room for on a guess.
const maxGuess = 1000

func (sc *scanner) notifications(to *[]Notification) bool {
	// A guess at how many there are: growing would copy much.
	room := min(strings.Count(sc.s[sc.i:], `"tokens"`), maxGuess)
	if cap(sc.all) < room || sc.all == nil {
		sc.all = make([]Notification, 0, room)
		sc.strs, sc.ints = make([]string, 0, room), make([]int, 0, room)
	}
	if !sc.list('[', ']', func() bool {
		sc.all = append(sc.all, Notification{})
		n := &sc.all[len(sc.all)-1]
		var seen fields
		return sc.object(func(name string) bool { return sc.field(n, &seen, name) })
	}) {
		return false
	}
	*to = sc.all
	return true
}

// field reads the value of a notification's field.
func (sc *scanner) field(n *Notification, seen *fields, name string) bool {
	switch name {
	case "tokens":
		return seen.first(fieldTokens) && sc.tokens(&n.Tokens)
	case "platform":
		return seen.first(fieldPlatform) && sc.str((*string)(&n.Platform))
	case "title":
		return seen.first(fieldTitle) && sc.str(&n.Title)
	case "body":
		return seen.first(fieldBody) && sc.str(&n.Body)
	case "badge":
		sc.ints = append(sc.ints, 0)
		n.Badge = &sc.ints[len(sc.ints)-1]
		return seen.first(fieldBadge) && sc.number(n.Badge)
	case "sound":
		return seen.first(fieldSound) && sc.str(&n.Sound)
	case "category":
		return seen.first(fieldCategory) && sc.str(&n.Category)
	case "thread_id":
		return seen.first(fieldThreadID) && sc.str(&n.ThreadID)
	case "data":
		return seen.first(fieldData) && sc.data(&n.Data)
	case "ttl":
		return seen.first(fieldTTL) && sc.ttl(&n.TTL)
	case "priority":
		return seen.first(fieldPriority) && sc.str((*string)(&n.Priority))
	case "collapse_id":
		return seen.first(fieldCollapseID) && sc.str(&n.CollapseID)
	}
	return false
}

func (sc *scanner) tokens(to *[]string) bool {
	// A guess at how many there are, which is right where tokens are plain.
	room := 1
	if end := strings.IndexByte(sc.s[sc.i:], ']'); end > 0 {
		room = min(strings.Count(sc.s[sc.i:sc.i+end], ",")+1, maxGuess)
	}
	if cap(sc.strs)-len(sc.strs) < room {
		sc.strs = make([]string, 0, room)
	}
	first := len(sc.strs)
	if !sc.list('[', ']', func() bool {
		sc.strs = append(sc.strs, "")
		return sc.str(&sc.strs[len(sc.strs)-1])
	}) {
		return false
	}
	*to = sc.strs[first:len(sc.strs):len(sc.strs)]
	return true
}

func (sc *scanner) data(to *map[string]string) bool {
	all := sc.newMap()
	if !sc.object(func(name string) bool {
		if _, twice := all[name]; twice {
			return false
		}
		var value string
		if !sc.str(&value) {
			return false
		}
		all[name] = value
		return true
	}) {
		return false
	}
	*to = all
	return true
}

func (sc *scanner) ttl(to *client.Duration) bool {
	if sc.space() == '"' {
		var text string
		if !sc.str(&text) {
			return false
		}
		d, err := time.ParseDuration(text)
		*to = client.Duration(d)
		return err == nil
	}
	seconds := 0
	ok := sc.number(&seconds)
	*to = client.Duration(time.Duration(seconds) * time.Second)
	return ok
}
