package h2

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
)

// leanEnv makes the test binary a lean server: one that answers every request
// with a bare 200 and does nothing else, so that it is the client that is
// measured. Its value is the mode: "coalesced" answers all that one read brought
// in one write, "single" writes every answer in a TLS record and a system call
// of its own, "50ms" is "coalesced" 50 ms later.
const leanEnv = "FURIMA_TEST_H2_LEAN_SERVER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(leanEnv); mode != "" {
		if err := leanMain(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// leanMain serves until standard input ends. It writes its address and its
// certificate to standard output.
func leanMain(mode string) error {
	cert, certPEM, err := selfSigned()
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, DynamicRecordSizingDisabled: true})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	fmt.Println(strings.ReplaceAll(string(certPEM), "\n", "|"))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if mode == "50ms" {
				c = newLate(c, 50*time.Millisecond)
			}
			go leanServe(c, mode == "single")
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return l.Close()
}

// late delays what is written.
type late struct {
	net.Conn
	out chan lateWrite
}

type lateWrite struct {
	at   time.Time
	data []byte
}

func newLate(c net.Conn, by time.Duration) *late {
	l := &late{Conn: c, out: make(chan lateWrite, 1<<16)}
	go func() {
		for w := range l.out {
			time.Sleep(time.Until(w.at.Add(by)))
			if _, err := c.Write(w.data); err != nil {
				return
			}
		}
	}()
	return l
}

func (l *late) Write(b []byte) (int, error) {
	l.out <- lateWrite{time.Now(), bytes.Clone(b)}
	return len(b), nil
}

// leanServe is the least that a client of HTTP/2 can live with.
func leanServe(c net.Conn, single bool) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	if _, err := r.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	out := appendSettings(nil, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
	out = appendWindow(out, 0, 1<<30)
	taken := 0
	answer := func(id uint32) {
		out = append(appendFrame(out, 1, frameHeaders, flagEndStream|flagEndHeaders, id), 0x88) // :status: 200
	}
	for {
		if (r.Buffered() < frameHeader || single) && len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		h, err := r.Peek(frameHeader)
		if err != nil {
			return
		}
		n := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		kind, flags, id := h[3], h[4], binary.BigEndian.Uint32(h[5:])
		_, _ = r.Discard(frameHeader)
		if kind == framePing && flags&flagAck == 0 {
			var data [8]byte
			_, _ = io.ReadFull(r, data[:])
			out = appendPing(out, flagAck, data)
			continue
		}
		if _, err := r.Discard(n); err != nil {
			return
		}
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			out = appendFrame(out, 0, frameSettings, flagAck, 0)
		case (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0:
			answer(id)
		}
		if kind == frameData {
			if taken += n; taken > 1<<28 {
				out = appendWindow(out, 0, uint32(taken))
				taken = 0
			}
		}
	}
}

// startLean starts a lean server in a process of its own and returns its
// address and the roots that its certificate is checked against.
func startLean(tb testing.TB, mode string) (addr string, roots *x509.CertPool) {
	tb.Helper()
	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), leanEnv+"="+mode)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
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
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	r := bufio.NewReader(stdout)
	addr, _ = r.ReadString('\n')
	certPEM, err := r.ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	roots = x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(strings.ReplaceAll(certPEM, "|", "\n"))) {
		tb.Fatal("the lean server sent no certificate")
	}
	return strings.TrimSpace(addr), roots
}

// selfSigned makes a certificate for 127.0.0.1.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "h2 test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	cert, err := tls.X509KeyPair(certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return cert, certPEM, err
}
