package push

import "time"

// Observer is told what becomes of messages, one by one. It hears only of
// notifications that were accepted with a note (Request.Notes), and costs
// nothing for the others.
//
// Its method is called from several goroutines at once and must be quick: what
// is sent waits for it. After a crash a message may be told of twice, as it may
// be sent twice. It does not hear of requests that were cancelled while they
// waited in the queue.
type Observer interface {
	// Ended says that a message has ended, one way or another. It may be called
	// before the Accept that took the message has returned.
	Ended(e Ended)
}

// Ended is a message that has ended.
type Ended struct {
	App      string
	Platform Platform
	Token    string
	// Note is what the notification was accepted with.
	Note string
	// Place is the message's among all messages of its request, from 0, counted
	// without the notifications that were rejected.
	Place uint32
	// Reason is why it was not sent: the provider's word, "cancelled", or why it
	// expired. Empty when it was sent.
	Reason string
	// Took is how long the provider took to answer, 0 if it was not asked.
	Took time.Duration
}

// observe tells the observer that message n has ended, if its notification
// carries a note. d.mu is held.
func (d *delivery) observe(n int, s state, reason string, took time.Duration) {
	p, i := d.env.locate(n)
	if p.note == "" {
		return
	}
	switch {
	case s == sent:
		reason = ""
	case reason == "":
		reason = stateNames[s]
	}
	d.observer.Ended(Ended{
		App: d.env.app, Platform: d.env.platform, Token: p.tokens[i],
		Note: p.note, Place: p.first + uint32(i), Reason: reason, Took: took,
	})
}

// hasNotes reports whether any notification of the envelope carries a note.
func (e *envelope) hasNotes() bool {
	for i := range e.parts {
		if e.parts[i].note != "" {
			return true
		}
	}
	return false
}

// locate returns the part that message n is in, and its place there.
func (e *envelope) locate(n int) (*part, int) {
	for i := range e.parts {
		p := &e.parts[i]
		if n < len(p.tokens) {
			return p, n
		}
		n -= len(p.tokens)
	}
	panic("push: no such message in the envelope")
}
