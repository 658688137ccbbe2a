package push_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestExpiry(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	r.apple.Fail(sandbox.Fault{Token: token(1), Count: -1, Status: 503, Reason: "ServiceUnavailable"})
	n := sold(tokens(0, 2)...)
	n.TTL = client.Duration(time.Hour)
	id := r.send(n)
	r.until(id, func(st client.PushStatus) bool {
		return st.Sent == 1 && r.apple.Answers()["503 ServiceUnavailable"] > 2
	})
	if st := r.status(id); st.Waiting != 1 {
		t.Errorf("within its ttl: %+v", st)
	}
	r.ahead.Store(int64(time.Hour + 2*time.Second))
	want := client.PushStatus{Total: 2, Sent: 1, Expired: 1, Reasons: map[string]int{"ServiceUnavailable": 1}}
	if diff := cmp.Diff(want, r.ended(id), ignoreOrigin); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if e := r.phones.Deliveries(0, 1)[0].Expiration; e == "" {
		t.Error("Apple was not told when it expires")
	}
}

func TestGiveUpAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) { c.GiveUpAfter = time.Hour })
	r.apple.Fail(sandbox.Fault{Count: -1, Status: 403, Reason: "Forbidden"})
	id := r.send(sold(token(1)))
	r.logged("refuses the app")
	r.ahead.Store(int64(2 * time.Hour))
	want := client.PushStatus{Total: 1, Expired: 1, Reasons: map[string]int{"Forbidden": 1}}
	if diff := cmp.Diff(want, r.ended(id), ignoreOrigin); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestSendAt(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	later := sold(token(1))
	later.SendAt = time.Now().Add(300 * time.Millisecond)
	now := sold(token(2))
	st := r.ended(r.send(later, now))
	if st.Sent != 2 {
		t.Fatalf("status %+v", st)
	}
	ds := r.phones.Deliveries(0, 0)
	if ds[0].Token != token(2) || ds[1].Time.Before(later.SendAt) {
		t.Errorf("%s… at %v, %s… at %v; the second was for %v", ds[0].Token[60:], ds[0].Time, ds[1].Token[60:], ds[1].Time, later.SendAt)
	}
}

func TestUrgentOvertakesBulk(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) { c.Workers = 1; c.Apps[0].APNS.MaxInFlight = 1 })
	r.apple.Fail(sandbox.Fault{Count: 1, Hang: true})
	r.send(sold(token(0))) // keeps the only worker busy
	eventually(t, func() bool { return r.apple.Waiting() == 1 }, r.logs.String)
	bulk := sold(tokens(1, 20)...)
	bulk.Priority = client.Low
	bulkID := r.send(bulk)
	urgentID := r.send(sold(token(50)))
	r.apple.Recover()
	r.ended(bulkID)
	r.ended(urgentID)
	var order []string
	for _, d := range r.phones.Deliveries(0, 0) {
		if d.Token != token(0) {
			order = append(order, d.Token)
		}
	}
	if order[0] != token(50) {
		t.Errorf("the urgent one came after %d others", len(order)-1)
	}
}

func TestCancelBeforeItIsDue(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		n := sold(tokens(0, 100)...)
		n.SendAt = time.Now().Add(time.Hour)
		id := r.send(n)
		if st := r.status(id); st.Waiting != 100 {
			t.Errorf("before: %+v", st)
		}
		for range 2 { // the second time there is nothing to do
			st, err := r.client.Cancel(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(client.PushStatus{Total: 100, Cancelled: 100}, st, ignoreOrigin); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		}
		r.idle()
		if total, _ := r.phones.Received(); total != 0 {
			t.Errorf("%d arrived", total)
		}
	})
}

func TestCancelUnderWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	r.apple.Fail(sandbox.Fault{Count: -1, Status: 403, Reason: "Forbidden"})
	id := r.send(sold(tokens(0, 100)...))
	r.logged("refuses the app")
	st, err := r.client.Cancel(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if st.Cancelled != 100 || st.Waiting != 0 {
		t.Errorf("status %+v", st)
	}
	r.apple.Recover()
	r.idle()
	if diff := cmp.Diff(st, r.status(id)); diff != "" {
		t.Errorf("status later (-want +got):\n%s", diff)
	}
	r.ended(r.send(sold(token(500))))
	if total, _ := r.phones.Received(); total != 1 {
		t.Errorf("%d arrived, want the one of afterwards", total)
	}
}

func TestFullBacklogTakesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), func(c *push.Config) { c.MaxBacklog = 150 })
	later := func(from, n int) client.Notification {
		x := sold(tokens(from, n)...)
		x.SendAt = time.Now().Add(time.Hour)
		return x
	}
	first := r.send(later(0, 100))
	_, err := r.client.Send(t.Context(), client.PushRequest{Notifications: []client.Notification{sold(token(900)), later(200, 50)}})
	p := problemOf(t, err)
	if p.Status != http.StatusTooManyRequests || p.Code != client.RateLimited || p.RetryAfter <= 0 {
		t.Errorf("problem %+v", p)
	}
	r.send(later(300, 50))
	if got := r.gw.Stats("").Backlog; got != 150 {
		t.Errorf("backlog %d", got)
	}
	if _, err := r.client.Cancel(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	r.ended(r.send(sold(tokens(0, 100)...)))
	for _, d := range r.phones.Deliveries(0, 0) {
		if d.Token == token(900) {
			t.Error("something of the refused request was sent")
		}
	}
}

func TestStopLeavesTheRestForTheNextStart(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url, func(c *push.Config) { c.StopTimeout = 20 * time.Millisecond })
		// A connection carries one notification until the first is answered.
		r.ended(r.send(sold(token(999))))
		r.apple.Fail(sandbox.Fault{Count: 30, Hang: true})
		var ids []string
		for i := range 5 {
			ids = append(ids, r.send(sold(tokens(i*100, 100)...)))
		}
		// Everything has its answer but what hangs, and the gateway has seen it.
		eventually(t, func() bool {
			seen := 0
			for _, id := range ids {
				seen += r.status(id).Sent
			}
			return r.apple.Waiting() == 30 && seen == 470
		}, r.logs.String)
		r.stop()
		r.apple.Recover()
		r.start()
		for _, id := range ids {
			if st := r.ended(id); st.Sent != 100 {
				t.Errorf("status %+v", st)
			}
		}
		if total, repeated := r.phones.Received(); total != 501 || repeated != 0 {
			t.Errorf("received %d, repeated %d: what had its answer was sent again", total, repeated)
		}
		r.idle()
	})
}

func TestResultsAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, sqldbtest.SQLite(t), nil)
	id := r.send(sold(sandbox.DeadPrefix + token(1)))
	r.ended(id)
	r.idle()
	r.stop()
	r.ahead.Store(int64(31 * 24 * time.Hour))
	r.start()
	eventually(t, func() bool {
		_, err := r.client.Status(t.Context(), id)
		page, feedbackErr := r.client.Feedback(t.Context(), "", 0)
		return err != nil && problemOf(t, err).Status == 404 && feedbackErr == nil && len(page.Tokens) == 0
	}, r.logs.String)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		r := newRig(t, url, nil)
		req := client.PushRequest{Notifications: []client.Notification{sold(tokens(0, 10)...)}, IdempotencyKey: "order 17"}
		var ids [8]string
		errs := make(chan error, len(ids))
		for i := range ids {
			go func() {
				accepted, err := r.client.Send(t.Context(), req)
				if err == nil && accepted.Accepted != 10 {
					err = fmt.Errorf("accepted %d", accepted.Accepted)
				}
				ids[i] = accepted.ID
				errs <- err
			}()
		}
		for range ids {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("the same request has the ids %s and %s", ids[0], id)
			}
		}
		if st := r.ended(ids[0]); st.Sent != 10 {
			t.Errorf("status %+v", st)
		}
		r.idle()
		r.stop()
		r.start()
		if again, err := r.client.Send(t.Context(), req); err != nil || again.ID != ids[0] {
			t.Errorf("after a restart: %+v, %v", again, err)
		}
		req.Notifications[0].Title = "Something else"
		_, err := r.client.Send(t.Context(), req)
		if p := problemOf(t, err); p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != "header/Idempotency-Key" {
			t.Errorf("another request with the same key: %v", p)
		}
		req.IdempotencyKey = "order 18"
		other, err := r.client.Send(t.Context(), req)
		if err != nil || other.ID == ids[0] {
			t.Errorf("another key: %+v, %v", other, err)
		}
		r.ended(other.ID)
		r.idle()
		if total, repeated := r.phones.Received(); total != 20 || repeated != 0 {
			t.Errorf("received %d, repeated %d", total, repeated)
		}
		r.ahead.Store(int64(25 * time.Hour))
		r.stop()
		r.start()
		eventually(t, func() bool {
			late, err := r.client.Send(t.Context(), req)
			return err == nil && late.ID != other.ID
		}, r.logs.String)
	})
}
