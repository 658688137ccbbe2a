package push

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func anEnvelope() *envelope {
	created := time.Date(2026, 3, 1, 12, 0, 0, 123_000, time.UTC)
	return &envelope{
		base: newBase(), app: "market", platform: APNS, created: created, due: created.Add(time.Hour),
		parts: []part{
			{
				first: 0, expires: created.Truncate(time.Second).Add(24 * time.Hour),
				rendered: Rendered{Header: []Header{{"apns-topic", "com.example"}, {"apns-priority", "10"}}, Payload: []byte(`{"aps":{}}`)},
				tokens:   []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)},
			},
			{first: 2, expires: created.Truncate(time.Second), rendered: Rendered{Header: []Header{}, Payload: []byte("x")}, tokens: []string{"00"}},
			{first: 3, expires: created.Truncate(time.Second), rendered: Rendered{Header: []Header{}, Payload: []byte("y")}, tokens: []string{"AB", "odd", `{"endpoint":"https://push.example/é"}`, "", "0f"}},
		},
	}
}

var compareEnvelopes = cmp.AllowUnexported(envelope{}, part{})

func TestEnvelopeReturnsWhatWentIn(t *testing.T) {
	t.Parallel()
	want := anEnvelope()
	got, err := decodeEnvelope(want.encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compareEnvelopes); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
	if got.total() != 8 {
		t.Errorf("total %d", got.total())
	}
}

func TestEnvelopeDamaged(t *testing.T) {
	t.Parallel()
	raw := anEnvelope().encode()
	for n := range raw {
		if _, err := decodeEnvelope(raw[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for an envelope", n, len(raw))
		}
	}
	if _, err := decodeEnvelope(append(bytes.Clone(raw), 0)); err == nil {
		t.Error("a byte too many is no error")
	}
	raw[0] = 9
	if _, err := decodeEnvelope(raw); err == nil {
		t.Error("another version is no error")
	}
}

func FuzzEnvelope(f *testing.F) {
	raw := anEnvelope().encode()
	f.Add(raw)
	f.Add(raw[:20])
	f.Add([]byte{envelopeVersion, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := decodeEnvelope(raw)
		if err != nil {
			return
		}
		again, err := decodeEnvelope(e.encode())
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(e, again, compareEnvelopes); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMessageIDsAreUUIDs(t *testing.T) {
	t.Parallel()
	base := newBase()
	seen := make(map[string]bool)
	for _, place := range []uint32{0, 1, 255, 256, 1 << 20, 1<<32 - 1} {
		s := base.at(place).String()
		u, err := uuid.Parse(s)
		if err != nil || u.String() != s {
			t.Fatalf("%q: %v", s, err)
		}
		if u.Version() != 8 || u.Variant() != uuid.RFC4122 {
			t.Errorf("%s: version %d, variant %s", s, u.Version(), u.Variant())
		}
		if seen[s] {
			t.Errorf("%s is there twice", s)
		}
		seen[s] = true
	}
	if base.at(7) == newBase().at(7) {
		t.Error("two requests have the same ids")
	}
}

func TestProgressReturnsWhatWentIn(t *testing.T) {
	t.Parallel()
	for _, total := range []int{1, 63, 64, 65, 1000} {
		for name, pick := range map[string]func(i int) bool{
			"none":   func(int) bool { return false },
			"all":    func(int) bool { return true },
			"odd":    func(i int) bool { return i%2 == 1 },
			"even":   func(i int) bool { return i%2 == 0 },
			"middle": func(i int) bool { return i > total/3 && i < total/2 },
		} {
			p := newProgress(total)
			p.round, p.last = 3, "ServiceUnavailable"
			for i := range total {
				if pick(i) {
					p.end(i, state(1+i%int(states-1)), []string{"", "BadTopic", "Unregistered"}[i%3])
				}
			}
			got, err := decodeProgress(p.encode(), total)
			if err != nil {
				t.Fatalf("%d %s: %v", total, name, err)
			}
			if diff := cmp.Diff(p, got, cmp.AllowUnexported(progress{}, tally{})); diff != "" {
				t.Errorf("%d %s (-want +got):\n%s", total, name, diff)
			}
			if _, err := decodeProgress(p.encode(), total+1); err == nil {
				t.Errorf("%d %s: taken for one of another envelope", total, name)
			}
		}
	}
}

func TestProgressCountsAMessageOnce(t *testing.T) {
	t.Parallel()
	p := newProgress(2)
	if !p.end(1, sent, "") || p.end(1, rejected, "BadTopic") {
		t.Error("the first end is the one that counts")
	}
	if p.left() != 1 || p.counts.byState[sent] != 1 || p.counts.byState[rejected] != 0 {
		t.Errorf("counts %+v", p.counts)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	p := newProgress(200)
	for i := range 200 {
		p.end(i, rejected, fmt.Sprint("reason ", i))
	}
	if n := len(p.counts.reasons); n > maxReasons+1 {
		t.Errorf("%d reasons", n)
	}
	if p.counts.reasons["Other"] != 200-maxReasons {
		t.Errorf("other: %d", p.counts.reasons["Other"])
	}
}

func FuzzProgress(f *testing.F) {
	p := newProgress(100)
	for i := range 50 {
		p.end(i*2, sent, "")
	}
	f.Add(p.encode(), 100)
	f.Add(newProgress(3).encode(), 3)
	f.Add([]byte{progressVersion, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 3)
	f.Fuzz(func(t *testing.T, raw []byte, total int) {
		if total < 0 || total > 1<<16 {
			return
		}
		p, err := decodeProgress(raw, total)
		if err != nil {
			return
		}
		if left := p.left(); left < 0 || left > total {
			t.Errorf("%d of %d are left", left, total)
		}
		again, err := decodeProgress(p.encode(), total)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(p, again, cmp.AllowUnexported(progress{}, tally{})); diff != "" {
			t.Error(diff)
		}
	})
}
