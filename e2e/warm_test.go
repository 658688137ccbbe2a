package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// origin answers after 20 ms and counts what reaches it.
type origin struct {
	*httptest.Server
	requests, connections atomic.Int64
}

func newOrigin(t *testing.T) *origin {
	o := &origin{}
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.Context().Done():
		}
		if r.URL.Query().Get("page") == "broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		w.Write(make([]byte, 1024))
	}))
	o.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			o.connections.Add(1)
		}
	}
	o.Start()
	t.Cleanup(o.Close)
	return o
}

// TestWarmOnce: 2,000 combinations, one request each, no more connections than
// workers, a summary as JSON, exit status 0; and 1 if any failed.
func TestWarmOnce(t *testing.T) {
	o := newOrigin(t)
	status, stdout, stderr := runFurima(t, t.TempDir(), nil, "warm", "--once", "--json", "--workers", "64",
		o.URL+"/items?category={1..200}&sort={new,price}&page={1..5}")
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, stdout, stderr)
	}
	var sum struct {
		Combinations int64 `json:"combinations"`
		OK           int64 `json:"ok"`
		Connections  int64 `json:"connections"`
	}
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil {
		t.Fatalf("summary %q: %v", stdout, err)
	}
	if sum.Combinations != 2000 || sum.OK != 2000 || o.requests.Load() != 2000 {
		t.Errorf("%+v, origin saw %d requests; want 2,000", sum, o.requests.Load())
	}
	if n := o.connections.Load(); n > 64 || sum.Connections != n {
		t.Errorf("origin saw %d connections, summary says %d; want at most 64 and the same", n, sum.Connections)
	}
	status, stdout, _ = runFurima(t, t.TempDir(), nil, "warm", "--once", o.URL+"/items?page={1,broken}")
	if status != 1 {
		t.Errorf("exit status %d with a broken combination, want 1\n%s", status, stdout)
	}
}

// TestWarmedListsDoNotMiss: with the warmer on, the lists that it is
// configured for are hits at the first read, and a listing does not make them
// misses.
func TestWarmedListsDoNotMiss(t *testing.T) {
	d := startDev(t, t.TempDir())
	list := "http://" + d.api + "/v1/items"
	poll(t, "the warmer's first round", func() bool {
		_, metrics := get(t, "http://"+d.ops+"/metrics")
		return counter(metrics, `furima_warm_refreshes_total`) > 50
	})
	res, _ := get(t, list)
	if status := res.Header.Get("Cache-Status"); !hasHit(status) {
		t.Errorf("first read of the newest items says %q, want a hit", status)
	}
}
