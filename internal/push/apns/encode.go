package apns

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Payloads are most of what is written for a notification when it is accepted, so
// the plain ones are written here and not by way of reflection. What comes out is
// what package encoding/json makes of the same values, to the byte.

// encodeAll writes the payload: the notification's data, its image, and the aps
// dictionary, if own is not nil.
func (d *draft) encodeAll(own func(b []byte) []byte) []byte {
	names := make([]string, 0, 8)
	names = slices.AppendSeq(names, maps.Keys(d.Data))
	if d.Image != "" {
		names = append(names, imageMember)
	}
	if own != nil {
		names = append(names, "aps")
	}
	slices.Sort(names)
	b := make([]byte, 0, 256)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, name)
		b = append(b, ':')
		switch {
		case name == "aps" && own != nil:
			b = own(b)
		case name == imageMember && d.Image != "":
			b = appendText(b, d.Image)
		default:
			b = appendText(b, d.Data[name])
		}
	}
	return append(b, '}')
}

// appendTo writes the dictionary.
func (a *aps) appendTo(b []byte) []byte {
	o := object{b: append(b, '{')}
	if l := a.Alert; l != nil {
		o.name("alert")
		inner := object{b: append(o.b, '{')}
		inner.text("title", l.Title)
		inner.text("title-loc-key", l.TitleLocKey)
		inner.texts("title-loc-args", l.TitleLocArgs)
		inner.text("subtitle", l.Subtitle)
		inner.text("body", l.Body)
		inner.text("loc-key", l.LocKey)
		inner.texts("loc-args", l.LocArgs)
		o.b = append(inner.b, '}')
	}
	if a.Badge != nil {
		o.number("badge", *a.Badge)
	}
	o.text("sound", a.Sound)
	o.text("category", a.Category)
	o.text("thread-id", a.ThreadID)
	o.flag("content-available", a.ContentAvailable)
	if a.ContentChanged {
		o.name("content-changed")
		o.b = append(o.b, "true"...)
	}
	o.flag("mutable-content", a.MutableContent)
	o.text("interruption-level", a.InterruptionLevel)
	if a.RelevanceScore != 0 {
		score, _ := json.Marshal(a.RelevanceScore) // what is no number has been refused
		o.name("relevance-score")
		o.b = append(o.b, score...)
	}
	return append(o.b, '}')
}

// object is a JSON object that is being written. Empty members are left out.
type object struct {
	b    []byte
	some bool
}

func (o *object) name(name string) {
	if o.some {
		o.b = append(o.b, ',')
	}
	o.some = true
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, value string) {
	if value != "" {
		o.name(name)
		o.b = appendText(o.b, value)
	}
}

func (o *object) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	o.name(name)
	o.b = append(o.b, '[')
	for i, v := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = appendText(o.b, v)
	}
	o.b = append(o.b, ']')
}

func (o *object) number(name string, value int) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, int64(value), 10)
}

func (o *object) flag(name string, value int) {
	if value != 0 {
		o.number(name, value)
	}
}

// appendText appends a JSON string. Nothing is escaped that need not be, but for
// the line separators U+2028 and U+2029.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			if r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
			b = append(b, s[from:i]...)
			switch r {
			case '\u2028':
				b = append(b, `\u2028`...)
			case '\u2029':
				b = append(b, `\u2029`...)
			default:
				b = append(b, `\ufffd`...)
			}
			i += size
			from = i
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i += size
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
