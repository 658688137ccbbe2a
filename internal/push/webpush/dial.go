package webpush

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/furima/furima/internal/push"
)

// errForbidden says that a push service's name stands for an address that no
// request goes to.
var errForbidden = errors.New("the push service is not at a public address")

// Limits of connections to a push service.
const (
	maxConns         = 4                // to one origin
	idleLimit        = 5 * time.Minute  // without a request, before a connection is closed
	pingAfter        = 45 * time.Second // without a frame
	pingPatience     = 10 * time.Second
	maxAnswerHeaders = 16 << 10 // bytes
	maxAnswerBody    = 4 << 10  // bytes that are read so that the connection can be kept
)

// newTransport returns what connections are made with. It is not used for
// requests: each origin has its own connections, which are counted.
func newTransport(roots *x509.CertPool, private bool, timeout time.Duration) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // a service of one's own may know nothing else
	protocols.SetHTTP2(true)
	return &http.Transport{
		Proxy:                  nil, // the environment's would decide which addresses are reached
		DialContext:            newDialer(private, timeout).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(maxOrigins)},
		TLSHandshakeTimeout:    timeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeaders,
		IdleConnTimeout:        idleLimit,
		ForceAttemptHTTP2:      true,
		Protocols:              protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingPatience,
			WriteByteTimeout:              timeout,
			MaxReceiveBufferPerConnection: 64 << 10,
			MaxReceiveBufferPerStream:     16 << 10,
		},
	}
}

func newDialer(private bool, timeout time.Duration) *net.Dialer {
	d := &net.Dialer{Timeout: timeout}
	if !private {
		d.ControlContext = control
	}
	return d
}

// control refuses a connection by the address that the name was resolved to, so
// that it does not matter what DNS says, or says the next time.
func control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || to.Port() != 443 || !push.IsPublic(to.Addr()) {
		return errForbidden
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
		return nil
	}
	return errForbidden
}
