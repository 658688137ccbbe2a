package push

import (
	"fmt"
	"testing"
	"time"
)

func wrongTokens(from, n int) []heldResult {
	held := make([]heldResult, n)
	for i := range held {
		held[i] = heldResult{token: fmt.Sprint(from + i), result: Result{Outcome: Unregistered, Reason: "BadDeviceToken"}}
	}
	return held
}

func TestTrust(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		sent, final int // of a batch
		wrong       []heldResult
		after       time.Duration // since the step before
		want        bool
	}
	for name, steps := range map[string][]step{
		"one by one":                {{wrong: wrongTokens(0, 49)}, {wrong: wrongTokens(49, 1), want: true}, {wrong: wrongTokens(50, 1), want: true}},
		"the same over and over":    {{wrong: wrongTokens(0, 40)}, {wrong: wrongTokens(0, 40)}, {wrong: wrongTokens(0, 40)}},
		"one sent in between":       {{wrong: wrongTokens(0, 49)}, {sent: 1, final: 1}, {wrong: wrongTokens(49, 49)}, {wrong: wrongTokens(98, 1), want: true}},
		"one sent beside them":      {{sent: 1, final: 1, wrong: wrongTokens(0, 500)}},
		"other answers":             {{final: 10}, {wrong: wrongTokens(0, 60)}, {wrong: wrongTokens(60, 40), want: true}},
		"unfounded":                 {{wrong: wrongTokens(0, 100), want: true}, {sent: 1, final: 1}, {wrong: wrongTokens(0, 199)}, {wrong: wrongTokens(199, 1), want: true}},
		"unfounded, long ago":       {{wrong: wrongTokens(0, 100), want: true}, {sent: 1, final: 1}, {after: 11 * time.Minute, wrong: wrongTokens(0, 50), want: true}},
		"unfounded, by a mad clock": {{wrong: wrongTokens(0, 100), want: true}, {sent: 1, final: 1}, {after: -time.Hour, wrong: wrongTokens(0, 50), want: true}},
		"very many":                 {{wrong: wrongTokens(0, 2*maxWrong), want: true}, {sent: 1, final: 1}, {wrong: wrongTokens(0, maxWrong-1)}, {wrong: wrongTokens(maxWrong, 1), want: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, at := newTrust(), now
			for i, s := range steps {
				at = at.Add(s.after)
				if got := tr.weigh(batchTally{sent: s.sent, final: s.final}, s.wrong, at); got != s.want || tr.suspected() != s.want {
					t.Errorf("step %d: suspicious %v (lane %v), want %v", i, got, tr.suspected(), s.want)
				}
			}
			tr.reset()
			if tr.weigh(batchTally{}, wrongTokens(0, 49), at) {
				t.Error("new credentials, and still suspect")
			}
		})
	}
}

// What comes back from credentials that were replaced in the meantime says
// nothing about tokens.
func TestAnswersToOldCredentialsAreNotFinal(t *testing.T) {
	t.Parallel()
	env := &envelope{app: "market", platform: APNS, parts: []part{{expires: time.Now().Add(time.Hour), tokens: []string{"a", "b"}}}}
	b := newBreaker(time.Second, time.Second)
	d := newDelivery(env, newProgress(2))
	d.pump = &pump{ended: make(chan struct{}, 1)}
	f := &flight{pass: mustEnter(t, b)}
	if d.fill(f, 2, time.Now()); len(f.msgs) != 2 {
		t.Fatal("there is nothing to send")
	}
	f.note(0, Result{Outcome: Unregistered, Reason: "BadDeviceToken"})
	f.note(1, Result{Outcome: Unregistered, Reason: "Unregistered"})
	b.reset()
	f.again(f.conclude(newTrust(), b.isStale(f.pass), time.Now()), "", false)
	if d.prog.left() != 1 || len(d.dead) != 1 || d.dead[0].token != "b" || d.roundOver() {
		t.Errorf("%d left, dead %v, over %v", d.prog.left(), d.dead, d.roundOver())
	}
	f = &flight{pass: mustEnter(t, b)}
	if d.fill(f, 2, time.Now()); len(f.msgs) != 1 || f.msgs[0].Token != "a" {
		t.Errorf("to send again: %v", f.msgs)
	}
	f.note(0, Result{Outcome: Sent})
	f.again(f.conclude(newTrust(), b.isStale(f.pass), time.Now()), "", false)
	if d.prog.left() != 0 || len(d.dead) != 1 || !d.roundOver() {
		t.Errorf("%d left, dead %v", d.prog.left(), d.dead)
	}
}
