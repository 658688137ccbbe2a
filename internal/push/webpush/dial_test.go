package webpush

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/furima/furima/internal/push"
)

// resolver returns a resolver that knows one name, which stands for the given
// addresses.
func resolver(t *testing.T, name string, v4 [][4]byte, v6 [][16]byte) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			about := q.Questions[0]
			a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true}, Questions: q.Questions}
			h := dnsmessage.ResourceHeader{Name: about.Name, Type: about.Type, Class: dnsmessage.ClassINET}
			switch {
			case about.Name.String() != name+".":
				a.RCode = dnsmessage.RCodeNameError
			case about.Type == dnsmessage.TypeA:
				for _, ip := range v4 {
					a.Answers = append(a.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip}})
				}
			case about.Type == dnsmessage.TypeAAAA:
				for _, ip := range v6 {
					a.Answers = append(a.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip}})
				}
			}
			if out, err := a.Pack(); err == nil {
				_, _ = server.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// A name that is harmless to look at and stands for an address inside.
func TestNamesOfPrivateAddresses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reached := make(chan struct{}, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(reached)
				return
			}
			reached <- struct{}{}
			c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	loopback := [4]byte{127, 0, 0, 1}
	for name, r := range map[string]*net.Resolver{
		"an address of the loopback":   resolver(t, "push.example", [][4]byte{loopback}, nil),
		"two of them":                  resolver(t, "push.example", [][4]byte{loopback, {127, 0, 0, 2}}, [][16]byte{{15: 1}}),
		"mapped into IPv6":             resolver(t, "push.example", nil, [][16]byte{{10: 0xff, 11: 0xff, 12: 127, 15: 1}}),
		"private, a cloud's, carriers": resolver(t, "push.example", [][4]byte{{10, 0, 0, 1}, {169, 254, 169, 254}, {100, 64, 0, 1}}, [][16]byte{{0: 0xfd, 15: 1}}),
	} {
		for _, p := range []string{"443", port} {
			d := newDialer(false, time.Minute)
			d.Resolver = r
			c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("push.example", p))
			if !errors.Is(err, errForbidden) {
				t.Errorf("%s, port %s: %v, %v", name, p, c, err)
			}
		}
	}
	l.Close()
	if _, ok := <-reached; ok {
		t.Error("something inside was reached")
	}
}

func TestForbiddenAddressesEndMessages(t *testing.T) {
	t.Parallel()
	s := openSender(t, keyed(t))
	r := sendOne(t, s, subscribe(t, "https://localhost/push/1"))
	if r.Outcome != push.Rejected || r.Reason != reasonForbidden {
		t.Errorf("localhost: %+v", r)
	}
	// What was accepted under another configuration.
	m := messages(t, s, subscribe(t, "https://push.example/1"))
	m[0].Token = subscribe(t, "https://127.0.0.1:8443/1")
	if r := send(t.Context(), t, s, m)[0]; r.Outcome != push.Rejected || r.Reason != reasonSubscription {
		t.Errorf("a literal address: %+v", r)
	}
	// A name that stood for a push service a moment ago is given time.
	known := &origin{name: "https://localhost", known: true, proven: true, window: 4}
	known.pool = pool{transport: s.transport, addr: "localhost:443", closers: &s.closers}
	s.mu.Lock()
	known.place = s.order.PushFront(known)
	s.forget(s.origins[known.name])
	known.pool.closed = false
	s.origins[known.name] = known
	s.mu.Unlock()
	if r := sendOne(t, s, subscribe(t, "https://localhost/push/1")); r.Outcome != push.Retry || r.Reason != reasonForbidden {
		t.Errorf("localhost that was a push service: %+v", r)
	}
}
