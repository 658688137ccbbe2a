package push

import (
	"hash/maphash"
	"sync"
	"time"
)

// A provider says of a token that it is not one of the app's, or not of this
// environment. Of one token that is the token's fault. Of every token it is the
// app's: a wrong topic, the sandbox instead of production, another project. Then
// nobody must remove his tokens. So such an answer is not final before the batch
// that it came with has ended, and then only if the lane is not suspect: as soon
// as suspectAt different tokens have been called wrong since a message was last
// sent, the lane is held up, its messages stay as they were, and a few different
// tokens at a time are tried. The first that is sent proves that the rest were
// single cases; twice as many are then needed for suspicion, for a while.

// suspectAt is how many tokens must be called wrong, with none sent in between.
const suspectAt = 50

// suspectShare is how large a part of the answers they must be, in percent.
const suspectShare = 90

// proofHolds is how long suspicion that was unfounded makes the next one harder.
const proofHolds = 10 * time.Minute

// blamesToken reports whether the reason may as well be a fault of the app.
func blamesToken(p Platform, reason string) bool {
	switch p {
	case APNS:
		return reason == "BadDeviceToken" || reason == "DeviceTokenNotForTopic"
	case FCM:
		return reason == "SENDER_ID_MISMATCH" || reason == "NOT_FOUND"
	}
	return false
}

// heldResult is an answer that is not final yet.
type heldResult struct {
	origin
	token  string
	result Result
}

// trust is what a lane's answers have shown since a message was last sent.
type trust struct {
	seed maphash.Seed

	mu      sync.Mutex // guards what follows
	wrong   map[uint64]struct{}
	answers int  // that ended messages otherwise
	suspect bool // until something is sent
	need    int  // wrong tokens that make suspect, if above suspectAt
	until   time.Time
}

func newTrust() *trust { return &trust{seed: maphash.MakeSeed()} }

// weigh takes account of a batch and reports whether its held results are not to
// be believed.
func (t *trust) weigh(b batchTally, held []heldResult, now time.Time) (suspicious bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.sent > 0 {
		if t.suspect {
			t.need, t.until = 2*len(t.wrong), now.Add(proofHolds)
		}
		t.wrong, t.answers, t.suspect = nil, 0, false
		return false
	}
	if len(held) == 0 {
		t.answers += b.final
		return false
	}
	need := suspectAt
	if now.Before(t.until) && t.until.Sub(now) <= proofHolds {
		need = max(need, t.need)
	}
	if t.wrong == nil {
		t.wrong = make(map[uint64]struct{})
	}
	for i := range held {
		if len(t.wrong) < maxWrong {
			t.wrong[maphash.String(t.seed, held[i].token)] = struct{}{}
		}
	}
	t.answers += b.final
	n := len(t.wrong)
	t.suspect = n >= min(need, maxWrong) && n*100 >= (n+t.answers)*suspectShare
	return t.suspect
}

// maxWrong bounds what is remembered of a lane.
const maxWrong = 20_000

// reset forgets everything: the credentials have changed.
func (t *trust) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong, t.answers, t.suspect, t.need, t.until = nil, 0, false, 0, time.Time{}
}

// bury notes that a token is dead. d.mu is held.
func (d *delivery) bury(n int, token string, r Result) {
	d.end(n, unregistered, r.Reason, r.Took)
	if !IsAudience(token) {
		d.dead = append(d.dead, deadToken{app: d.env.app, platform: d.env.platform, token: token, reason: r.Reason, since: r.Since})
		d.known.add(token, r.Reason)
	}
}

// suspected reports whether the lane is suspect.
func (t *trust) suspected() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.suspect
}
