package h2

import (
	"context"
	"crypto/tls"
	"runtime"
	"testing"
)

// TestAllocations holds what the package is about: a request costs one small
// allocation, which is x/net's for the frame of its answer.
func TestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server process, left out by -short")
	}
	addr, roots := startLean(t, "coalesced")
	pool, err := Open(Config{URL: "https://" + addr, TLS: &tls.Config{RootCAs: roots}, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close(context.Background()) }()
	batch := benchBatch(t, 1000)
	send := func() {
		if err := pool.Start(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
		batch.Wait()
		for i := range batch.Responses {
			if r := &batch.Responses[i]; r.Err != nil || r.Status != 200 {
				t.Fatalf("status %d, %v", r.Status, r.Err)
			}
		}
	}
	send()
	const rounds = 50
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		send()
	}
	runtime.ReadMemStats(&after)
	if n := float64(after.Mallocs-before.Mallocs) / (rounds * float64(len(batch.Requests))); n > 1.2 {
		t.Errorf("%.2f allocations a request, want one", n)
	}
	if n := float64(after.TotalAlloc-before.TotalAlloc) / (rounds * float64(len(batch.Requests))); n > 100 {
		t.Errorf("%.0f bytes a request, want about 50", n)
	}
}
