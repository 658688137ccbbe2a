package campaign

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/furima/furima/client"
)

const (
	// maxBatchBytes keeps a request well below what a gateway reads.
	maxBatchBytes = 1 << 20
	// maxBatchLines bounds a batch that holds next to nothing, so that the place
	// to go on from moves through long stretches of bad or blank lines.
	maxBatchLines = 20_000
	// maxBatchKinds is how many different platforms, priorities and times the
	// gateway takes in one request.
	maxBatchKinds = 32
	// maxBatchTexts bounds the texts in one request.
	maxBatchTexts = 1000
)

// batch is what goes out in one request: some lines that follow each other.
type batch struct {
	seq   int64
	app   string
	start int64    // offset, with the campaign's id what the request is known by
	end   position // after the last line
	lines int64    // lines that are not blank
	bad   int64    // of these
	first int64    // number of the first line in it
	parts []part
	units int // notifications, one a token
}

// part is a text and whom it goes to.
type part struct {
	text   client.Notification
	shared bool // the text is the campaign's
	tokens []string
	lines  []int64 // where each token comes from, or the audience
}

func (p *part) units() int { return len(p.lines) }

// kind is what the gateway keeps apart.
type kind struct {
	platform client.Platform
	priority client.Priority
	sendAt   int64
}

// batcher cuts the input into batches. Where it cuts follows from the input and
// the limit alone.
type batcher struct {
	in     *input
	parser *parser
	limit  int // of units
	seq    int64
	bad    func(BadLine) error // called for every bad line; an error ends the batches

	byKey map[string]int // of the batch in the making: key → part
	kinds map[kind]bool
	bytes int
}

func newBatcher(in *input, p *parser, limit int, bad func(BadLine) error) *batcher {
	return &batcher{in: in, parser: p, limit: limit, bad: bad, byKey: make(map[string]int), kinds: make(map[kind]bool)}
}

// next returns the next batch, which may be without anything to send. The error
// is io.EOF after the last one. With an error of bad, the batch is what comes
// before the line.
func (br *batcher) next() (*batch, error) {
	b := &batch{seq: br.seq, start: br.in.offset, first: br.in.line + 1}
	br.seq++
	clear(br.byKey)
	clear(br.kinds)
	br.bytes = 0
	var err error
	for from := br.in.line; br.in.line-from < maxBatchLines; {
		var full bool
		if full, err = br.line(b); full || err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) && br.in.offset > b.start {
		err = nil
	}
	b.end = br.in.position()
	return b, err
}

// line puts the next line into the batch, unless it does not fit.
func (br *batcher) line(b *batch) (full bool, err error) {
	content, tooLong, err := br.in.peek()
	if err != nil {
		return false, err
	}
	if len(content) == 0 && !tooLong {
		br.in.take()
		return false, nil
	}
	var it item
	var fault error = lineError(fmt.Sprintf("is longer than %d bytes", maxLineBytes))
	if !tooLong {
		it, fault = br.parser.parse(content)
	}
	if fault != nil {
		if err := br.bad(BadLine{Line: br.in.line + 1, Reason: fault.Error()}); err != nil {
			return false, err
		}
		br.in.take()
		b.lines++
		b.bad++
		return false, nil
	}
	if !br.fits(b, &it, len(content)) {
		return true, nil
	}
	br.add(b, it, len(content))
	return b.units >= br.limit, nil
}

func (br *batcher) fits(b *batch, it *item, size int) bool {
	if b.units == 0 {
		return true
	}
	_, known := br.byKey[it.key]
	switch {
	case it.app != b.app,
		b.units+it.units() > br.limit,
		br.bytes+size > maxBatchBytes,
		!known && len(b.parts) >= maxBatchTexts,
		!known && len(br.kinds) >= maxBatchKinds && !br.kinds[kindOf(it)]:
		return false
	}
	return true
}

func kindOf(it *item) kind {
	k := kind{platform: it.text.Platform, priority: it.text.Priority}
	if !it.text.SendAt.IsZero() {
		k.sendAt = it.text.SendAt.UnixMicro()
	}
	return k
}

func (br *batcher) add(b *batch, it item, size int) {
	n := br.in.take()
	b.lines++
	b.app = it.app
	i, known := br.byKey[it.key]
	if !known || len(it.tokens) == 0 { // an audience stands alone
		i = len(b.parts)
		b.parts = append(b.parts, part{text: it.text, shared: it.shared})
		br.byKey[it.key] = i
		br.kinds[kindOf(&it)] = true
		br.bytes += size
	}
	p := &b.parts[i]
	p.tokens = append(p.tokens, it.tokens...)
	for range it.units() {
		p.lines = append(p.lines, n)
	}
	for _, t := range it.tokens {
		br.bytes += len(t) + 4
	}
	b.units += it.units()
}

// span says which units of which part a notification of a request is.
type span struct{ part, from, to int }

// request is the batch as the gateway gets it.
func (b *batch) request() (client.PushRequest, []span) {
	req := client.PushRequest{App: b.app}
	var spans []span
	for i := range b.parts {
		p := &b.parts[i]
		for from := 0; from < p.units(); {
			to := min(from+client.MaxPushTokens, p.units())
			n := p.text
			if len(p.tokens) > 0 {
				n.Tokens = p.tokens[from:to]
			} else {
				to = from + 1
			}
			req.Notifications = append(req.Notifications, n)
			spans = append(spans, span{i, from, to})
			from = to
		}
	}
	return req, spans
}

// keyOf is the idempotency key of a request: the same for the same part of the
// same campaign, and another one if anything of it differs.
func keyOf(campaign string, b *batch, req client.PushRequest) (string, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("encode the request of lines %d to %d: %w", b.first, b.end.Line, err)
	}
	h := sha256.New()
	h.Write([]byte(campaign))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(b.start)))
	h.Write(body)
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:20])), nil
}

// split cuts the batch into two that together are the same. They have the
// places of the whole.
func (b *batch) split() (*batch, *batch) {
	head, tail := *b, *b
	head.parts, tail.parts = nil, nil
	head.units = (b.units + 1) / 2
	tail.units = b.units - head.units
	left := head.units
	for _, p := range b.parts {
		n := min(left, p.units())
		left -= n
		if n > 0 {
			head.parts = append(head.parts, p.slice(0, n))
		}
		if n < p.units() {
			tail.parts = append(tail.parts, p.slice(n, p.units()))
		}
	}
	return &head, &tail
}

func (p *part) slice(from, to int) part {
	out := part{text: p.text, shared: p.shared, lines: p.lines[from:to]}
	if len(p.tokens) > 0 {
		out.tokens = p.tokens[from:to]
	}
	return out
}

// refusal is what a gateway finds wrong, by line.
type refusal struct {
	lines  []BadLine
	shared bool // the campaign's own text is what is wrong
}

// drop takes out what the gateway finds wrong and returns the lines of it. ok is
// false if a fault is none of the batch's.
func (b *batch) drop(faults []client.FieldError, spans []span) (r refusal, ok bool) {
	type unit struct{ part, i int }
	drop := map[unit]bool{}
	for _, f := range faults {
		n, rest, found := notificationAt(f.Pointer)
		if !found || n >= len(spans) {
			return refusal{}, false
		}
		s := spans[n]
		from, to := s.from, s.to
		if j, isToken := tokenAt(rest); isToken {
			if j >= to-from {
				return refusal{}, false
			}
			from, to = from+j, from+j+1
			rest = "token"
		} else if b.parts[s.part].shared && rest != "/platform" { // that is a line's own
			r.shared = true
		}
		reason := strings.TrimSpace(strings.TrimPrefix(rest, "/") + " " + f.Message)
		for i := from; i < to; i++ {
			if u := (unit{s.part, i}); !drop[u] {
				drop[u] = true
				r.add(b.parts[s.part].lines[i], reason)
			}
		}
	}
	if len(drop) == 0 {
		return refusal{}, false
	}
	for i := range b.parts {
		p := &b.parts[i]
		kept := part{text: p.text, shared: p.shared}
		for j := range p.lines {
			if drop[unit{i, j}] {
				b.units--
				continue
			}
			kept.lines = append(kept.lines, p.lines[j])
			if len(p.tokens) > 0 {
				kept.tokens = append(kept.tokens, p.tokens[j])
			}
		}
		*p = kept
	}
	b.parts = slices.DeleteFunc(b.parts, func(p part) bool { return p.units() == 0 })
	return r, true
}

// add notes a line, once for lines with several tokens.
func (r *refusal) add(line int64, reason string) {
	if n := len(r.lines); n > 0 && r.lines[n-1] == (BadLine{line, reason}) {
		return
	}
	r.lines = append(r.lines, BadLine{line, reason})
}

// notificationAt reads "/notifications/3/rest".
func notificationAt(pointer string) (n int, rest string, ok bool) {
	rest, ok = strings.CutPrefix(pointer, "/notifications/")
	if !ok {
		return 0, "", false
	}
	digits, rest, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 {
		return 0, "", false
	}
	if rest != "" {
		rest = "/" + rest
	}
	return n, rest, true
}

// tokenAt reads "/tokens/3".
func tokenAt(pointer string) (int, bool) {
	digits, ok := strings.CutPrefix(pointer, "/tokens/")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0
}
