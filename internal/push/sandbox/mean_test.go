package sandbox_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/furima/furima/internal/push/sandbox"
)

// patience is how long a frame that must come may take.
const patience = 30 * time.Second

// wire is a client that speaks in frames.
type wire struct {
	t    *testing.T
	nc   net.Conn
	out  bytes.Buffer
	fr   *http2.Framer
	hbuf bytes.Buffer
	henc *hpack.Encoder
	auth string
	host string
	seen []string // frames, as words
}

// dial connects, and reads as far as the first settings.
func (s *stand) dial(t *testing.T) *wire {
	t.Helper()
	root, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	nc, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	w := &wire{t: t, nc: nc, auth: provider(t, s.key, sandbox.KeyID, sandbox.TeamID, time.Now()), host: s.Addr().String()}
	w.fr = http2.NewFramer(&w.out, nc)
	w.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.henc = hpack.NewEncoder(&w.hbuf)
	w.out.WriteString(http2.ClientPreface)
	_ = w.fr.WriteSettings()
	w.flush()
	w.until("SETTINGS 1")
	return w
}

func (w *wire) flush() {
	w.t.Helper()
	if _, err := w.nc.Write(w.out.Bytes()); err != nil {
		w.t.Fatal(err)
	}
	w.out.Reset()
}

// post puts a notification together; flush writes it.
func (w *wire) post(id uint32) { w.request(id, "POST", "/3/device/"+aToken, `{"aps":{"alert":"x"}}`) }

func (w *wire) request(id uint32, method, path, body string) {
	w.hbuf.Reset()
	for _, f := range [][2]string{
		{":method", method}, {":scheme", "https"}, {":authority", w.host}, {":path", path}, {"authorization", w.auth},
		{"apns-topic", "com.example.market"}, {"apns-push-type", "alert"}, {"apns-id", fmt.Sprintf("6f2e1c4a-0000-8000-8000-%012d", id)},
	} {
		_ = w.henc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: w.hbuf.Bytes(), EndHeaders: true, EndStream: body == ""})
	if body != "" {
		_ = w.fr.WriteData(id, true, []byte(body))
	}
}

// next reads a frame and returns it in words; "" is the end. Settings are
// acknowledged.
func (w *wire) next() string {
	w.t.Helper()
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	f, err := w.fr.ReadFrame()
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.t.Fatalf("nothing came; so far %q", w.seen)
		}
		return ""
	}
	word := ""
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return w.next()
		}
		n, _ := f.Value(http2.SettingMaxConcurrentStreams)
		word = fmt.Sprint("SETTINGS ", n)
		_ = w.fr.WriteSettingsAck()
		w.flush()
	case *http2.WindowUpdateFrame:
		return w.next()
	case *http2.MetaHeadersFrame:
		word = fmt.Sprintf("%d: %s", f.StreamID, f.PseudoValue("status"))
	case *http2.DataFrame:
		word = fmt.Sprintf("%d: %s", f.StreamID, f.Data())
	case *http2.RSTStreamFrame:
		word = fmt.Sprintf("%d: RST %v", f.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		word = fmt.Sprintf("GOAWAY %d %v %s", f.LastStreamID, f.ErrCode, f.DebugData())
	default:
		word = fmt.Sprint(f.Header().Type)
	}
	w.seen = append(w.seen, word)
	return word
}

// until reads up to a frame and returns what has been read.
func (w *wire) until(last string) []string {
	w.t.Helper()
	w.seen = nil
	for {
		switch w.next() {
		case last:
			return w.seen
		case "":
			w.t.Fatalf("the connection ended before %q: %q", last, w.seen)
		}
	}
}

// end reads up to the end.
func (w *wire) end() []string {
	w.t.Helper()
	w.seen = nil
	for w.next() != "" {
	}
	return w.seen
}

// proven is a connection that has shown its token.
func (s *stand) proven(t *testing.T) *wire {
	t.Helper()
	w := s.dial(t)
	w.post(1)
	w.flush()
	w.until("SETTINGS 1000")
	return w
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestOneStreamBeforeTheFirstToken(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	s.SetLatency(20 * time.Millisecond)
	w := s.dial(t)
	w.post(1)
	w.post(3)
	w.flush()
	want(t, w.until("SETTINGS 1000"), "3: RST REFUSED_STREAM", "1: 200", "SETTINGS 1000")
	for id := uint32(5); id < 25; id += 2 {
		w.post(id)
	}
	w.flush()
	w.until("23: 200")
	if n := s.RefusedStreams(); n != 1 {
		t.Errorf("%d streams refused", n)
	}
	if total, _ := s.phones.Received(); total != 11 {
		t.Errorf("%d arrived", total)
	}
	bad := s.dial(t)
	bad.auth = "bearer a.b.c"
	bad.post(1)
	bad.flush()
	bad.until(`1: {"reason":"InvalidProviderToken"}`)
	bad.auth = w.auth
	bad.post(3)
	bad.flush()
	want(t, bad.until("SETTINGS 1000"), "3: 200", "SETTINGS 1000")
}

func TestSulk(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	w := s.proven(t)
	s.SetManners(sandbox.Manners{Sulk: true, MaxStreams: 500})
	w.until("SETTINGS 500")
	s.Fail(sandbox.Fault{Status: 400, Reason: "BadTopic"})
	w.post(3)
	w.flush()
	want(t, w.until("SETTINGS 1"), "3: 400", `3: {"reason":"BadTopic"}`, "SETTINGS 1")
	w.post(5)
	w.flush()
	want(t, w.until("SETTINGS 500"), "5: 200", "SETTINGS 500")
	s.Recover()
	w.until("SETTINGS 1000")
}

func TestGoAwayMidFlight(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	w := s.proven(t)
	s.Fail(sandbox.Fault{Skip: 1, GoAway: true})
	for id := uint32(3); id <= 9; id += 2 {
		w.post(id)
	}
	w.flush()
	want(t, w.end(), "3: 200", `GOAWAY 5 NO_ERROR {"reason":"Shutdown"}`, "5: 200")
	if total, _ := s.phones.Received(); total != 3 {
		t.Errorf("%d arrived, want those that were answered", total)
	}
}

func TestGoAwayOverTakesWhatIsHeldBack(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	w := s.proven(t)
	s.SetLatency(20 * time.Millisecond)
	s.Fail(sandbox.Fault{GoAway: true, Status: 503, Reason: "Shutdown"})
	w.post(3)
	w.post(5)
	w.flush()
	want(t, w.end(), `GOAWAY 3 NO_ERROR {"reason":"Shutdown"}`, "3: 503", `3: {"reason":"Shutdown"}`)
	if total, _ := s.phones.Received(); total != 1 {
		t.Errorf("%d arrived", total)
	}
}

func TestFaultsOfStreamsAndConnections(t *testing.T) {
	t.Parallel()
	since := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		fault sandbox.Fault
		last  string // "" is the end of the connection
		want  []string
	}{
		"refused": {sandbox.Fault{Refuse: true}, "5: 200", []string{"3: RST REFUSED_STREAM", "5: 200"}},
		"reset":   {sandbox.Fault{Reset: true}, "5: 200", []string{"3: RST INTERNAL_ERROR", "5: 200"}},
		"hanging": {sandbox.Fault{Hang: true}, "5: 200", []string{"5: 200"}},
		"dropped": {sandbox.Fault{Drop: true}, "", nil},
		"gone":    {sandbox.Fault{Status: 410, Reason: "ExpiredToken", Since: since}, "5: 200", []string{"3: 410", fmt.Sprintf(`3: {"reason":"ExpiredToken","timestamp":%d}`, since.UnixMilli()), "5: 200"}},
		"every":   {sandbox.Fault{Count: -1, Every: 2, Status: 500, Reason: "InternalServerError"}, "5: 500", []string{"3: 200", "5: 500"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, sandbox.AppleOptions{})
			w := s.proven(t)
			s.Fail(c.fault)
			w.post(3)
			w.post(5)
			w.flush()
			if c.last == "" {
				want(t, w.end(), c.want...)
			} else {
				want(t, w.until(c.last), c.want...)
			}
			if c.fault.Hang {
				if n := s.Waiting(); n != 1 {
					t.Errorf("%d wait", n)
				}
				s.Recover()
				want(t, w.until("3: RST INTERNAL_ERROR"), "3: RST INTERNAL_ERROR")
				if n := s.Waiting(); n != 0 {
					t.Errorf("%d wait after all is well", n)
				}
			}
		})
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	w := s.proven(t)
	s.Fail(sandbox.Fault{Silent: true, Deliver: true})
	w.post(3)
	_ = w.fr.WritePing(false, [8]byte{1})
	w.flush()
	_ = w.nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if f, err := w.fr.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the silence came %v, %v", f, err)
	}
	if total, _ := s.phones.Received(); total != 2 {
		t.Errorf("%d arrived", total)
	}
	if n := s.Open(); n != 1 {
		t.Errorf("%d connections are open", n)
	}
}

func TestTinyWritesAndSlowReads(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	w := s.proven(t)
	s.SetManners(sandbox.Manners{TinyWrites: 3, SlowReads: sandbox.Duration(time.Millisecond)})
	for id := uint32(3); id < 43; id += 2 {
		w.post(id)
	}
	w.flush()
	b := make([]byte, 100)
	got := 0
	for got < 200 { // a read returns a record at most
		_ = w.nc.SetReadDeadline(time.Now().Add(patience))
		n, err := w.nc.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if n > 3 {
			t.Fatalf("%d bytes in one record", n)
		}
		got += n
	}
	if total, _ := s.phones.Received(); total < 2 {
		t.Errorf("%d arrived", total)
	}
}

func TestBrokenClients(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	for name, speak := range map[string]func(w *wire){
		"an even stream":    func(w *wire) { w.post(2) },
		"DATA on stream 0":  func(w *wire) { _, _ = w.out.Write([]byte{0, 0, 1, 0, 0, 0, 0, 0, 0, 'x'}) },
		"a frame too large": func(w *wire) { _, _ = w.out.Write([]byte{0x10, 0, 0, 0, 0, 0, 0, 0, 1}) },
		"a broken header":   func(w *wire) { _, _ = w.out.Write([]byte{0, 0, 1, 1, 5, 0, 0, 0, 1, 0xff}) },
		"half a frame":      func(w *wire) { _, _ = w.out.Write([]byte{0, 0, 9, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := s.dial(t)
			speak(w)
			w.flush()
			if name == "half a frame" {
				_ = w.nc.Close()
				return
			}
			w.end()
		})
	}
	if status, _, _ := s.send(t, nil); status != 200 {
		t.Errorf("the stand-in does not serve any more: %d", status)
	}
}

func TestAnswersWaitForTheWindow(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	s.SetManners(sandbox.Manners{FirstStreams: 1, MaxStreams: 4000})
	w := s.dial(t)
	id := uint32(1)
	for ; id < 6001; id += 2 { // their ids are more than a window holds
		w.request(id, "POST", "/1/apps/com.example.market/channels", `{"message-storage-policy":1,"push-type":"LiveActivity"}`)
		if id == 1 || id%500 == 1 {
			w.flush()
			w.until(fmt.Sprintf("%d: 201", id))
		}
	}
	w.flush()
	w.until(fmt.Sprintf("%d: 201", id-2))
	w.request(id, "GET", "/1/apps/com.example.market/all-channels", "")
	w.flush()
	got := 0
	for !strings.HasSuffix(w.seen[len(w.seen)-1], "]}") {
		before := len(w.seen)
		word := w.next()
		if word == "" {
			t.Fatal("the connection ended")
		}
		if _, data, ok := strings.Cut(word, ": "); ok && len(w.seen) > before && data != "200" {
			got += len(data)
			if got == 65535 {
				_ = w.fr.WriteWindowUpdate(0, 1<<20)
				_ = w.fr.WriteWindowUpdate(id, 1<<20)
				w.flush()
			}
		}
	}
	if got <= 65535 {
		t.Errorf("%d bytes are no more than a window", got)
	}
}

func TestNoHTTP2(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	nc, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nothing is sent
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.ReadAll(nc); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	raw, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_, _ = raw.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	_, _ = io.ReadAll(raw)
}
