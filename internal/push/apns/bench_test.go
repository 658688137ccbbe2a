package apns

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/furima/furima/internal/push"
)

// leanEnv makes the test binary a lean server with the certificate in the file
// that it names. leanSingle makes it write every answer by itself.
const (
	leanEnv    = "FURIMA_TEST_APNS_LEAN_SERVER"
	leanSingle = "FURIMA_TEST_APNS_LEAN_SINGLE"
)

// leanMain answers every request with a bare 200 until standard input ends, and
// does nothing else, so that it is the sender that is measured. It writes its
// address to standard output.
func leanMain(certFile string) error {
	cert, err := tls.LoadX509KeyPair(certFile, certFile)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, DynamicRecordSizingDisabled: true})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go leanServe(c, os.Getenv(leanSingle) != "")
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return l.Close()
}

// appendFrame appends the header of a frame of HTTP/2.
func appendFrame(b []byte, size int, kind http2.FrameType, flags http2.Flags, stream uint32) []byte {
	b = append(b, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(b, stream)
}

// leanServe is the least that a client of HTTP/2 can live with.
func leanServe(c net.Conn, single bool) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	if _, err := r.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	out := appendFrame(nil, 6, http2.FrameSettings, 0, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(http2.SettingMaxConcurrentStreams))
	out = binary.BigEndian.AppendUint32(out, 1000)
	out = binary.BigEndian.AppendUint32(appendFrame(out, 4, http2.FrameWindowUpdate, 0, 0), 1<<30)
	taken := 0
	for {
		if (r.Buffered() < 9 || single) && len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		var h [9]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return
		}
		n := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		kind, flags, stream := http2.FrameType(h[3]), http2.Flags(h[4]), binary.BigEndian.Uint32(h[5:])
		body, err := r.Peek(n)
		if err != nil {
			return
		}
		switch {
		case kind == http2.FramePing && flags == 0:
			out = append(appendFrame(out, n, http2.FramePing, http2.FlagPingAck, 0), body...)
		case kind == http2.FrameSettings && flags == 0:
			out = appendFrame(out, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
		case (kind == http2.FrameHeaders || kind == http2.FrameData) && flags&http2.FlagDataEndStream != 0:
			out = append(appendFrame(out, 1, http2.FrameHeaders, http2.FlagHeadersEndStream|http2.FlagHeadersEndHeaders, stream), 0x88) // :status: 200
		}
		if kind == http2.FrameData {
			if taken += n; taken > 1<<28 {
				out = binary.BigEndian.AppendUint32(appendFrame(out, 4, http2.FrameWindowUpdate, 0, 0), uint32(taken))
				taken = 0
			}
		}
		_, _ = r.Discard(n)
	}
}

// startLean starts a lean server in a process of its own.
func startLean(tb testing.TB, single bool) push.APNSConfig {
	tb.Helper()
	dir := tb.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	certFile, keyFile := filepath.Join(dir, "server.pem"), filepath.Join(dir, "key.p8")
	for file, data := range map[string][]byte{certFile: append(certPEM, keyPEM...), keyFile: keyPEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}

	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), leanEnv+"="+certFile)
	if single {
		cmd.Env = append(cmd.Env, leanSingle+"=1")
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = stdin.Close() // which ends it
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return push.APNSConfig{
		KeyFile: keyFile, KeyID: "ABC123DEFG", TeamID: "DEF123GHIJ", Topic: "com.example.market",
		Endpoint: "https://" + strings.TrimSpace(addr), CAFile: certFile,
	}
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
// to a server in another process. An op is a notification.
func BenchmarkSend(b *testing.B) {
	for _, c := range []struct {
		answers string
		batch   int
	}{{"together", 1000}, {"together", 100}, {"single", 1000}} {
		b.Run(fmt.Sprintf("answers=%s/batch=%d", c.answers, c.batch), func(b *testing.B) {
			s, err := NewProvider(Options{}).Open(push.AppConfig{Name: "market", APNS: startLean(b, c.answers == "single")}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			batch := benchBatch(b, s, c.batch)
			var failed atomic.Int64
			done := func(_ int, r push.Result) {
				if r.Outcome != push.Sent {
					failed.Add(1)
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
			if n := failed.Load(); n > 0 {
				b.Errorf("%d failed", n)
			}
			b.ReportMetric(float64(b.N)/took.Seconds(), "sent/s")
			b.ReportMetric(used/float64(b.N)*1e5, "CPU-s/100k")
		})
	}
}

func benchBatch(b *testing.B, s push.Sender, n int) []push.Message {
	b.Helper()
	rendered, faults := s.Render(&push.Notification{
		Title: "Sold!", Body: strings.Repeat("A film camera. ", 8), TTL: push.Duration(time.Hour), CollapseID: "or_1",
	}, time.Now())
	if faults != nil {
		b.Fatal(faults)
	}
	batch := make([]push.Message, n)
	for i := range batch {
		batch[i] = push.Message{Token: token(i), ID: push.MessageID{6: 0x80, 8: 0x80, 14: byte(i >> 8), 15: byte(i)}, Rendered: &rendered}
	}
	return batch
}
