package push

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listener is an Observer that remembers.
type listener struct {
	mu    sync.Mutex
	heard []Ended
}

func (l *listener) Ended(e Ended) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, e)
}

// A note comes back from the store, and is nothing that a sender would send.
func TestNoteSurvivesTheStore(t *testing.T) {
	t.Parallel()
	want := anEnvelope()
	want.parts[0].note, want.parts[1].note = "first \x00\xff note", "second"
	got, err := decodeEnvelope(want.encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compareEnvelopes); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
	if !got.hasNotes() || anEnvelope().hasNotes() {
		t.Error("which envelope has notes is not known")
	}
}

// Every way in which a message ends is heard once, if it has a note.
func TestObserver(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	late := now.Add(time.Hour)
	env := &envelope{base: newBase(), app: "market", platform: APNS, created: now, due: now, parts: []part{
		{first: 0, expires: late, note: "a", tokens: []string{"t0", "t1", "t2"}},
		{first: 3, expires: late, tokens: []string{"silent"}},
		{first: 7, expires: now, note: "old", tokens: []string{"t7"}},
		{first: 8, expires: late, note: "b", tokens: []string{"t8", "t9"}},
	}}
	l := &listener{}
	d := newDelivery(env, newProgress(env.total()))
	d.observer = l
	f := &flight{}
	d.fill(f, 100, now)
	if len(f.msgs) != 6 {
		t.Fatalf("%d messages to send", len(f.msgs))
	}
	for i, r := range map[int]Result{
		0: {Outcome: Sent, Took: time.Second},
		1: {Outcome: Unregistered, Reason: "Unregistered", Took: 2 * time.Second},
		2: {Outcome: Rejected, Reason: "BadTopic", Took: 3 * time.Second},
		3: {Outcome: Sent, Took: time.Second},
		4: {Outcome: Retry, Reason: "ServiceUnavailable"},
	} {
		d.settle(int(f.of[i].n), f.msgs[i].Token, r)
		d.settle(int(f.of[i].n), f.msgs[i].Token, r) // an answer that comes twice counts once
	}
	d.abandon()
	at := func(place uint32, token, note, reason string, took time.Duration) Ended {
		return Ended{App: "market", Platform: APNS, Token: token, Note: note, Place: place, Reason: reason, Took: took}
	}
	want := map[uint32]Ended{
		0: at(0, "t0", "a", "", time.Second),
		1: at(1, "t1", "a", "Unregistered", 2*time.Second),
		2: at(2, "t2", "a", "BadTopic", 3*time.Second),
		7: at(7, "t7", "old", "Expired", 0),
		8: at(8, "t8", "b", "cancelled", 0),
		9: at(9, "t9", "b", "cancelled", 0),
	}
	got := make(map[uint32]Ended)
	for _, e := range l.heard {
		if _, twice := got[e.Place]; twice {
			t.Errorf("heard twice of %d", e.Place)
		}
		got[e.Place] = e
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}
