package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/furima/furima/bench/report"
)

// The stand-in for Apple: the least that a client of HTTP/2 can live with, so
// that it is not what is measured. It takes 1,000 streams a connection, answers
// every request with a bare 200, counts, and reads from the payload when the
// notification was handed to the gateway.

// Ways to answer.
const (
	modeFast   = "fast"   // what one read brought is answered in one write, at once
	mode50ms   = "50ms"   // the same, 50 ms later
	modeSingle = "single" // every answer in a TLS record and a system call of its own
	modeSilent = "silent" // no answers
)

var modeNames = map[string]string{
	modeFast:   "no latency",
	mode50ms:   "50 ms",
	modeSingle: "small writes",
}

// maxStreams is what Apple was seen to allow (500 to 1,500).
const maxStreams = 1000

// appleStats is what the stand-in has seen since it was last asked to forget.
type appleStats struct {
	Count       int64
	First, Last int64 // Unix time in nanoseconds of the first and the last request
	CPU         time.Duration
	Latency     histogram
}

type apple struct {
	mode        string
	count       atomic.Int64
	first, last atomic.Int64
	latency     atomicHistogram
}

// serveApple serves until standard input ends; a line there is a question.
func serveApple(dir, mode string) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, certFile))
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, DynamicRecordSizingDisabled: true,
	})
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	a := &apple{mode: mode}
	go a.accept(l)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "reset":
			a.count.Store(0)
			a.first.Store(0)
			a.latency.reset()
			fallthrough
		case "stats":
			s := appleStats{Count: a.count.Load(), First: a.first.Load(), Last: a.last.Load(), CPU: report.CPU(), Latency: a.latency.read()}
			if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *apple) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if a.mode == mode50ms {
			c = newLate(c, 50*time.Millisecond)
		}
		go a.serve(c)
	}
}

func appendFrame(b []byte, size int, kind http2.FrameType, flags http2.Flags, stream uint32) []byte {
	b = append(b, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(b, stream)
}

const frameHeader = 9

func (a *apple) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	if _, err := r.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	out := appendFrame(nil, 6, http2.FrameSettings, 0, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(http2.SettingMaxConcurrentStreams))
	out = binary.BigEndian.AppendUint32(out, maxStreams)
	out = binary.BigEndian.AppendUint32(appendFrame(out, 4, http2.FrameWindowUpdate, 0, 0), 1<<30)
	taken, seen := 0, int64(0)
	var now time.Time // of this read
	settle := func() bool {
		if seen > 0 {
			a.note(seen, now)
			seen = 0
		}
		if len(out) == 0 {
			return true
		}
		_, err := c.Write(out)
		out = out[:0]
		return err == nil
	}
	for {
		if r.Buffered() < frameHeader || a.mode == modeSingle {
			if !settle() {
				return
			}
		}
		fresh := r.Buffered() < frameHeader
		h, err := r.Peek(frameHeader)
		if err != nil {
			return
		}
		if fresh {
			now = time.Now()
		}
		n := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		kind, flags, id := http2.FrameType(h[3]), http2.Flags(h[4]), binary.BigEndian.Uint32(h[5:])
		_, _ = r.Discard(frameHeader)
		payload, err := r.Peek(n)
		if err != nil {
			return
		}
		switch kind {
		case http2.FramePing:
			if flags&http2.FlagPingAck == 0 {
				out = append(appendFrame(out, n, http2.FramePing, http2.FlagPingAck, 0), payload...)
			}
		case http2.FrameSettings:
			if flags&http2.FlagSettingsAck == 0 {
				out = appendFrame(out, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)
			}
		case http2.FrameData:
			if taken += n; taken > 1<<28 {
				out = binary.BigEndian.AppendUint32(appendFrame(out, 4, http2.FrameWindowUpdate, 0, 0), uint32(taken))
				taken = 0
			}
			if sent, ok := stampOf(payload); ok {
				a.latency.add(time.Duration(now.UnixNano() - sent))
			}
		}
		if (kind == http2.FrameHeaders || kind == http2.FrameData) && flags&http2.FlagDataEndStream != 0 {
			seen++
			if a.mode != modeSilent {
				out = append(appendFrame(out, 1, http2.FrameHeaders, http2.FlagHeadersEndStream|http2.FlagHeadersEndHeaders, id), 0x88)
			}
		}
		_, _ = r.Discard(n)
	}
}

func (a *apple) note(n int64, now time.Time) {
	a.count.Add(n)
	t := now.UnixNano()
	a.first.CompareAndSwap(0, t)
	a.last.Store(t)
}

var stampMark = []byte(`"t":"`)

// stampOf reads the time that the load has put into a payload.
func stampOf(payload []byte) (nanos int64, ok bool) {
	i := bytes.Index(payload, stampMark)
	if i < 0 || len(payload) < i+len(stampMark)+stampDigits {
		return 0, false
	}
	for _, c := range payload[i+len(stampMark):][:stampDigits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		nanos = nanos*10 + int64(c-'0')
	}
	return nanos, nanos > 0
}

// late delays what is written.
type late struct {
	net.Conn
	by  time.Duration
	out chan lateWrite
}

type lateWrite struct {
	due  time.Time
	data []byte
}

func newLate(c net.Conn, by time.Duration) *late {
	l := &late{Conn: c, by: by, out: make(chan lateWrite, 1<<16)}
	go func() {
		for w := range l.out {
			time.Sleep(time.Until(w.due))
			if _, err := c.Write(w.data); err != nil {
				return
			}
		}
	}()
	return l
}

func (l *late) Write(b []byte) (int, error) {
	l.out <- lateWrite{time.Now().Add(l.by), bytes.Clone(b)}
	return len(b), nil
}

// askApple sends a question to a stand-in.
func askApple(in io.Writer, out *bufio.Reader, question string) (s appleStats, err error) {
	if _, err := fmt.Fprintln(in, question); err != nil {
		return s, err
	}
	line, err := out.ReadBytes('\n')
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(line, &s)
}
