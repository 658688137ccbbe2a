package push_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

var ignoreOrigin = cmpopts.IgnoreFields(client.PushStatus{}, "ID", "App", "CreatedAt")

func TestEachTokenGetsItOnce(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		var ns []client.Notification
		for i := range 10 {
			ns = append(ns, client.Notification{Platform: client.APNS, Tokens: tokens(i*100, 100), Title: fmt.Sprint("no. ", i), Data: map[string]string{"n": fmt.Sprint(i)}})
		}
		started := time.Now()
		id := r.send(ns...)
		st := r.ended(id)
		if diff := cmp.Diff(client.PushStatus{Total: 1000, Sent: 1000}, st, ignoreOrigin); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if st.ID != id || st.App != "market" || st.CreatedAt.Before(started.Add(-time.Second)) || st.CreatedAt.After(time.Now()) {
			t.Errorf("status %+v", st)
		}
		if total, repeated := r.phones.Received(); total != 1000 || repeated != 0 {
			t.Errorf("received %d, repeated %d", total, repeated)
		}
		got := map[string]string{}
		for _, d := range r.phones.Deliveries(0, 0) {
			got[d.Token] = d.Title
		}
		for i := range 1000 {
			if want := fmt.Sprint("no. ", i/100); got[token(i)] != want {
				t.Fatalf("token %d got %q, want %q", i, got[token(i)], want)
			}
		}
		r.idle()
	})
}

// idle waits until there is nothing left to do.
func (r *rig) idle() {
	r.t.Helper()
	var stats []job.Stat
	eventually(r.t, func() bool {
		var err error
		if stats, err = r.queue.Stats(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		return len(stats) == 0 && r.gw.Stats("").Backlog == 0 && r.gw.Stats("").InFlight == 0
	}, func() string { return fmt.Sprintf("%+v %+v", stats, r.gw.Stats("")) })
}

func TestRetriesWhatFailedAndNothingElse(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		for _, f := range []sandbox.Fault{
			{Token: token(1), Count: 3, Status: 503, Reason: "ServiceUnavailable"},
			{Token: token(2), Count: 2, Status: 500, Reason: "InternalServerError"},
			{Token: token(3), Count: 1, Status: 429, Reason: "TooManyRequests"},
		} {
			r.apple.Fail(f)
		}
		st := r.ended(r.send(sold(tokens(0, 50)...)))
		if diff := cmp.Diff(client.PushStatus{Total: 50, Sent: 50}, st, ignoreOrigin); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if total, repeated := r.phones.Received(); total != 50 || repeated != 0 {
			t.Errorf("received %d, repeated %d", total, repeated)
		}
		want := map[string]int64{"200": 50, "503 ServiceUnavailable": 3, "500 InternalServerError": 2, "429 TooManyRequests": 1}
		if diff := cmp.Diff(want, r.apple.Answers()); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		r.idle()
	})
}

func TestARepeatedMessageHasTheSameID(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	r.apple.Fail(sandbox.Fault{Token: token(4), Count: 2, Status: 503, Reason: "ServiceUnavailable", Deliver: true})
	r.ended(r.send(sold(tokens(0, 10)...)))
	ids := map[string]map[string]int{}
	for _, d := range r.phones.Deliveries(0, 0) {
		if ids[d.Token] == nil {
			ids[d.Token] = map[string]int{}
		}
		ids[d.Token][d.APNSID]++
	}
	all := map[string]bool{}
	for tok, of := range ids {
		want := 1
		if tok == token(4) {
			want = 3
		}
		for id, n := range of {
			all[id] = true
			if len(of) != 1 || n != want {
				t.Errorf("token %s…: ids %v, want one, %d times", tok[60:], of, want)
			}
		}
	}
	if len(all) != 10 {
		t.Errorf("%d different ids for 10 messages", len(all))
	}
}

func TestDeadTokensGoToFeedback(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		gone := token(7)
		r.phones.Uninstall(gone)
		since := r.phones.Gone()[gone].UTC().Truncate(time.Millisecond)
		st := r.ended(r.send(sold(token(1), gone, sandbox.ForeignPrefix+token(2)), client.Notification{Platform: client.APNS, Tokens: []string{token(3), "not hex?"[:3]}, Title: "x", CollapseID: "c"}))
		want := client.PushStatus{Total: 5, Sent: 2, Unregistered: 3, Reasons: map[string]int{"Unregistered": 1, "BadDeviceToken": 2}}
		if diff := cmp.Diff(want, st, ignoreOrigin); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		r.idle() // and so everything is on record
		var got []client.DeadToken
		cursor := ""
		for {
			page, err := r.client.Feedback(t.Context(), cursor, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Tokens) == 0 {
				if page.NextCursor != cursor {
					t.Errorf("an empty page goes on at %q instead of %q", page.NextCursor, cursor)
				}
				break
			}
			got = append(got, page.Tokens...)
			cursor = page.NextCursor
		}
		wantDead := []client.DeadToken{
			{App: "market", Platform: client.APNS, Token: gone, Reason: "Unregistered", Time: since},
			{App: "market", Platform: client.APNS, Token: sandbox.ForeignPrefix + token(2), Reason: "BadDeviceToken"},
			{App: "market", Platform: client.APNS, Token: "not", Reason: "BadDeviceToken"},
		}
		for i := range got {
			if got[i].Reason == "BadDeviceToken" {
				if time.Since(got[i].Time) > time.Minute {
					t.Errorf("%s died at %v", got[i].Token, got[i].Time)
				}
				got[i].Time = time.Time{}
			}
		}
		byToken := cmpopts.SortSlices(func(a, b client.DeadToken) bool { return a.Token < b.Token })
		if diff := cmp.Diff(wantDead, got, byToken); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
		// What dies later comes after the cursor.
		r.ended(r.send(sold(sandbox.DeadPrefix + token(9))))
		r.idle()
		page, err := r.client.Feedback(t.Context(), cursor, 0)
		if err != nil || len(page.Tokens) != 1 || page.Tokens[0].Token != sandbox.DeadPrefix+token(9) {
			t.Errorf("after the cursor: %+v, %v", page, err)
		}
		if strings.Contains(r.logs.String(), gone) {
			t.Error("the log has a device token in it")
		}
	})
}

func TestRejectedIsFinal(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	r.apple.Fail(sandbox.Fault{Token: token(1), Count: -1, Status: 400, Reason: "BadTopic"})
	st := r.ended(r.send(sold(tokens(0, 3)...)))
	want := client.PushStatus{Total: 3, Sent: 2, Rejected: 1, Reasons: map[string]int{"BadTopic": 1}}
	if diff := cmp.Diff(want, st, ignoreOrigin); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if n := r.apple.Answers()["400 BadTopic"]; n != 1 {
		t.Errorf("tried %d times", n)
	}
}

func TestRefusedAppKeepsItsBacklogAndDelaysNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) {
		other := c.Apps[0]
		other.Name = "other"
		other.APNS.KeyID = "REVOKEDKEY"
		c.Apps = append(c.Apps, other)
		c.Workers = 2
	})
	var waiting []string
	for i := range 5 {
		accepted, err := r.client.Send(t.Context(), client.PushRequest{App: "other", Notifications: []client.Notification{sold(tokens(1000+100*i, 100)...)}})
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, accepted.ID)
	}
	r.logged("level=ERROR", "refuses the app", "app=other", "reason=InvalidProviderToken")
	r.ended(r.send(sold(tokens(0, 100)...)))
	for _, id := range waiting {
		if st := r.status(id); st.Waiting != 100 || st.App != "other" {
			t.Errorf("of the refused app: %+v", st)
		}
	}
	// With a key that is good the backlog is delivered.
	r.stop()
	r.cfg.Apps[1].APNS.KeyID = sandbox.KeyID
	r.start()
	for _, id := range waiting {
		if st := r.ended(id); st.Sent != 100 {
			t.Errorf("after the key was mended: %+v", st)
		}
	}
	if total, repeated := r.phones.Received(); total != 600 || repeated != 0 {
		t.Errorf("received %d, repeated %d", total, repeated)
	}
}

func TestRefusalEndsByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	r.apple.Fail(sandbox.Fault{Count: -1, Status: 403, Reason: "InvalidProviderToken"})
	id := r.send(sold(tokens(0, 200)...))
	r.logged("level=ERROR", "refuses the app", "app=market")
	asked := r.apple.Answers()["403 InvalidProviderToken"]
	r.apple.Recover()
	if st := r.ended(id); st.Sent != 200 {
		t.Errorf("status %+v", st)
	}
	r.logged("sending goes on")
	// One message at a time asks whether things are well again.
	if asked > 200+20 {
		t.Errorf("a provider that refuses was asked %d times for 200 messages", asked)
	}
}

func TestProviderThatIsAway(t *testing.T) {
	t.Parallel()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{})
	o := sandbox.AppleOptions{Dir: t.TempDir(), Phones: phones}
	away, err := sandbox.OpenApple(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Listen = away.Addr().String()
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) { c.Apps[0].APNS = credentials(away) })
	id := r.send(sold(tokens(0, 100)...))
	r.logged("level=WARN", "takes nothing", "app=market", "connection refused")
	startApple(t, o)
	if st := r.ended(id); st.Sent != 100 {
		t.Errorf("status %+v", st)
	}
	if total, repeated := phones.Received(); total != 100 || repeated != 0 {
		t.Errorf("received %d, repeated %d", total, repeated)
	}
}

func TestLargeRequestsBecomeSeveralJobs(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	var ns []client.Notification
	for i := range 12 {
		ns = append(ns, sold(tokens(i*1000, 1000)...))
	}
	r.apple.Fail(sandbox.Fault{Count: -1, Status: 403, Reason: "Forbidden"})
	id := r.send(ns...)
	eventually(t, func() bool {
		stats, err := r.queue.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var jobs int64
		for _, s := range stats {
			jobs += s.Count
		}
		return jobs >= 2
	}, r.logs.String)
	if st := r.status(id); st.Total != 12_000 || st.Waiting != 12_000 {
		t.Errorf("status %+v", st)
	}
	r.apple.Recover()
	if st := r.ended(id); st.Sent != 12_000 {
		t.Errorf("status %+v", st)
	}
	if total, repeated := r.phones.Received(); total != 12_000 || repeated != 0 {
		t.Errorf("received %d, repeated %d", total, repeated)
	}
}

func TestAcceptDirectly(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	accepted, err := r.gw.Accept(t.Context(), push.Request{Partial: true, Notifications: []push.Notification{
		sold(token(1)),
		{Platform: push.APNS, Tokens: []string{token(2)}},
		sold(tokens(3, 1200)...), // no limit but for the native surface
		{Platform: push.FCM, Tokens: []string{"x"}, Title: "t"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []push.Rejection{
		{Index: 1, Reason: "has nothing to show: give title, body, badge, sound or apns.content_available"},
		{Index: 3, Reason: "platform is not configured for app market"},
	}
	if diff := cmp.Diff(want, accepted.Rejected); diff != "" || accepted.Accepted != 1201 {
		t.Errorf("accepted %d, rejected (-want +got):\n%s", accepted.Accepted, diff)
	}
	if st := r.ended(accepted.ID); st.Sent != 1201 {
		t.Errorf("status %+v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if accepted, err := r.gw.Accept(ctx, push.Request{Notifications: []push.Notification{sold(token(1))}}); err != nil {
		t.Errorf("a caller that hung up leaves it open whether it counts: %+v, %v", accepted, err)
	}
}
