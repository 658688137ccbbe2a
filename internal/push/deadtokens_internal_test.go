package push

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

func TestDeadTokensAreBoundedAndExpire(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(deadTable{}); size > 16<<20 {
		t.Errorf("the table takes %d bytes", size)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newDeadTokens(func() time.Time { return now }, 24*time.Hour)
	apple, google := c.lane("market", APNS), c.lane("market", FCM)
	const n = deadSets * deadWays * 5 / 4
	if v := apple.view(); v.reason("0") != "" || c.table.Load() != nil {
		t.Error("an empty cache knows a token, or takes memory")
	}
	v := apple.view()
	for i := range n {
		v.add(fmt.Sprint(i), "Unregistered")
	}
	if got := c.entries.Load(); got > deadSets*deadWays || got < deadSets*deadWays*8/10 {
		t.Errorf("%d entries in %d places", got, deadSets*deadWays)
	}
	known := 0
	for i := n - 100_000; i < n; i++ {
		if v.reason(fmt.Sprint(i)) == "Unregistered" {
			known++
		}
	}
	if known < 90_000 { // of two in the same minute the older one need not go
		t.Errorf("of the last 100000 %d are known", known)
	}
	if v.hits != known {
		t.Errorf("%d hits counted of %d", v.hits, known)
	}
	last := fmt.Sprint(n - 1)
	for name, l := range map[string]*deadLane{"another provider": google, "another app": c.lane("other", APNS)} {
		if v := l.view(); v.reason(last) != "" {
			t.Errorf("%s knows the token", name)
		}
	}
	v.add("expired", "ExpiredToken")
	if got := v.reason("expired"); got != "ExpiredToken" {
		t.Errorf("the reason is %q", got)
	}
	for _, step := range []struct {
		at   time.Duration
		want bool
	}{{-time.Hour, true}, {23 * time.Hour, true}, {25 * time.Hour, false}, {-25 * time.Hour, false}} {
		at := now.Add(step.at)
		c.now = func() time.Time { return at }
		if v := apple.view(); (v.reason("expired") != "") != step.want {
			t.Errorf("after %v: known %v", step.at, !step.want)
		}
	}
	c.now = func() time.Time { return now }
	apple.forget()
	if v := apple.view(); v.reason("expired") != "" {
		t.Error("other credentials, and the token still is dead")
	}
	c.setKeep(-1)
	off := google.view()
	off.add("x", "Unregistered")
	if off.reason("x") != "" {
		t.Error("a cache that is off knows a token")
	}
}

// The oldest of a set makes room.
func TestDeadTokensKeepTheYoungest(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newDeadTokens(func() time.Time { return now }, 24*time.Hour)
	l := c.lane("market", APNS)
	l.add("old", "Unregistered", c.minute(now.Add(-time.Hour)))
	set := l.hash("old") % deadSets
	var young []string
	for i := 0; len(young) < deadWays; i++ {
		if s := fmt.Sprint("young ", i); l.hash(s)%deadSets == set {
			young = append(young, s)
			l.add(s, "Unregistered", c.minute(now))
		}
	}
	v := l.view()
	if v.reason("old") != "" {
		t.Error("the oldest is still known")
	}
	for _, s := range young {
		if v.reason(s) == "" {
			t.Errorf("%s is not known", s)
		}
	}
}

func BenchmarkDeadTokenMiss(b *testing.B) {
	c := newDeadTokens(time.Now, 24*time.Hour)
	l := c.lane("market", APNS)
	tokens := make([]string, 4096)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("%064x", i)
		l.add(fmt.Sprintf("f%063x", i), "Unregistered", c.minute(time.Now()))
	}
	v := l.view()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if v.reason(tokens[i%len(tokens)]) != "" {
			b.Fatal("a token that is not dead")
		}
		i++
	}
}
