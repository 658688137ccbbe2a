package edge

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// site is what the templates see of a SiteConfig: every field is a word of
// nginx's configuration, checked and quoted where it needs to be.
type site struct {
	Name       string
	ServerName string
	Upstream   string // name of the upstream block
	Zone       string
	Listen     []string
	Cert, Key  string
	Servers    []string
	Keepalive  int
	MaxBody    int64
	BodyBuffer string
	HSTS       int64 // seconds; 0: none

	HeaderTimeout, BodyTimeout, ReadTimeout string
}

// page is what the main template sees.
type page struct {
	Version     string
	User        string
	Workers     string
	Connections int
	Files       int
	StopTimeout string
	RunDir      string
	VersionDir  string
	AccessLog   string
	HTTP2       bool // the directive http2, not the word on the listen line
	KeepIdle    bool // the directive keepalive_min_timeout is known
	Sites       []site
	Site        site // in a site's own file
}

// Path quotes a path below the run directory.
func (p page) Path(rel string) string { return quote(filepath.Join(p.RunDir, rel)) }

// Include quotes the path of a file of this version.
func (p page) Include(rel string) string { return quote(filepath.Join(p.VersionDir, rel)) }

// host is what rendering depends on beside the configuration.
type host struct {
	nginx Nginx
	// user is what the workers run as; empty leaves it as it is, which is the
	// only way for anybody but root.
	user string
	// bodiesInMemory says that the workers cannot write below the run
	// directory, so that no request body may be put there.
	bodiesInMemory bool
}

// maxBodyInMemory bounds what one request may take of nginx's memory where
// bodies are not put into files.
const maxBodyInMemory = 64 << 20

// newSite makes the words of a site from a configuration with defaults that
// has been validated.
func newSite(s SiteConfig, h host) (site, error) {
	name := strings.ToLower(s.Name)
	out := site{
		Name:          name,
		ServerName:    strings.ToLower(strings.Join(append([]string{name}, s.Aliases...), " ")),
		Upstream:      "furima_" + strings.ReplaceAll(name, ".", "_"),
		Keepalive:     s.UpstreamKeepalive,
		MaxBody:       s.MaxBodyBytes,
		BodyBuffer:    "64k",
		HeaderTimeout: words(s.HeaderTimeout),
		BodyTimeout:   words(s.BodyTimeout),
		ReadTimeout:   words(s.ReadTimeout),
	}
	if h.bodiesInMemory {
		out.BodyBuffer = strconv.FormatInt(min(s.MaxBodyBytes, maxBodyInMemory), 10)
	}
	if s.HSTS > 0 && !isLocal(name) {
		out.HSTS = int64(s.HSTS / time.Second)
	}
	var err error
	if out.Listen, err = parseListen(s.Listen); err != nil {
		return site{}, err
	}
	for _, f := range []struct {
		to   *string
		path string
	}{{&out.Cert, s.CertFile}, {&out.Key, s.KeyFile}} {
		abs, err := absolute(f.path)
		if err != nil {
			return site{}, err
		}
		*f.to = quote(abs)
	}
	for _, u := range s.Upstream {
		if path, ok := strings.CutPrefix(u, "unix:"); ok {
			abs, err := absolute(path)
			if err != nil {
				return site{}, err
			}
			u = quote("unix:" + abs)
		}
		out.Servers = append(out.Servers, u)
	}
	return out, nil
}

// isLocal reports whether a name is this machine's own, or an address: telling
// browsers to use HTTPS for those would take every other server on it along.
func isLocal(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// words writes a duration as nginx reads it.
func words(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}
