package webpush

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/furima/furima/internal/push"
)

// serviceEnv makes the test binary a push service that answers 201 to
// everything, with its certificate in the file that it names.
const serviceEnv = "FURIMA_TEST_WEBPUSH_SERVICE"

// serviceMain serves until standard input ends. It writes its URL to standard
// output.
func serviceMain(certFile string) error {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		return err
	}
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// startService starts a push service in a process of its own.
func startService(b *testing.B, cfg *push.WebPushConfig) (url string) {
	b.Helper()
	cfg.CAFile, cfg.AllowPrivate = filepath.Join(b.TempDir(), "root.pem"), true
	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), serviceEnv+"="+cfg.CAFile)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close() // which ends it
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// cpu is what this process has used, in seconds.
func cpu(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkSend sends from two goroutines, as the gateway does from its workers,
// to a service in another process. An op is a message.
func BenchmarkSend(b *testing.B) {
	cfg := keyed(b)
	origin := startService(b, &cfg)
	s := openSender(b, cfg)
	tokens := make([]string, 1000)
	for i := range tokens {
		tokens[i] = subscribe(b, fmt.Sprintf("%s/push/%d", origin, i))
	}
	n := push.Notification{Title: "Sold!", Body: strings.Repeat("A film camera. ", 8), TTL: push.Duration(time.Hour), CollapseID: "or_1", Tokens: tokens}
	rendered, faults := s.Render(&n, time.Now())
	if faults != nil {
		b.Fatal(faults)
	}
	batch := make([]push.Message, len(tokens))
	for i, t := range tokens {
		batch[i] = push.Message{Token: t, Rendered: &rendered}
	}
	var unsent atomic.Int64
	done := func(_ int, r push.Result) {
		if r.Outcome != push.Sent {
			unsent.Add(1)
		}
	}
	s.Send(context.Background(), batch, done)
	b.ReportAllocs()
	b.ResetTimer()
	before, start := cpu(b), time.Now()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := b.N / 2; n > 0; n -= len(batch) {
				s.Send(context.Background(), batch[:min(n, len(batch))], done)
			}
		})
	}
	wg.Wait()
	used, took := cpu(b)-before, time.Since(start)
	b.StopTimer()
	if n := unsent.Load(); n > 0 {
		b.Errorf("%d were not sent", n)
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "sent/s")
	b.ReportMetric(used/float64(b.N)*1e6, "CPU-µs/op")
}

func BenchmarkEncrypt(b *testing.B) {
	to, err := parse(subscribe(b, "https://push.example/x"), false)
	if err != nil {
		b.Fatal(err)
	}
	plain := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encrypt(plain, to); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	token := subscribe(b, "https://fcm.googleapis.com/fcm/send/dpH5lCsTSSM:APA91bHqjZxM0VImWWqDRN7U0a3AycjUf4O-byuxb_wJsKRaKvV_iKw56s16ekq6FUqoCF7k2nICUpd8fHPxVTgqLunFeVeB9lLCQZyohyAztTH8ZQL9WCxKpA6dvTG_TUIhQUFq_n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(token, false); err != nil {
			b.Fatal(err)
		}
	}
}
