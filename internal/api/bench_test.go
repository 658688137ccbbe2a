package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
)

// BenchmarkList compares a list of 30 items out of the cache with a bare handler that writes the same
// bytes and headers, both behind a real server on a kept-alive connection. server-ns/op is the
// process's user and system time without that of the client's thread.
func BenchmarkList(b *testing.B) {
	m := newBench(b, options{noQueue: true})
	ken, _ := m.person("Ken")
	for i := range 30 {
		m.item(ken, fmt.Sprintf("Oak chair number %d, hardly used", i), int64(1000+i))
	}
	res := m.get("/v1/items?category=2")
	list := []byte(body(b, res))
	header := res.Header.Clone()
	header.Del("Date")
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = header["Content-Type"]
		h["Content-Length"] = header["Content-Length"]
		_, _ = w.Write(list)
	})
	sameHeaders := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, values := range header {
			h[name] = values
		}
		_, _ = w.Write(list)
	})
	quiet := m.rebuild(slog.New(slog.NewJSONHandler(io.Discard, nil)))
	for _, bm := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"bare with our headers", sameHeaders}, {"api", quiet.Handler()}, {"api without a log", m.rebuild(nil).Handler()}} {
		b.Run(bm.name, func(b *testing.B) { overWire(b, bm.h, "/v1/items?category=2") })
	}
}

func (b *bench) rebuild(log *slog.Logger) *api.API {
	d := b.deps
	d.Logger, d.Registerer = log, prometheus.NewRegistry()
	a, err := api.New(b.config, d)
	must(b.t, err)
	return a
}

func overWire(b *testing.B, h http.Handler, path string) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	must(b, err)
	defer conn.Close()
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: market.example\r\nUser-Agent: bench\r\nAccept: application/json\r\n\r\n")
	_, err = conn.Write(request)
	must(b, err)
	r := bufio.NewReaderSize(conn, 64<<10)
	res, err := http.ReadResponse(r, nil)
	must(b, err)
	size, err := io.Copy(io.Discard, res.Body)
	must(b, err)
	if res.StatusCode != 200 || size < 3000 {
		b.Fatalf("%d, %d bytes", res.StatusCode, size)
	}
	buf := make([]byte, 64<<10)
	end := []byte("\r\n\r\n")
	once := func() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		n, want := 0, -1
		for want < 0 || n < want {
			k, err := conn.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += k
			if want < 0 {
				if i := bytes.Index(buf[:n], end); i >= 0 {
					want = i + 4 + int(size)
				}
			}
		}
	}
	runtime.LockOSThread() // so that the client's time is that of a thread
	defer runtime.UnlockOSThread()
	once()
	b.ReportAllocs()
	before := cpu(syscall.RUSAGE_SELF) - cpu(rusageThread)
	for b.Loop() {
		once()
	}
	b.ReportMetric(float64(cpu(syscall.RUSAGE_SELF)-cpu(rusageThread)-before)/float64(b.N), "server-ns/op")
}

// rusageThread is Linux's RUSAGE_THREAD.
const rusageThread = 1

// cpu is user and system time in nanoseconds.
func cpu(who int) int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(who, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkOperations is the cost of requests that are not cached.
func BenchmarkOperations(b *testing.B) {
	m := newBench(b, options{noQueue: true})
	ken, _ := m.person("Ken")
	_ = m.item(ken, "Chair", 500)
	b.Run("get me", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ken.Me(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list item", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := ken.ListItem(b.Context(), client.NewItem{Title: "T", Price: 500, CategoryID: 2, Condition: "new"})
			must(b, err)
		}
	})
	b.Run("page of a list, never twice the same", func(b *testing.B) {
		b.ReportAllocs()
		limit := 0
		for b.Loop() {
			limit = limit%60 + 1
			m.cache.Purge("list:2")
			if _, err := m.client.Items(b.Context(), client.ItemQuery{Category: 2, Limit: limit}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHandler is the handler's part alone, without a server or a network.
func BenchmarkHandler(b *testing.B) {
	m := newBench(b, options{noQueue: true})
	ken, _ := m.person("Ken")
	for i := range 30 {
		m.item(ken, fmt.Sprintf("Oak chair number %d, hardly used", i), int64(1000+i))
	}
	h := m.rebuild(slog.New(slog.NewJSONHandler(io.Discard, nil))).Handler()
	req := httptest.NewRequest(http.MethodGet, "/v1/items?category=2", nil)
	w := &nowhere{header: http.Header{}}
	h.ServeHTTP(w, req)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		req.Pattern = ""
		h.ServeHTTP(w, req)
	}
}

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
