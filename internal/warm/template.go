package warm

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxCombinations bounds a plan: beyond it the count is surely a mistake.
	maxCombinations = 1_000_000_000_000
	// maxTemplateBytes bounds a template, and with it every URL made from it.
	maxTemplateBytes = 64 << 10
	// maxRangeValue bounds the ends of a range, far from any overflow.
	maxRangeValue = 1_000_000_000_000_000
)

// SyntaxError says what is wrong with a URL template.
type SyntaxError struct {
	// Pos is the position of the fault in characters, from 1; 0 if the
	// template as a whole is at fault.
	Pos int
	// Problem is one line, lower case, no full stop.
	Problem string
}

func (e *SyntaxError) Error() string {
	if e.Pos == 0 {
		return e.Problem
	}
	return fmt.Sprintf("position %d: %s", e.Pos, e.Problem)
}

// template is a parsed URL template: texts and sets of values in turn.
// Combination i takes value (i / stride) % count of every set, so the
// rightmost set changes fastest and nothing is ever stored per combination.
type template struct {
	parts []part
	count int64
	// fixed is the origin if no set is part of it, with the number of bytes
	// that scheme and authority take; else nil.
	fixed      *origin
	fixedBytes int
}

// part is a text, or a set if it has values.
type part struct {
	text   []byte
	values []value
	ends   []int64 // ends[k] = how many values of the set stand up to and with values[k]
	stride int64
	name   string // of the parameter, if it is one
}

// value is one entry of a set: a text, or a whole range of numbers.
type value struct {
	text  []byte
	from  int64
	step  int64 // not 0: a range
	width int   // numbers are padded with zeros to this width
	count int64
}

func (p *part) count() int64 { return p.ends[len(p.ends)-1] }

// append adds combination i to dst.
func (t *template) append(dst []byte, i int64) []byte {
	for k := range t.parts {
		p := &t.parts[k]
		if p.values == nil {
			dst = append(dst, p.text...)
			continue
		}
		dst = p.append(dst, i/p.stride%p.count())
	}
	return dst
}

func (p *part) append(dst []byte, j int64) []byte {
	k := 0
	if len(p.values) > 1 {
		k = sort.Search(len(p.ends), func(k int) bool { return p.ends[k] > j })
	}
	v := &p.values[k]
	if v.step == 0 {
		return append(dst, v.text...)
	}
	if k > 0 {
		j -= p.ends[k-1]
	}
	return appendPadded(dst, v.from+j*v.step, v.width)
}

func appendPadded(dst []byte, n int64, width int) []byte {
	var digits [24]byte
	if n < 0 {
		dst = append(dst, '-')
		n, width = -n, width-1
	}
	text := strconv.AppendInt(digits[:0], n, 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// parser reads one template.
type parser struct {
	s      string
	i      int
	params map[string][]string
	used   map[string]bool
}

// parseTemplate reads a template. A set is a list {a,b}, a range {1..9} or
// {0..100..20}, a mixture {1..9,all}, or the name of one of params. A
// backslash takes the special meaning from the character after it.
func parseTemplate(s string, params map[string][]string) (*template, error) {
	if len(s) > maxTemplateBytes {
		return nil, &SyntaxError{Problem: fmt.Sprintf("longer than %d bytes", maxTemplateBytes)}
	}
	p := &parser{s: s, params: params, used: map[string]bool{}}
	t := &template{}
	for p.i < len(s) {
		start := p.i
		next, err := p.part()
		if err != nil {
			return nil, err
		}
		if next.values != nil && t.grow(next) != nil {
			return nil, p.errorf(start, "more than %d combinations", int64(maxCombinations))
		}
		t.parts = append(t.parts, next)
	}
	for _, name := range sortedKeys(params) {
		if !p.used[name] {
			return nil, &SyntaxError{Problem: fmt.Sprintf("parameter %q is not used as {%s}", name, name)}
		}
	}
	t.setStrides()
	return t, p.checkOrigin(t)
}

// grow multiplies the count by a set's, unless it repeats a parameter.
func (t *template) grow(next part) error {
	if next.name != "" && slices.ContainsFunc(t.parts, func(p part) bool { return p.name == next.name }) {
		return nil
	}
	if t.count == 0 {
		t.count = 1
	}
	if n := next.count(); n > maxCombinations || t.count > maxCombinations/n {
		return &SyntaxError{}
	}
	t.count *= next.count()
	return nil
}

// setStrides gives every set its stride, the rightmost 1. A parameter that
// stands in several places has the same value in all of them: the stride of
// its last place.
func (t *template) setStrides() {
	t.count = 1
	byName := map[string]int64{}
	for k := len(t.parts) - 1; k >= 0; k-- {
		p := &t.parts[k]
		if p.values == nil {
			continue
		}
		if stride, again := byName[p.name]; again && p.name != "" {
			p.stride = stride
			continue
		}
		p.stride = t.count
		byName[p.name] = p.stride
		t.count *= p.count()
	}
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (p *parser) errorf(at int, format string, args ...any) error {
	return &SyntaxError{Pos: utf8.RuneCountInString(p.s[:at]) + 1, Problem: fmt.Sprintf(format, args...)}
}

// part reads a text up to the next brace, or a set.
func (p *parser) part() (part, error) {
	if p.s[p.i] == '{' {
		return p.set()
	}
	text, end, err := p.text("{}")
	switch {
	case err != nil:
		return part{}, err
	case end == '}':
		return part{}, p.errorf(p.i, `"}" closes nothing; write \} for the character itself`)
	}
	return part{text: encodeText(text)}, nil
}

// text reads up to one of the stop bytes, which it leaves unread and returns,
// or to the end of the template (0), with backslashes resolved.
func (p *parser) text(stop string) (string, byte, error) {
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		if strings.IndexByte(stop, c) >= 0 {
			return b.String(), c, nil
		}
		start := p.i
		if c == '\\' {
			p.i++
			if p.i == len(p.s) {
				return "", 0, p.errorf(start, "a backslash at the end")
			}
		}
		r, size := utf8.DecodeRuneInString(p.s[p.i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return "", 0, p.errorf(start, "not UTF-8")
		case r < ' ' || r == 0x7f:
			return "", 0, p.errorf(start, "a control character")
		case r == '#' && c != '\\':
			return "", 0, p.errorf(start, `a fragment ("#…") is never sent to a server; write \# for the character itself`)
		}
		b.WriteString(p.s[p.i : p.i+size])
		p.i += size
	}
	return b.String(), 0, nil
}

// set reads {…}.
func (p *parser) set() (part, error) {
	open := p.i
	p.i++
	var out part
	for first := true; ; first = false {
		start := p.i
		text, end, err := p.text("{},")
		switch {
		case err != nil:
			return part{}, err
		case end == 0:
			return part{}, p.errorf(open, `"{" is never closed; write \{ for the character itself`)
		case end == '{':
			return part{}, p.errorf(p.i, "braces inside braces are not supported")
		}
		p.i++
		raw := p.s[start : p.i-1]
		if first && end == '}' && !strings.Contains(raw, "..") {
			return p.parameter(open, raw)
		}
		v, err := p.value(start, raw, text)
		if err != nil {
			return part{}, err
		}
		if first && end == '}' && v.step == 0 {
			return part{}, p.errorf(open, "{%s} is not a range of whole numbers such as {1..9}", raw)
		}
		out.add(v)
		if end == '}' {
			return out, nil
		}
	}
}

func (p *part) add(v value) {
	last := int64(0)
	if n := len(p.ends); n > 0 {
		last = p.ends[n-1]
	}
	p.values = append(p.values, v)
	p.ends = append(p.ends, last+v.count)
}

// value makes one entry of a list in braces.
func (p *parser) value(at int, raw, text string) (value, error) {
	v, isRange, problem := parseRange(raw)
	switch {
	case problem != "":
		return value{}, p.errorf(at, "%s", problem)
	case isRange:
		return v, nil
	}
	return value{text: encodeText(text), count: 1}, nil
}

// parameter makes the set of a name in braces.
func (p *parser) parameter(open int, name string) (part, error) {
	texts, known := p.params[name]
	switch {
	case name == "":
		return part{}, p.errorf(open, "empty braces")
	case !known && p.params == nil:
		return part{}, p.errorf(open, "{%s} is neither a list {a,b} nor a range {1..9}", name)
	case !known:
		return part{}, p.errorf(open, "{%s} is neither a list {a,b} nor a range {1..9} nor a parameter", name)
	case len(texts) == 0:
		return part{}, p.errorf(open, "parameter %q has no values", name)
	}
	p.used[name] = true
	out := part{name: name}
	for _, text := range texts {
		v, isRange, problem := parseRange(text)
		switch {
		case problem != "":
			return part{}, p.errorf(open, "parameter %q: %s", name, problem)
		case !utf8.ValidString(text):
			return part{}, p.errorf(open, "parameter %q: not UTF-8", name)
		case !isRange:
			v = value{text: encodeData(text), count: 1}
		}
		out.add(v)
	}
	return out, nil
}

// parseRange reads FROM..TO or FROM..TO..STEP. A text with ".." that is
// anything else is no range, and no fault either if it has no digit around
// the dots: "../x" is a text.
func parseRange(s string) (v value, isRange bool, problem string) {
	fields := strings.Split(s, "..")
	if len(fields) < 2 || len(fields) > 3 || !startsNumber(fields[0]) {
		return value{}, false, ""
	}
	var n [3]int64
	n[2] = 1
	for i, f := range fields {
		x, err := strconv.ParseInt(f, 10, 64)
		if err != nil || strings.HasPrefix(f, "+") {
			return value{}, false, fmt.Sprintf("range {%s}: %q is not a whole number", s, f)
		}
		if x > maxRangeValue || x < -maxRangeValue {
			return value{}, false, fmt.Sprintf("range {%s}: %s is too large", s, f)
		}
		n[i] = x
	}
	from, to, step := n[0], n[1], n[2]
	if step < 0 {
		step = -step
	}
	if step == 0 {
		return value{}, false, fmt.Sprintf("range {%s}: the step is 0", s)
	}
	distance := to - from
	if distance < 0 {
		distance = -distance
	}
	v = value{from: from, step: step, count: distance/step + 1}
	if to < from {
		v.step = -step
	}
	if padded(fields[0]) || padded(fields[1]) {
		v.width = max(len(fields[0]), len(fields[1]))
	}
	return v, true, ""
}

func startsNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && '0' <= s[0] && s[0] <= '9'
}

func padded(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return len(s) > 1 && s[0] == '0'
}
