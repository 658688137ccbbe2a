package webpush

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/furima/furima/internal/push"
)

// subscription is a parsed token.
type subscription struct {
	url    *url.URL
	origin string // "https://host" or "https://host:port", in lower case
	addr   string // host:port to connect to
	key    *ecdh.PublicKey
	auth   [authBytes]byte
}

const (
	keyBytes  = 65 // of an uncompressed point of P-256
	authBytes = 16
)

// wireSubscription is PushSubscription.toJSON. Members that are not here are of
// later versions of it.
type wireSubscription struct {
	Endpoint string `json:"endpoint"`
	Keys     struct {
		P256DH string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
}

// What is wrong with a subscription. None of it repeats what is in one.
var (
	errNoJSON   = errors.New("must be the JSON text of a browser's PushSubscription")
	errEndpoint = errors.New("must have an https endpoint without user, fragment and unusual characters")
	errPort     = errors.New("must have an endpoint on port 443")
	errPrivate  = errors.New("must have an endpoint at a public address")
	errKey      = errors.New("must have in keys.p256dh an uncompressed point of P-256")
	errAuth     = errors.New("must have in keys.auth 16 bytes")
)

// parse reads a token. private lets it point to any address and port.
func parse(token string, private bool) (*subscription, error) {
	s, w, err := locate(token, private)
	if err != nil {
		return nil, err
	}
	var raw [keyBytes + 1]byte // a byte more shows what is too long
	n, ok := decodeKey(raw[:], w.Keys.P256DH)
	if !ok || n != keyBytes {
		return nil, errKey
	}
	if s.key, err = ecdh.P256().NewPublicKey(raw[:keyBytes]); err != nil { // which checks that it is on the curve
		return nil, errKey
	}
	if n, ok = decodeKey(raw[:authBytes+1], w.Keys.Auth); !ok || n != authBytes {
		return nil, errAuth
	}
	copy(s.auth[:], raw[:])
	return s, nil
}

// locate reads of a token where the push service is.
func locate(token string, private bool) (*subscription, *wireSubscription, error) {
	w := new(wireSubscription)
	if json.Unmarshal([]byte(token), w) != nil {
		return nil, nil, errNoJSON
	}
	s := new(subscription)
	return s, w, s.setEndpoint(w.Endpoint, private)
}

func (s *subscription) setEndpoint(endpoint string, private bool) error {
	for i := range len(endpoint) {
		if endpoint[i] <= ' ' || endpoint[i] > '~' {
			return errEndpoint
		}
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Opaque != "" || u.User != nil || u.Fragment != "" || strings.HasSuffix(endpoint, "#") {
		return errEndpoint
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && (ip.Zone() != "" || !private && !push.IsPublic(ip)):
		return errPrivate
	case err != nil && !isHostName(host), strings.HasSuffix(u.Host, ":"):
		return errEndpoint
	case port != "" && port != "443" && !private:
		return errPort
	}
	if ip.Is6() {
		host = "[" + ip.String() + "]" // one way to write it
	}
	s.addr = host + ":443"
	if port != "" && port != "443" {
		host += ":" + port
		s.addr = host
	}
	u.Host = host
	s.url, s.origin = u, "https://"+host
	return nil
}

// isHostName reports whether a host is a name as DNS and certificates have them.
// That the last label does not begin with a digit keeps out the many ways to
// write an IPv4 address.
func isHostName(host string) bool {
	if len(host) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
		last = label
	}
	return last[0] > '9'
}

// decodeKey decodes base64url with or without padding, and nothing that is
// longer than dst.
func decodeKey(dst []byte, s string) (n int, ok bool) {
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	if strict.DecodedLen(len(s)) > len(dst) || strings.ContainsAny(s, "\r\n") { // which the decoder would skip
		return 0, false
	}
	n, err := strict.Decode(dst, []byte(s))
	return n, err == nil
}

var strict = base64.RawURLEncoding.Strict()
