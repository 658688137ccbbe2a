package edge

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var nginx122 = Nginx{Path: "/usr/sbin/nginx", Version: [3]int{1, 22, 1}}

// TestGolden holds what is rendered for each of a few configurations.
func TestGolden(t *testing.T) {
	cert := devCertificate(t)
	minimal := SiteConfig{Name: "market.example", Listen: "0.0.0.0:443", CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{"127.0.0.1:8080"}}
	for _, tt := range []struct {
		name string
		cfg  Config
		host host
	}{
		{"minimal", Config{RunDir: "/run/furima", Sites: []SiteConfig{minimal}}, host{nginx: nginx122, user: "www-data"}},
		{"modern", Config{RunDir: "/run/furima", Sites: []SiteConfig{minimal}}, host{nginx: Nginx{Version: [3]int{1, 29, 3}}}},
		{"everything", Config{
			RunDir: "/srv/a b/edge", Workers: 4, WorkerConnections: 1000, AccessLog: "/var/log/furima access.log", StopTimeout: 1500 * time.Millisecond,
			Sites: []SiteConfig{
				{Name: "Market.Example", Aliases: []string{"www.market.example", "xn--fsqu00a.example"}, Listen: ":443", CertFile: cert.CertFile, KeyFile: cert.KeyFile,
					Upstream:          []string{"10.0.0.1:8080", "[2001:db8::1]:8080", "api.internal:80", "unix:/run/furima/api.sock"},
					UpstreamKeepalive: 16, MaxBodyBytes: 1 << 20, HeaderTimeout: 2500 * time.Millisecond, BodyTimeout: time.Minute, ReadTimeout: 5 * time.Minute, HSTS: -1},
				{Name: "localhost", Aliases: []string{"127.0.0.1"}, Listen: "[::1]:8443", CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{"127.0.0.1:1056"}},
			},
		}, host{nginx: nginx122, user: "www-data", bodiesInMemory: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := render(tt.cfg, tt.host)
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range tree.Files {
				got := string(content)
				got = strings.ReplaceAll(got, tree.Version, "VERSION")
				got = strings.ReplaceAll(got, filepath.Dir(cert.CertFile), "/etc/furima")
				path := filepath.Join("testdata", tt.name, name+".golden")
				if *update {
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
					continue
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("%s -want +got:\n%s", name, diff)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	cert := devCertificate(t)
	cfg := Config{RunDir: "/run/furima", Sites: []SiteConfig{{Name: "a.example", Listen: ":443", CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{"127.0.0.1:1"}}}}
	versions := map[string]string{}
	note := func(what string, cfg Config, h host) {
		tree, err := render(cfg, h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := render(cfg, h)
		if err != nil || again.Version != tree.Version {
			t.Errorf("%s: versions %s and %s (%v)", what, tree.Version, again.Version, err)
		}
		if first, taken := versions[tree.Version]; taken {
			t.Errorf("%s has the version of %s", what, first)
		}
		versions[tree.Version] = what
		if !bytes.Contains(tree.Files["nginx.conf"], []byte(tree.Dir()+"/sites/a.example.conf")) {
			t.Errorf("%s does not include its own version", what)
		}
	}
	note("the first", cfg, host{nginx: nginx122})
	note("another user", cfg, host{nginx: nginx122, user: "nobody"})
	cfg.Sites = slices.Clone(cfg.Sites)
	cfg.Sites[0].Upstream = []string{"127.0.0.1:2"}
	note("another upstream", cfg, host{nginx: nginx122})
}

func TestValidate(t *testing.T) {
	cert := devCertificate(t)
	other := devCertificate(t)
	good := SiteConfig{Name: "a.example", Listen: ":443", CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{"127.0.0.1:80"}}
	with := func(change func(*SiteConfig)) SiteConfig {
		s := good
		change(&s)
		return s
	}
	site := func(change func(*SiteConfig)) Config { return Config{Sites: []SiteConfig{with(change)}} }
	for _, tt := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"default", DefaultConfig(), nil},
		{"zero", Config{}, nil},
		{"good", site(func(*SiteConfig) {}), nil},
		{"empty site", Config{Sites: []SiteConfig{{}}}, []string{
			"sites[0].name: is required", "sites[0].listen: is required", "sites[0].cert_file: is required", "sites[0].key_file: is required", "sites[0].upstream: is required"}},
		{"table", Config{RunDir: "a\nb", Nginx: `a"b`, AccessLog: "$x", User: "a b", Workers: -1, WorkerConnections: 1, StopTimeout: -1}, []string{
			`nginx: holds '"', which nginx would not take as it is`, "run_dir: holds a control character", `access_log: holds '$', which nginx would not take as it is`,
			"user: must be a user name: letters, digits, '.', '_' or '-'", "workers: must be 0 to 1024", "worker_connections: must be 16 to 1000000", `stop_timeout: must be "0s" to "1h"`}},
		{"names", Config{Sites: []SiteConfig{
			with(func(s *SiteConfig) {
				s.Aliases = []string{"A.example", "*.example", "a..b", "-a", "x;y", "~^a", strings.Repeat("a", 64), "メルカリ"}
			}),
			with(func(s *SiteConfig) { s.Name = "b.example"; s.Aliases = []string{"a.example"} })}},
			[]string{
				`sites[0].aliases[1]: "*.example" is not a host name: letters, digits, '-' and '.', other scripts in punycode`,
				`sites[0].aliases[2]: "a..b" is not a host name`, `sites[0].aliases[3]: "-a" is not a host name`,
				`sites[0].aliases[4]: "x;y" is not a host name: letters, digits, '-' and '.', other scripts in punycode`,
				`sites[0].aliases[5]: "~^a" is not a host name: letters, digits, '-' and '.', other scripts in punycode`,
				fmt.Sprintf(`sites[0].aliases[6]: %q is not a host name`, strings.Repeat("a", 64)),
				`sites[0].aliases[7]: "メルカリ" is not a host name: letters, digits, '-' and '.', other scripts in punycode`,
				`sites[0].aliases[0]: "a.example" is already a name of sites[0]`, `sites[1].aliases[0]: "a.example" is already a name of sites[0]`}},
		{"listen", Config{Sites: []SiteConfig{
			with(func(s *SiteConfig) { s.Listen = "443" }),
			with(func(s *SiteConfig) { s.Name = "b"; s.Listen = "localhost:443" }),
			with(func(s *SiteConfig) { s.Name = "c"; s.Listen = "1.2.3.4:0" }),
			with(func(s *SiteConfig) { s.Name = "d"; s.Listen = "[fe80::1%eth0]:1" }),
			with(func(s *SiteConfig) { s.Name = "e"; s.Listen = "1.2.3.4:0443" })}}, []string{
			`sites[0].listen: "443" is not address:port`, `sites[1].listen: "localhost" is not an IP address; name the address to listen on, such as 127.0.0.1:8443`,
			`sites[2].listen: port "0" is not 1 to 65535`, `sites[3].listen: "fe80::1%eth0" is not an IP address; name the address to listen on, such as 127.0.0.1:8443`,
			`sites[4].listen: port "0443" is not 1 to 65535`}},
		{"upstream", site(func(s *SiteConfig) {
			s.Upstream = []string{"api:80", "http://a:80", "a", "a:x", "a b:80", "unix:", "unix:/a:b", "unix:/a$b", "a;:80"}
		}), []string{
			`sites[0].upstream[1]: "http://a:80" is a URL; write host:port`, `sites[0].upstream[2]: "a" is not host:port nor unix:/path`,
			`sites[0].upstream[3]: port "x" is not 1 to 65535`, `sites[0].upstream[4]: "a b" is not a host name: letters, digits, '-' and '.', other scripts in punycode`,
			"sites[0].upstream[5]: names no socket: unix:/path", `sites[0].upstream[6]: holds ":", which nginx would not take as part of a path`,
			`sites[0].upstream[7]: holds '$', which nginx would not take as it is`, `sites[0].upstream[8]: "a;" is not a host name: letters, digits, '-' and '.', other scripts in punycode`}},
		{"numbers", site(func(s *SiteConfig) {
			s.UpstreamKeepalive, s.MaxBodyBytes, s.HeaderTimeout, s.BodyTimeout, s.ReadTimeout, s.HSTS = -1, -1, -1, 25*time.Hour, time.Microsecond, 200*365*24*time.Hour
		}), []string{
			"sites[0].upstream_keepalive: must be 1 to 10000, or 0 for the default", "sites[0].max_body_bytes: must be 1 to 1099511627776, or 0 for the default",
			`sites[0].header_timeout: must be "1ms" to "24h", or "0s" for the default`, `sites[0].body_timeout: must be "1ms" to "24h", or "0s" for the default`,
			`sites[0].read_timeout: must be "1ms" to "24h", or "0s" for the default`, "sites[0].hsts: is longer than a hundred years"}},
		{"missing key", site(func(s *SiteConfig) { s.KeyFile = "/nowhere.key" }), []string{"sites[0].key_file: cannot read /nowhere.key: no such file or directory"}},
		{"another's key", site(func(s *SiteConfig) { s.KeyFile = other.KeyFile }), []string{
			fmt.Sprintf("sites[0].cert_file: %s and %s do not make a certificate: private key does not match public key", cert.CertFile, other.KeyFile)}},
		{"no PEM", site(func(s *SiteConfig) { s.CertFile = "render.go" }), []string{
			fmt.Sprintf("sites[0].cert_file: render.go and %s do not make a certificate: failed to find any PEM data in certificate input", cert.KeyFile)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			tt.cfg.Validate(func(key, problem string) { got = append(got, key+": "+problem) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestWrite holds that a version is switched by a rename, that old ones go,
// and that writing twice changes nothing.
func TestWrite(t *testing.T) {
	cert := devCertificate(t)
	dir := filepath.Join(shortDir(t), "run")
	cfg := Config{RunDir: dir, Sites: []SiteConfig{{Name: "a.example", Listen: ":443", CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{"127.0.0.1:1"}}}}
	var last Tree
	for i := range 8 {
		cfg.Sites[0].Upstream[0] = fmt.Sprintf("127.0.0.1:%d", i+1)
		tree, err := render(cfg, host{nginx: nginx122})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := tree.Write(); err != nil {
				t.Fatal(err)
			}
		}
		last = tree
	}
	for _, path := range []string{"current/nginx.conf", "nginx.conf"} {
		got, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, last.Files["nginx.conf"]) {
			t.Errorf("%s is not the last version", path)
		}
	}
	versions, err := os.ReadDir(filepath.Join(dir, "versions"))
	if err != nil || len(versions) != keptVersions {
		t.Errorf("%d versions are kept (%v), want %d", len(versions), err, keptVersions)
	}
	left, err := filepath.Glob(filepath.Join(dir, "versions/*/.new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if got := slices.Sorted(maps.Keys(last.Files)); !slices.Equal(got, []string{"nginx.conf", "sites/a.example.conf"}) {
		t.Errorf("files %v", got)
	}
}

func TestRenderRefuses(t *testing.T) {
	cert := devCertificate(t)
	good := SiteConfig{Name: "a.example", Listen: ":443", CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{"127.0.0.1:1"}}
	for has, cfg := range map[string]Config{
		"edge.sites: there is no site": {},
		"edge.sites[0].name: \"a;b\"":  {Sites: []SiteConfig{{Name: "a;b"}}},
		"edge.run_dir":                 {RunDir: "/" + strings.Repeat("x", 100), Sites: []SiteConfig{good}},
	} {
		if _, err := render(cfg, host{nginx: nginx122}); err == nil || !strings.HasPrefix(err.Error(), has) {
			t.Errorf("error %v, want %q", err, has)
		}
	}
}

func TestParseVersion(t *testing.T) {
	const args = "\nTLS SNI support enabled\nconfigure arguments: --with-http_ssl_module --with-http_v2_module --with-http_stub_status_module\n"
	for out, want := range map[string]string{
		"nginx version: nginx/1.22.1" + args:                                         "1.22.1",
		"nginx version: nginx/1.29.3 (Ubuntu)" + args:                                "1.29.3",
		"nginx version: openresty/1.25.3.2" + args:                                   "1.25.3",
		"nginx version: nginx/1.14.2" + args:                                         "error: nginx 1.14.2 is too old, 1.18.0 is needed",
		"Apache/2.4":                                                                 "error: the program does not say which nginx it is",
		"nginx version: nginx/1.22.1\nconfigure arguments: --with-http_ssl_module\n": "error: nginx 1.22.1 was built without --with-http_v2_module, which the edge needs",
	} {
		n, err := parseVersion(out)
		got := n.String()
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", out, got, want)
		}
	}
}

func TestComplaints(t *testing.T) {
	tree := Tree{Version: "abc", RunDir: "/run/furima", sites: []string{"a.example", "b.example"}}
	const stderr = `2026/11/22 10:00:00 [warn] 5#5: 4096 worker_connections exceed open file resource limit: 1024
2026/11/22 10:00:00 [emerg] 5#5: host not found in upstream "x:80" in /run/furima/versions/abc/sites/b.example.conf:3
nginx: [emerg] host not found in upstream "x:80" in /run/furima/versions/abc/sites/b.example.conf:3
nginx: [emerg] open() "/nowhere/x.log" failed (2: No such file or directory)
nginx: [emerg] unknown directive "x" in /etc/nginx/other.conf:7
nginx: configuration file /run/furima/versions/abc/nginx.conf test failed
`
	want := []string{
		`edge.sites[1] (b.example): host not found in upstream "x:80" (sites/b.example.conf line 3)`,
		`open() "/nowhere/x.log" failed (2: No such file or directory)`,
		`unknown directive "x" (/etc/nginx/other.conf line 7)`,
	}
	if diff := cmp.Diff(want, complaints(stderr, tree)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseStats(t *testing.T) {
	got, err := parseStats("Active connections: 3 \nserver accepts handled requests\n 10 9 42 \nReading: 0 Writing: 1 Waiting: 2 \n")
	want := stats{active: 3, accepted: 10, handled: 9, requests: 42, writing: 1, waiting: 2}
	if err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	if _, err := parseStats("<html>"); err == nil {
		t.Error("a page is no status")
	}
}
