package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Validate reports every fault with its key relative to the [edge] table. It
// reads the certificates, so that a bad one is known before nginx starts.
func (c Config) Validate(fault func(key, problem string)) {
	for _, p := range []struct{ key, path string }{{"nginx", c.Nginx}, {"run_dir", c.RunDir}, {"access_log", c.AccessLog}} {
		if err := checkPath(p.path); err != nil {
			fault(p.key, err.Error())
		}
	}
	if c.User != "" && !isUser(c.User) {
		fault("user", "must be a user name: letters, digits, '.', '_' or '-'")
	}
	if c.Workers < 0 || c.Workers > 1024 {
		fault("workers", "must be 0 to 1024")
	}
	if c.WorkerConnections != 0 && (c.WorkerConnections < 16 || c.WorkerConnections > 1_000_000) {
		fault("worker_connections", "must be 16 to 1000000")
	}
	if c.StopTimeout < 0 || c.StopTimeout > time.Hour {
		fault("stop_timeout", `must be "0s" to "1h"`)
	}
	names := map[string]string{} // host name → key of the site
	for i, s := range c.Sites {
		site := fmt.Sprintf("sites[%d]", i)
		s.validate(func(key, problem string) { fault(site+"."+key, problem) })
		for k, name := range append([]string{s.Name}, s.Aliases...) {
			key := site + ".name"
			if k > 0 {
				key = fmt.Sprintf("%s.aliases[%d]", site, k-1)
			}
			name = strings.ToLower(name)
			if first, taken := names[name]; taken && name != "" {
				fault(key, fmt.Sprintf("%q is already a name of %s", name, first))
			} else {
				names[name] = site
			}
		}
	}
}

func (s SiteConfig) validate(fault func(key, problem string)) {
	if s.Name == "" {
		fault("name", "is required")
	} else if err := checkName(s.Name); err != nil {
		fault("name", err.Error())
	}
	for i, name := range s.Aliases {
		if err := checkName(name); err != nil {
			fault(fmt.Sprintf("aliases[%d]", i), err.Error())
		}
	}
	if _, err := parseListen(s.Listen); err != nil {
		fault("listen", err.Error())
	}
	s.validateCertificate(fault)
	if len(s.Upstream) == 0 {
		fault("upstream", "is required")
	}
	for i, u := range s.Upstream {
		if err := checkUpstream(u); err != nil {
			fault(fmt.Sprintf("upstream[%d]", i), err.Error())
		}
	}
	if s.UpstreamKeepalive < 0 || s.UpstreamKeepalive > 10_000 {
		fault("upstream_keepalive", "must be 1 to 10000, or 0 for the default")
	}
	if s.MaxBodyBytes < 0 || s.MaxBodyBytes > 1<<40 {
		fault("max_body_bytes", "must be 1 to 1099511627776, or 0 for the default")
	}
	for _, d := range []struct {
		key string
		v   time.Duration
	}{{"header_timeout", s.HeaderTimeout}, {"body_timeout", s.BodyTimeout}, {"read_timeout", s.ReadTimeout}} {
		if d.v != 0 && (d.v < time.Millisecond || d.v > 24*time.Hour) {
			fault(d.key, `must be "1ms" to "24h", or "0s" for the default`)
		}
	}
	if s.HSTS > 100*365*24*time.Hour {
		fault("hsts", "is longer than a hundred years")
	}
}

func (s SiteConfig) validateCertificate(fault func(key, problem string)) {
	bad := false
	for _, f := range []struct{ key, path string }{{"cert_file", s.CertFile}, {"key_file", s.KeyFile}} {
		err := checkPath(f.path)
		switch {
		case f.path == "":
			err = errors.New("is required")
		case err == nil:
			err = readable(f.path)
		}
		if err != nil {
			bad = true
			fault(f.key, err.Error())
		}
	}
	if bad {
		return
	}
	if _, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile); err != nil {
		fault("cert_file", fmt.Sprintf("%s and %s do not make a certificate: %s", s.CertFile, s.KeyFile, strings.TrimPrefix(err.Error(), "tls: ")))
	}
}

func readable(path string) error {
	f, err := os.Open(path)
	if err == nil {
		return f.Close()
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("cannot read %s: %w", path, err)
}

// checkPath says whether a path can be written between double quotes in
// nginx's configuration and mean itself. Most strange characters can; these
// cannot in every place, and nobody needs them.
func checkPath(path string) error {
	if !utf8.ValidString(path) {
		return errors.New("is not UTF-8")
	}
	for _, r := range path {
		switch {
		case r < ' ' || r == 0x7f:
			return errors.New("holds a control character")
		case strings.ContainsRune(`"$\`, r):
			return fmt.Errorf("holds %q, which nginx would not take as it is", r)
		}
	}
	return nil
}

// quote writes a checked path as one word of nginx's configuration.
func quote(path string) string { return `"` + path + `"` }

func isUser(s string) bool {
	return len(s) <= 64 && strings.Trim(s, lettersDigits+"._-") == "" && s[0] != '-'
}

const lettersDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// checkName says what is wrong with a host name. Only letters, digits, hyphens
// and dots go through: the other forms that nginx knows (wildcards, regular
// expressions) never reach it.
func checkName(name string) error {
	switch {
	case len(name) > 253 || name == "":
		return errors.New("must be 1 to 253 characters long")
	case strings.Trim(name, lettersDigits+".-") != "":
		return fmt.Errorf("%q is not a host name: letters, digits, '-' and '.', other scripts in punycode", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%q is not a host name", name)
		}
	}
	return nil
}

// parseListen returns the addresses that a listen value means, in nginx's
// form.
func parseListen(s string) ([]string, error) {
	if s == "" {
		return nil, errors.New("is required")
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not address:port", s)
	}
	if err := checkPort(port); err != nil {
		return nil, err
	}
	if host == "" || host == "*" {
		return []string{"0.0.0.0:" + port, "[::]:" + port}, nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return nil, fmt.Errorf("%q is not an IP address; name the address to listen on, such as 127.0.0.1:8443", host)
	}
	return []string{net.JoinHostPort(addr.String(), port)}, nil
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("port %q is not 1 to 65535", port)
	}
	return nil
}

func checkUpstream(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case path == "":
			return errors.New("names no socket: unix:/path")
		case strings.Contains(path, ":"):
			return errors.New(`holds ":", which nginx would not take as part of a path`)
		}
		return checkPath(path)
	}
	if strings.Contains(s, "://") {
		return fmt.Errorf("%q is a URL; write host:port", s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port nor unix:/path", s)
	}
	if err := checkPort(port); err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return nil
	}
	return checkName(host)
}

// absolute returns a path that means the same from anywhere.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	// The working directory is part of it now.
	if err := checkPath(abs); err != nil {
		return "", fmt.Errorf("path %q %w", abs, err)
	}
	return abs, nil
}
