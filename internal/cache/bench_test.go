package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/furima/furima/internal/cache"
)

// list is about a list of 30 items as JSON.
func list() []byte {
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i := range 30 {
		fmt.Fprintf(&b, `{"id":"it_%013d","title":"ヴィンテージ 木製チェア %d","price":%d,"state":"on_sale","photo":"/photos/%032x_s.jpg","likes":%d,"created_at":"2026-05-01T12:%02d:00.000Z"},`,
			i*7919, i, 1000+i*137, i*104729, i%7, i)
	}
	b.WriteString(`{}],"next_cursor":"djF8MTIzNDU2Nzg5MHw0MnxhYmNkZWY"}`)
	return b.Bytes()
}

// bare is the least that an HTTP handler can do to write the same bytes.
func bare(body []byte) http.Handler {
	length := strconv.Itoa(len(body))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body)
	})
}

func cached(b testing.TB, body []byte) http.Handler {
	cfg := cache.DefaultConfig()
	cfg.Fresh = 1 << 40
	c := cache.New(cfg, cache.Options{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := cache.Key("/v1/items", r.URL.Query())
		err := c.Serve(w, r, key, func(context.Context) (cache.Answer, error) {
			return cache.Answer{ContentType: "application/json", Body: body, Tags: []string{"items"}}, nil
		})
		if err != nil {
			b.Error(err)
		}
	})
}

// nullWriter costs as little as a ResponseWriter can.
type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}

// BenchmarkHit is the handler alone: no server, no client.
func BenchmarkHit(b *testing.B) {
	body := list()
	for _, bc := range []struct {
		name, query, encoding string
		h                     http.Handler
	}{
		{"bare", "", "", bare(body)},
		{"cached", "", "", cached(b, body)},
		{"cached-query", "?category=12&sort=new", "", cached(b, body)},
		{"cached-gzip", "", "gzip, deflate, br", cached(b, body)},
	} {
		b.Run(bc.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/v1/items"+bc.query, nil)
			if bc.encoding != "" {
				r.Header.Set("Accept-Encoding", bc.encoding)
			}
			w := &nullWriter{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				bc.h.ServeHTTP(w, r)
			}
		})
	}
}

// clientEnv makes the test binary a client: "ADDRESS REQUESTS CONNECTIONS QUERY".
const clientEnv = "FURIMA_TEST_CACHE_CLIENT"

// BenchmarkServerCPU is what an answer over loopback TCP costs this process; the
// clients, which do as little as they can, run in another one. Compare the cpu-ns/op.
func BenchmarkServerCPU(b *testing.B) {
	body := list()
	for _, bc := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare(body)}, {"cached", cached(b, body)}} {
		for _, query := range []string{"", "?category=12&sort=new"} {
			b.Run(bc.name+query, func(b *testing.B) {
				srv := httptest.NewServer(bc.h)
				defer srv.Close()
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d 8 %s", clientEnv, srv.Listener.Addr(), b.N, query))
				cmd.Stderr = os.Stderr
				before := cpu(b)
				b.ResetTimer()
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// cpu is the user and system time of this process so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// client sends requests over kept-alive connections, one at a time on each, and
// learns the length of the answers from the first.
func client(spec string) error {
	f := strings.Split(spec, " ")
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return err
	}
	conns, err := strconv.Atoi(f[2])
	if err != nil {
		return err
	}
	request := []byte("GET /v1/items" + f[3] + " HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nAccept-Encoding: identity\r\n\r\n")
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, conns)
	for range conns {
		go func() { errs <- exchange(f[0], request, &left) }()
	}
	for range conns {
		err = errors.Join(err, <-errs)
	}
	return err
}

func exchange(addr string, request []byte, left *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 1<<16)
	for left.Add(-1) >= 0 {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		n, want := 0, -1
		for n != want {
			m, err := conn.Read(buf[n:])
			if err != nil {
				return err
			}
			n += m
			if head := bytes.Index(buf[:n], []byte("\r\n\r\n")); want < 0 && head >= 0 {
				_, rest, _ := strings.Cut(string(buf[:head]), "Content-Length: ")
				length, _, _ := strings.Cut(rest, "\r\n")
				size, err := strconv.Atoi(length)
				if err != nil {
					return err
				}
				want = head + 4 + size
			}
		}
	}
	return nil
}
