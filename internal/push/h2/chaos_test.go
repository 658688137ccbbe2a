package h2_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/furima/furima/internal/push/h2"
)

// chaos is a server that does everything that a server may do at a bad moment,
// and keeps a book of what it has processed.
type chaos struct {
	mu        sync.Mutex
	rng       *rand.Rand
	processed map[string]int
	conns     int
}

func (s *chaos) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

func (s *chaos) process(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processed[path]++
}

func (s *chaos) dial(context.Context, string, string) (net.Conn, error) {
	if s.roll(10) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	client, server := net.Pipe()
	c := &chaosConn{s: s, nc: server, fr: http2.NewFramer(server, server), paths: make(map[uint32]string), out: make(chan func(), 10000)}
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	go c.write()
	go c.read()
	return client, nil
}

// chaosConn is one of its connections.
type chaosConn struct {
	s     *chaos
	nc    net.Conn
	fr    *http2.Framer // reads from read, writes from write
	paths map[uint32]string
	held  []uint32    // processed, to be answered
	out   chan func() // what is to be written; nil ends the connection
	last  uint32      // processed
	gone  bool        // GOAWAY has been sent
}

func (c *chaosConn) write() {
	defer c.nc.Close()
	for f := range c.out {
		if f == nil {
			return
		}
		f()
	}
}

func (c *chaosConn) read() {
	defer func() { c.out <- nil }()
	if _, err := io.ReadFull(c.nc, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	c.settings()
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			return
		}
		ended := false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			c.paths[f.StreamID] = f.PseudoValue("path")
			ended = f.StreamEnded()
		case *http2.DataFrame:
			ended = f.StreamEnded()
			if n := uint32(len(f.Data())); n > 0 {
				c.out <- func() { _ = c.fr.WriteWindowUpdate(0, n) }
				if !ended && c.s.roll(50) > 0 {
					id := f.StreamID
					c.out <- func() { _ = c.fr.WriteWindowUpdate(id, n) }
				}
			}
		case *http2.RSTStreamFrame:
			delete(c.paths, f.StreamID)
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.out <- func() { _ = c.fr.WriteSettingsAck() }
			}
		case *http2.PingFrame:
			if data := f.Data; !f.IsAck() && c.s.roll(10) > 0 {
				c.out <- func() { _ = c.fr.WritePing(true, data) }
			}
		}
		if ended && !c.request(f.Header().StreamID) {
			return
		}
	}
}

// request does something with a complete request; false drops the connection.
func (c *chaosConn) request(id uint32) bool {
	if c.gone && id > c.last {
		return true // as if it had not come
	}
	refuse := c.s.roll(100) < 4
	if refuse {
		c.out <- func() { _ = c.fr.WriteRSTStream(id, http2.ErrCodeRefusedStream) }
	} else {
		c.s.process(c.paths[id])
		c.last = max(c.last, id)
		c.held = append(c.held, id)
	}
	switch n := c.s.roll(1000); {
	case n < 5:
		return false
	case n < 15:
		c.goAway()
	case n < 40:
		c.settings()
	case n < 60 && !refuse: // it keeps silent about this one
		c.held = c.held[:len(c.held)-1]
	case n < 90 && !refuse:
		c.held = c.held[:len(c.held)-1]
		c.out <- func() { _ = c.fr.WriteRSTStream(id, http2.ErrCodeInternal) }
	case n < 700:
		c.answer()
	}
	return true
}

func (c *chaosConn) answer() {
	for len(c.held) > 0 {
		i := c.s.roll(len(c.held))
		id := c.held[i]
		c.held[i] = c.held[len(c.held)-1]
		c.held = c.held[:len(c.held)-1]
		body := c.s.roll(3) == 0
		c.out <- func() {
			_ = c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: !body})
			if body {
				_ = c.fr.WriteData(id, true, []byte("answer"))
			}
		}
		if c.s.roll(20) == 0 {
			return
		}
	}
}

func (c *chaosConn) goAway() {
	last, early := c.last, !c.gone && c.s.roll(2) == 0
	c.gone = true
	c.out <- func() {
		if early {
			_ = c.fr.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
		}
		_ = c.fr.WriteGoAway(last, http2.ErrCodeNo, nil)
	}
	c.answer()
}

func (c *chaosConn) settings() {
	s := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: uint32(1 + c.s.roll(40))},
		{ID: http2.SettingInitialWindowSize, Val: uint32(5 + c.s.roll(300))},
	}
	c.out <- func() { _ = c.fr.WriteSettings(s...) }
}

// TestNothingTwice sends through chaos. Whatever happens, no request is
// processed twice; one that is said to be answered was processed; and one that
// is said not to have been processed was not.
func TestNothingTwice(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			s := &chaos{rng: rand.New(rand.NewPCG(seed, 1)), processed: make(map[string]int)}
			pool, err := h2.Open(h2.Config{
				URL: "http://push.example", Dial: s.dial, Connections: 3, MaxStreams: 30, MaxQueued: 200,
				Timeout: 20 * time.Second, QueueTimeout: time.Minute, InitialStreams: int(seed % 3),
			})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			var mu sync.Mutex
			count := map[string]int{}
			for w := range 6 {
				wg.Go(func() {
					b := &h2.Batch{Urgent: w == 0}
					if w%2 == 0 {
						b.Done = func([]int) {}
					}
					for round := range 12 {
						b.Requests = post(t, 40, "0123456789012345678901234567890123456789")
						for i := range b.Requests {
							b.Requests[i].Path = fmt.Sprintf("/%d/%d/%d", w, round, i)
						}
						ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
						if s.roll(4) == 0 {
							time.AfterFunc(time.Duration(s.roll(3000))*time.Millisecond, cancel)
						}
						if err := pool.Start(ctx, b); err != nil {
							if h2.ReasonOf(err) != h2.Canceled {
								t.Error(err)
							}
							cancel()
							continue
						}
						b.Wait()
						cancel()
						for i := range b.Responses {
							what := s.check(b.Requests[i].Path, &b.Responses[i])
							mu.Lock()
							count[what]++
							mu.Unlock()
						}
					}
				})
			}
			wg.Wait()
			if err := pool.Close(context.Background()); err != nil {
				t.Error(err)
			}
			for path, n := range s.processed {
				if n > 1 {
					t.Errorf("seed %d: %s was processed %d times", seed, path, n)
				}
			}
			for what, n := range count {
				if what[0] == '!' {
					t.Errorf("seed %d: %d requests: %s", seed, n, what)
				}
			}
			if count["answered"] < 100 {
				t.Errorf("seed %d: %v", seed, count)
			}
			t.Logf("seed %d, %d connections: %v", seed, s.conns, count)
		})
	}
}

// check compares what is said of a request with the book. What begins with a
// '!' is wrong.
func (s *chaos) check(path string, r *h2.Response) string {
	s.mu.Lock()
	n := s.processed[path]
	s.mu.Unlock()
	switch {
	case r.Err == nil && n != 1:
		return fmt.Sprintf("! answered, and processed %d times", n)
	case r.Err == nil:
		return "answered"
	case !h2.MaybeProcessed(r.Err) && n != 0:
		return fmt.Sprintf("! %s, said not to have been processed, was", h2.ReasonOf(r.Err))
	case h2.MaybeProcessed(r.Err):
		return string(h2.ReasonOf(r.Err)) + ", maybe processed"
	}
	return string(h2.ReasonOf(r.Err))
}
