package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The load costs little, because it shares the machine with what it measures:
// kept connections, a prepared request each, in which only tokens and the time
// change, and an answer of which only status and length are looked at.

// shape is a kind of request.
type shape struct {
	key, name             string
	notifications, tokens int // in a request; tokens in a notification
	conns                 int
	total                 int // messages of a measurement
}

var shapes = []shape{
	{key: "100", name: "100 notifications", notifications: 100, tokens: 1, conns: 16, total: 1_000_000},
	{key: "tokens", name: "1 with 1,000 tokens", notifications: 1, tokens: 1000, conns: 8, total: 1_000_000},
	{key: "one", name: "1 with 1 token", notifications: 1, tokens: 1, conns: 64, total: 150_000},
}

func (s shape) messages() int { return s.notifications * s.tokens }

const (
	stampDigits = 19 // Unix time in nanoseconds until 2286
	tokenDigits = 64
)

// template is a request as it goes over the wire.
type template struct {
	raw    []byte
	tokens []int // where they are
	stamps []int
}

func newTemplate(s shape) *template {
	var body bytes.Buffer
	var tokens, stamps []int
	body.WriteString(`{"notifications":[`)
	for i := range s.notifications {
		if i > 0 {
			body.WriteByte(',')
		}
		body.WriteString(`{"platform":"apns","tokens":["`)
		for j := range s.tokens {
			if j > 0 {
				body.WriteString(`","`)
			}
			tokens = append(tokens, body.Len())
			fmt.Fprintf(&body, "%0*x", tokenDigits, 0)
		}
		body.WriteString(`"],"title":"Sold!","body":"Your film camera has been sold. Please send it within three days.","badge":1,"sound":"default","data":{"item":"it_1234567890","t":"`)
		stamps = append(stamps, body.Len())
		fmt.Fprintf(&body, "%0*d", stampDigits, 0)
		body.WriteString(`"}}`)
	}
	body.WriteString(`]}`)
	head := fmt.Sprintf("POST /v1/push HTTP/1.1\r\nHost: furima\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", body.Len())
	for i := range tokens {
		tokens[i] += len(head)
	}
	for i := range stamps {
		stamps[i] += len(head)
	}
	return &template{raw: append([]byte(head), body.Bytes()...), tokens: tokens, stamps: stamps}
}

func (t *template) clone() *template { return &template{slices.Clone(t.raw), t.tokens, t.stamps} }

// fill makes the request the one whose first token is number first.
func (t *template) fill(first int64, now time.Time) {
	const hex = "0123456789abcdef"
	for i, at := range t.tokens {
		n := uint64(first) + uint64(i)
		for d := at + tokenDigits - 1; d >= at+tokenDigits-16; d-- {
			t.raw[d] = hex[n&15]
			n >>= 4
		}
	}
	var digits [stampDigits]byte
	n := now.UnixNano()
	for d := stampDigits - 1; d >= 0; d-- {
		digits[d] = byte('0' + n%10)
		n /= 10
	}
	for _, at := range t.stamps {
		copy(t.raw[at:], digits[:])
	}
}

// loaded is what the load has seen.
type loaded struct {
	requests int64
	took     time.Duration
	latency  histogram // from the request to its answer
}

// load sends requests over kept connections, as fast as they are answered or,
// with a rate, that many a second. It ends after so many requests, or after d
// if that is above 0.
//
// A few threads drive all connections: each sends on those that are idle and then
// collects the answers in order, with plain system calls. A connection has one
// request under way at a time. The time of an answer counts until it is collected,
// which may be a moment after it has come.
func load(ctx context.Context, addr string, s shape, requests int64, rate float64, d time.Duration) (loaded, error) {
	tmpl := newTemplate(s)
	l := &loader{shape: s, begin: time.Now(), requests: requests, rate: rate, lasts: d}
	var wg sync.WaitGroup
	threads := min(s.conns, loadThreads)
	errs := make([]error, threads)
	for i := range threads {
		conns := s.conns / threads
		if i < s.conns%threads {
			conns++
		}
		wg.Go(func() { errs[i] = l.drive(ctx, addr, tmpl.clone(), conns) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return loaded{}, err
	}
	return loaded{l.answered.Load(), time.Since(l.begin), l.latency.read()}, ctx.Err()
}

const loadThreads = 4

// loader is a load under way.
type loader struct {
	shape    shape
	begin    time.Time
	requests int64
	rate     float64
	lasts    time.Duration

	next, answered atomic.Int64
	latency        atomicHistogram
}

// drive sends on some connections until there is no more to send.
func (l *loader) drive(ctx context.Context, addr string, t *template, n int) error {
	conns := make([]*loadConn, n)
	for i := range conns {
		c, err := dialLoad(addr)
		if err != nil {
			return err
		}
		defer c.close()
		conns[i] = c
	}
	for ctx.Err() == nil {
		sent := 0
		for _, c := range conns {
			due, ok := l.take(sent > 0)
			if !ok {
				break
			}
			t.fill(due.number*int64(l.shape.messages()), due.at)
			if err := c.send(t.raw); err != nil {
				return err
			}
			c.due = due.at
			sent++
		}
		if sent == 0 {
			if l.over() {
				return nil
			}
			continue
		}
		for _, c := range conns[:sent] {
			if err := c.receive(); err != nil {
				return err
			}
			l.latency.add(time.Since(c.due))
			l.answered.Add(1)
		}
	}
	return nil
}

// due is a request that is to be sent.
type due struct {
	number int64
	at     time.Time
}

func (l *loader) over() bool {
	return l.requests > 0 && l.next.Load() >= l.requests || l.lasts > 0 && time.Since(l.begin) > l.lasts
}

// take returns the next request. With a rate it waits until one is due, unless
// others could be collected meanwhile.
func (l *loader) take(busy bool) (due, bool) {
	for !l.over() {
		n, at := l.next.Load(), time.Now()
		if l.rate > 0 {
			// Late requests count from when they were due.
			due := l.begin.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
			if wait := due.Sub(at); wait > 0 {
				if busy {
					break
				}
				time.Sleep(wait)
			}
			at = due
		}
		if l.next.CompareAndSwap(n, n+1) {
			return due{n, at}, true
		}
	}
	return due{}, false
}

// loadConn is a connection of the load.
type loadConn struct {
	file *os.File
	fd   int
	buf  []byte
	due  time.Time
}

func dialLoad(addr string) (*loadConn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	fd := int(f.Fd()) // which makes it blocking
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 30}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &loadConn{file: f, fd: fd, buf: make([]byte, 4<<10)}, nil
}

func (c *loadConn) close() { _ = c.file.Close() }

func (c *loadConn) send(request []byte) error {
	for len(request) > 0 {
		n, err := syscall.Write(c.fd, request)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		request = request[n:]
	}
	return nil
}

var (
	accepted  = []byte("HTTP/1.1 202 ")
	endOfHead = []byte("\r\n\r\n")
	lengthIs  = []byte("Content-Length: ")
)

// receive reads an answer and checks that it is 202.
func (c *loadConn) receive() error {
	have := 0
	for {
		n, err := syscall.Read(c.fd, c.buf[have:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("the gateway closed a connection")
		}
		have += n
		answer := c.buf[:have]
		head := bytes.Index(answer, endOfHead)
		if head < 0 {
			continue
		}
		length := 0
		if i := bytes.Index(answer[:head], lengthIs); i >= 0 {
			for _, d := range answer[i+len(lengthIs):] {
				if d < '0' || d > '9' {
					break
				}
				length = length*10 + int(d-'0')
			}
		}
		if have < head+len(endOfHead)+length && have < len(c.buf) {
			continue
		}
		if !bytes.HasPrefix(answer, accepted) {
			return fmt.Errorf("the gateway answered %s", answer)
		}
		return nil
	}
}
