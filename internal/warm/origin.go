package warm

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// origin is where requests go: what a connection is made to. Two equal origins
// may share a connection.
type origin struct {
	network string // "tcp" or "unix"
	addr    string // host:port, or the socket's path
	host    string // the Host header
	// serverName is the name that the certificate must have; empty without TLS.
	serverName string
}

// originBytes returns how many bytes of a URL are scheme and authority; ok is
// false if the URL does not begin with scheme://.
func originBytes(u []byte) (n int, ok bool) {
	at := bytes.Index(u, []byte("://"))
	if at < 0 || bytes.ContainsAny(u[:at], "/?") {
		return 0, false
	}
	at += len("://")
	if k := bytes.IndexAny(u[at:], "/?"); k >= 0 {
		return at + k, true
	}
	return len(u), true
}

var errNoScheme = errors.New("must begin with http://, https:// or http+unix://")

// parseOrigin reads scheme and authority. An error never repeats user
// information.
func parseOrigin(s string) (*origin, error) {
	scheme, authority, ok := strings.Cut(s, "://")
	if !ok {
		return nil, errNoScheme
	}
	scheme = strings.ToLower(scheme)
	if scheme == "http+unix" {
		path, err := url.PathUnescape(authority)
		if err != nil || !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
			return nil, errors.New("http+unix:// needs the socket's absolute path, percent-encoded: http+unix://%2Frun%2Fapi.sock/path")
		}
		return &origin{network: "unix", addr: path, host: "localhost"}, nil
	}
	port := ""
	switch scheme {
	case "http":
		port = "80"
	case "https":
		port = "443"
	default:
		return nil, errNoScheme
	}
	if strings.Contains(authority, "@") {
		return nil, errors.New("a URL with user information is not supported: send a header instead")
	}
	u, err := url.Parse(scheme + "://" + authority)
	if err != nil || u.Hostname() == "" || u.Path != "" {
		return nil, fmt.Errorf("%q is not host or host:port", authority)
	}
	name := u.Hostname()
	if !isHost(name) {
		return nil, fmt.Errorf("host %q holds characters that a host name cannot", name)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("port %q is not 1 to 65535", p)
		}
		port = p
	}
	o := &origin{network: "tcp", addr: net.JoinHostPort(name, port), host: strings.TrimSuffix(authority, ":")}
	if scheme == "https" {
		o.serverName = name
	}
	return o, nil
}

func isHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' && c != ':' {
			return false
		}
	}
	return s != ""
}

// checkOrigin finds the origin of a template and says what is wrong with it.
// If sets are part of it, the first combination stands for all.
func (p *parser) checkOrigin(t *template) error {
	if len(t.parts) == 0 {
		return &SyntaxError{Problem: "an empty URL"}
	}
	first := t.append(nil, 0)
	n, ok := originBytes(first)
	if !ok {
		return &SyntaxError{Pos: 1, Problem: errNoScheme.Error()}
	}
	o, err := parseOrigin(string(first[:n]))
	if err != nil {
		return &SyntaxError{Pos: 1, Problem: err.Error()}
	}
	// The origin is fixed if the first text holds all of it: if a path or a
	// query begins inside, or if there is nothing after it.
	if text := t.parts[0].text; len(text) > n || len(t.parts) == 1 {
		t.fixed, t.fixedBytes = o, n
	}
	return nil
}

// encodeText makes a text of a template fit for a URL: what a URL may hold
// stays, everything else is percent-encoded.
func encodeText(s string) []byte {
	const also = "-._~:/?[]@!$&'()*+,;="
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case isAlphanumeric(c) || strings.IndexByte(also, c) >= 0:
			out = append(out, c)
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			out = append(out, c)
		default:
			out = appendEncoded(out, c)
		}
	}
	return out
}

// encodeData makes a parameter's value fit for any place in a URL: all but
// unreserved characters are percent-encoded.
func encodeData(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		if isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 {
			out = append(out, c)
		} else {
			out = appendEncoded(out, c)
		}
	}
	return out
}

func appendEncoded(out []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(out, '%', digits[c>>4], digits[c&15])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
