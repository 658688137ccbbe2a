package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cpu is what this process has used, in seconds.
func cpu(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// measure runs f, which sends b.N requests, and reports rate and CPU.
func measure(b *testing.B, f func()) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	before, start := cpu(b), time.Now()
	f()
	used, took := cpu(b)-before, time.Since(start)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/took.Seconds(), "req/s")
	b.ReportMetric(used/float64(b.N)*1e5, "CPU-s/100k")
}

const benchBody = 192

// BenchmarkPool sends notifications like those to Apple to a server in another
// process: 192 bytes of body, a provider token, a path and an id of their own.
func BenchmarkPool(b *testing.B) {
	for _, n := range []struct {
		mode                 string
		conns, batches, size int
	}{
		{"coalesced", 1, 2, 500},
		{"coalesced", 1, 1, 100},
		{"coalesced", 2, 4, 500},
		{"single", 1, 2, 500},
		{"single", 1, 1, 100},
		{"50ms", 1, 2, 500},
		{"50ms", 4, 8, 500},
	} {
		b.Run(fmt.Sprintf("%s/conns=%d/inflight=%d", n.mode, n.conns, n.batches*n.size), func(b *testing.B) {
			addr, roots := startLean(b, n.mode)
			pool, err := Open(Config{URL: "https://" + addr, TLS: &tls.Config{RootCAs: roots}, Connections: n.conns})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = pool.Close(context.Background()) }()
			batches := make([]*Batch, n.batches)
			for i := range batches {
				batches[i] = benchBatch(b, n.size)
			}
			if r := pool.Do(context.Background(), batches[0].Requests); r[0].Err != nil {
				b.Fatal(r[0].Err)
			}
			measure(b, func() {
				var wg sync.WaitGroup
				for i, batch := range batches {
					wg.Go(func() { runBatch(b, pool, batch, b.N/len(batches)+min(1, b.N%len(batches)/(i+1))) })
				}
				wg.Wait()
			})
		})
	}
}

// runBatch sends n requests, as many as the batch has at a time.
func runBatch(b *testing.B, pool *Pool, batch *Batch, n int) {
	all := batch.Requests
	for ; n > 0; n -= len(batch.Requests) {
		batch.Requests = all[:min(n, len(all))]
		if err := pool.Start(context.Background(), batch); err != nil {
			b.Error(err)
			return
		}
		batch.Wait()
		for i := range batch.Responses {
			if r := &batch.Responses[i]; r.Err != nil || r.Status != 200 {
				b.Errorf("status %d, %v", r.Status, r.Err)
				return
			}
		}
	}
	batch.Requests = all
}

func benchToken() string { return "bearer " + strings.Repeat("eyJhbGciOiJFUzI1NiIsIm", 11) }

func benchBatch(b testing.TB, size int) *Batch {
	b.Helper()
	h, err := NewHeaders("POST",
		Field{"authorization", benchToken()},
		Field{"apns-topic", "com.example.market"},
		Field{"apns-push-type", "alert"},
		Field{"apns-priority", "10"})
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), benchBody)
	reqs := make([]Request, size)
	for i := range reqs {
		reqs[i] = Request{
			Headers: h, Body: body,
			Path: "/3/device/" + fmt.Sprintf("%064x", i),
			Fields: []Field{
				{"apns-id", fmt.Sprintf("%08x-0000-4000-8000-0123456789ab", i)},
				{"apns-expiration", "1764000000"},
			},
		}
	}
	return &Batch{Requests: reqs}
}

// BenchmarkNetHTTP is the same with net/http, a goroutine for every request
// that is under way.
func BenchmarkNetHTTP(b *testing.B) {
	for _, n := range []struct {
		mode     string
		inflight int
	}{{"coalesced", 1000}, {"coalesced", 100}, {"single", 1000}, {"single", 100}, {"50ms", 1000}} {
		b.Run(fmt.Sprintf("%s/conns=1/inflight=%d", n.mode, n.inflight), func(b *testing.B) {
			addr, roots := startLean(b, n.mode)
			var only http.Protocols
			only.SetHTTP2(true)
			tr := &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: &only, MaxConnsPerHost: 1,
				HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true},
			}
			defer tr.CloseIdleConnections()
			header := http.Header{
				"Authorization": {benchToken()}, "Apns-Topic": {"com.example.market"}, "Apns-Push-Type": {"alert"},
				"Apns-Priority": {"10"}, "User-Agent": {""},
			}
			body := bytes.Repeat([]byte("x"), benchBody)
			one := func(i int) error {
				req, err := http.NewRequest("POST", "https://"+addr+"/3/device/"+fmt.Sprintf("%064x", i), bytes.NewReader(body))
				if err != nil {
					return err
				}
				req.Header = header.Clone()
				req.Header["Apns-Id"] = []string{fmt.Sprintf("%08x-0000-4000-8000-0123456789ab", i)}
				req.Header["Apns-Expiration"] = []string{"1764000000"}
				res, err := tr.RoundTrip(req)
				if err != nil {
					return err
				}
				return res.Body.Close()
			}
			if err := one(0); err != nil {
				b.Fatal(err)
			}
			measure(b, func() {
				var wg sync.WaitGroup
				for w := range n.inflight {
					wg.Go(func() {
						for i := w; i < b.N; i += n.inflight {
							if err := one(i); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		})
	}
}
