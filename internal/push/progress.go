package push

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// state is where a message ends up, or that it still waits.
type state uint8

const (
	waiting state = iota
	sent
	unregistered
	rejected
	expired
	cancelled
	states // how many there are
)

var stateNames = [states]string{"waiting", "sent", "unregistered", "rejected", "expired", "cancelled"}

// tally counts messages by state, and those that were not sent by reason.
type tally struct {
	byState [states]int // waiting stays 0: it is what the others leave of the total
	reasons map[string]int
}

// maxReasons bounds the reasons of one request. Senders draw reasons from small
// closed sets; this only keeps a wrong sender from growing rows without end.
const maxReasons = 64

func (t *tally) add(s state, reason string) {
	t.byState[s]++
	if reason == "" {
		return
	}
	if t.reasons == nil {
		t.reasons = make(map[string]int)
	}
	if _, known := t.reasons[reason]; !known && len(t.reasons) >= maxReasons {
		reason = "Other"
	}
	t.reasons[reason]++
}

func (t *tally) merge(o tally) {
	for s, n := range o.byState {
		t.byState[s] += n
	}
	for reason, n := range o.reasons {
		if t.reasons == nil {
			t.reasons = make(map[string]int)
		}
		t.reasons[reason] += n
	}
}

// final returns how many messages have ended.
func (t *tally) final() int {
	n := 0
	for _, c := range t.byState {
		n += c
	}
	return n
}

func (t *tally) appendTo(b []byte) []byte {
	for _, n := range t.byState {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendUvarint(b, uint64(len(t.reasons)))
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		b = appendString(b, reason)
		b = binary.AppendUvarint(b, uint64(t.reasons[reason]))
	}
	return b
}

func (t *tally) read(r *reader) {
	for s := range t.byState {
		t.byState[s] = int(r.uvarint() & (1<<31 - 1))
	}
	for range r.count(2) {
		if t.reasons == nil {
			t.reasons = make(map[string]int)
		}
		reason := r.string()
		t.reasons[reason] = int(r.uvarint() & (1<<31 - 1))
	}
}

// progress is the checkpoint of a job: which of its messages have ended, and
// how. Messages are numbered through the envelope.
type progress struct {
	total  int
	round  int // attempts that left something to retry
	ended  []uint64
	counts tally
	last   string // why the last message that is to be retried was not sent
}

func newProgress(total int) *progress {
	return &progress{total: total, ended: make([]uint64, (total+63)/64)}
}

// done reports whether message i has ended.
func (p *progress) done(i int) bool { return p.ended[i/64]&(1<<(i%64)) != 0 }

// end notes that message i has ended. It does nothing for one that has.
func (p *progress) end(i int, s state, reason string) bool {
	if p.done(i) {
		return false
	}
	p.ended[i/64] |= 1 << (i % 64)
	p.counts.add(s, reason)
	return true
}

// left returns how many messages have not ended.
func (p *progress) left() int { return p.total - p.counts.final() }

const progressVersion = 1

// encode returns the progress as it is stored. The messages are a list of runs
// that ended and runs that did not, in turn.
func (p *progress) encode() []byte {
	b := []byte{progressVersion}
	b = binary.AppendUvarint(b, uint64(p.total))
	b = binary.AppendUvarint(b, uint64(p.round))
	b = appendString(b, p.last)
	b = p.counts.appendTo(b)
	for i, want := 0, true; i < p.total; want = !want {
		from := i
		for i < p.total && p.done(i) == want {
			i++
		}
		b = binary.AppendUvarint(b, uint64(i-from))
	}
	return b
}

// decodeProgress reads what encode wrote for an envelope of total messages; no
// progress at all is the start.
func decodeProgress(raw []byte, total int) (*progress, error) {
	p := newProgress(total)
	if len(raw) == 0 {
		return p, nil
	}
	r := reader{rest: string(raw)}
	version := r.bytes(1)
	if n := r.uvarint(); r.broken || version != string(rune(progressVersion)) || n != uint64(total) {
		return nil, fmt.Errorf("progress is not of these %d messages", total)
	}
	p.round = int(r.uvarint() & (1<<31 - 1))
	p.last = r.string()
	p.counts.read(&r)
	n := 0
	for i, ended := 0, true; i < total && !r.broken; ended = !ended {
		run := r.uvarint()
		if run > uint64(total-i) {
			r.broken = true
			break
		}
		for range run {
			if ended {
				p.ended[i/64] |= 1 << (i % 64)
				n++
			}
			i++
		}
	}
	if r.broken || r.rest != "" || n != p.counts.final() {
		return nil, fmt.Errorf("progress of %d messages is damaged", total)
	}
	return p, nil
}
