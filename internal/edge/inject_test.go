package edge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// statement is a directive with its words, and what is in its block.
type statement struct {
	Words []string
	Block []statement
}

// tokenizer reads nginx's configuration the way nginx does (see
// ngx_conf_read_token): it is written from nginx's rules and shares nothing
// with the code that renders.
type tokenizer struct {
	s string
	i int
}

// word returns the next word, or one of ; { } as end.
func (k *tokenizer) word() (word string, end byte, err error) {
	for k.i < len(k.s) {
		c := k.s[k.i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			k.i++
		case c == '#':
			for k.i < len(k.s) && k.s[k.i] != '\n' {
				k.i++
			}
		case c == ';' || c == '{' || c == '}':
			k.i++
			return "", c, nil
		case c == '"' || c == '\'':
			return k.quoted(c)
		default:
			return k.bare()
		}
	}
	return "", 0, nil
}

func (k *tokenizer) quoted(q byte) (string, byte, error) {
	var b strings.Builder
	for k.i++; k.i < len(k.s); k.i++ {
		switch c := k.s[k.i]; {
		case c == '\\' && k.i+1 < len(k.s):
			k.i++
			b.WriteByte(k.s[k.i])
		case c == q:
			k.i++
			if k.i < len(k.s) && !strings.ContainsRune(" \t\r\n;{)", rune(k.s[k.i])) {
				return "", 0, fmt.Errorf("unexpected %q after a quoted word", k.s[k.i])
			}
			return b.String(), 0, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errors.New("a quote is never closed")
}

func (k *tokenizer) bare() (string, byte, error) {
	start := k.i
	for ; k.i < len(k.s); k.i++ {
		c := k.s[k.i]
		if c == '\\' {
			return "", 0, errors.New("a backslash outside of quotes is never rendered")
		}
		if strings.ContainsRune(" \t\r\n;{", rune(c)) {
			break
		}
	}
	return k.s[start:k.i], 0, nil
}

func (k *tokenizer) block(inside bool) ([]statement, error) {
	var all []statement
	var words []string
	for {
		word, end, err := k.word()
		switch {
		case err != nil:
			return nil, err
		case end == 0 && word == "" && k.i >= len(k.s):
			if inside || len(words) > 0 {
				return nil, errors.New("unexpected end")
			}
			return all, nil
		case end == 0:
			words = append(words, word)
		case end == ';':
			if len(words) == 0 {
				return nil, errors.New(`unexpected ";"`)
			}
			all, words = append(all, statement{Words: words}), nil
		case end == '{':
			if len(words) == 0 {
				return nil, errors.New(`unexpected "{"`)
			}
			inner, err := k.block(true)
			if err != nil {
				return nil, err
			}
			all, words = append(all, statement{Words: words, Block: inner}), nil
		case end == '}':
			if !inside || len(words) > 0 {
				return nil, errors.New(`unexpected "}"`)
			}
			return all, nil
		}
	}
}

func parseConf(text []byte) ([]statement, error) {
	k := &tokenizer{s: string(text)}
	return k.block(false)
}

// shape is the names of directives and how many words each has.
func shape(all []statement, depth int) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%s%s %d\n", strings.Repeat(" ", depth), s.Words[0], len(s.Words))
		b.WriteString(shape(s.Block, depth+1))
	}
	return b.String()
}

// find returns the words after a directive's name, wherever it is.
func find(all []statement, name string) [][]string {
	var found [][]string
	for _, s := range all {
		if s.Words[0] == name {
			found = append(found, s.Words[1:])
		}
		found = append(found, find(s.Block, name)...)
	}
	return found
}

// faultsBeside returns the faults that are not about the certificate files
// themselves, which a fuzzer cannot make.
func faultsBeside(c Config) (keys []string) {
	c.Validate(func(key, problem string) {
		if !strings.Contains(problem, "cannot read") && !strings.Contains(problem, "do not make a certificate") {
			keys = append(keys, key+": "+problem)
		}
	})
	return keys
}

func benign(name, alias, listen, upstream, socket, cert, runDir, log, user string) (Config, host) {
	return Config{RunDir: runDir, AccessLog: log, Sites: []SiteConfig{{
		Name: name, Aliases: []string{alias}, Listen: listen, CertFile: cert, KeyFile: cert + ".key", Upstream: []string{upstream, "unix:" + socket},
	}}}, host{nginx: nginx122, user: user}
}

// FuzzSite holds that no value can add, remove or change a directive: whatever
// goes through Validate is rendered with the shape of a harmless
// configuration, and every value comes out of nginx's tokenizer as it went in.
func FuzzSite(f *testing.F) {
	f.Add("a.example", "b.example", "0.0.0.0:443", "127.0.0.1:80", "/run/x.sock", "/etc/a.pem", "/run/edge", "/var/log/a.log", "www-data")
	f.Add("a", "b;}", "[::1]:443", "h:80;", "/run/x y;{}#'.sock", "/etc/a b;'{}#.pem", "/run/ü", "off;", "x")
	f.Add("$host", "~^(.*)$", ":443 ssl", "h:80 backup", "/a\"b", "/a\\", "/run/$x", "/a\nb", "root; include /etc/passwd")
	// One bad value at a time, so that no other one hides it.
	good := []string{"a.example", "b.example", "0.0.0.0:443", "127.0.0.1:80", "/run/x.sock", "/etc/a.pem", "/run/edge", "/var/log/a.log", "www-data"}
	for i := range good {
		for _, bad := range []string{`/a"; include /etc/passwd; #`, `/a\`, "/$host", "a;b", "a b", "a{b}", "a\nb", "a'b", "#a", "", "a.b:80; x", "*"} {
			v := slices.Clone(good)
			v[i] = bad
			f.Add(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8])
		}
	}
	baseline, h := benign("a.example", "b.example", "0.0.0.0:443", "127.0.0.1:80", "/run/x.sock", "/etc/a.pem", "/run/edge", "/var/log/a.log", "www-data")
	shapes := func(t *testing.T, c Config, h host) (map[string]string, map[string][]statement, error) {
		tree, err := build(c, h)
		if err != nil {
			return nil, nil, err
		}
		out, parsed := map[string]string{}, map[string][]statement{}
		for name, content := range tree.Files {
			all, err := parseConf(content)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, content)
			}
			if name != "nginx.conf" {
				name = "site"
			}
			out[name], parsed[name] = shape(all, 0), all
		}
		return out, parsed, nil
	}
	f.Fuzz(func(t *testing.T, name, alias, listen, upstream, socket, cert, runDir, log, user string) {
		c, hh := benign(name, alias, listen, upstream, socket, cert, runDir, log, user)
		c.User = user
		if faults := faultsBeside(c); len(faults) > 0 || log == "off" || log == "" || cert == "" || user == "" || strings.HasPrefix(listen, ":") || strings.HasPrefix(listen, "*") {
			return
		}
		want, _, err := shapes(t, baseline, h)
		if err != nil {
			t.Fatal(err)
		}
		got, parsed, err := shapes(t, c, hh)
		if err != nil {
			return // the working directory or the length of the run directory
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		abs := func(p string) string {
			a, err := filepath.Abs(p)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		for directive, want := range map[string][][]string{
			"ssl_certificate":     {{abs(cert)}},
			"ssl_certificate_key": {{abs(cert + ".key")}},
			"server_name":         {{strings.ToLower(name), strings.ToLower(alias)}},
		} {
			if diff := cmp.Diff(want, find(parsed["site"], directive)); diff != "" {
				t.Fatalf("%s -want +got:\n%s", directive, diff)
			}
		}
		servers := find(parsed["site"], "server")
		if !slices.ContainsFunc(servers, func(w []string) bool { return len(w) > 0 && w[0] == "unix:"+abs(socket) }) {
			t.Fatalf("servers %q without %q", servers, socket)
		}
		if got := find(parsed["nginx.conf"], "user"); !cmp.Equal(got, [][]string{{user}}) {
			t.Fatalf("user %q", got)
		}
	})
}

// TestNginxTakesStrangePaths holds that nginx reads quoted paths as the fuzzed
// tokenizer does.
func TestNginxTakesStrangePaths(t *testing.T) {
	needNginx(t)
	for _, name := range []string{"plain", "a b", "a;b", "a{b}c", "a#b", "a'b", "ü時計", "a,b=c&d(e)*~", "-x", "%41"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(shortDir(t), name)
			cert, err := DevCertificate(filepath.Join(dir, "cert "+name), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c := Config{RunDir: dir, AccessLog: filepath.Join(dir, name+".log"), Sites: []SiteConfig{{
				Name: "a.example", Listen: freeAddr(t), CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{"127.0.0.1:80", "unix:" + filepath.Join(dir, name+".sock")},
			}}}
			h, tree, err := renderFor(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.write(); err != nil {
				t.Fatal(err)
			}
			if err := h.nginx.test(t.Context(), tree); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(c.AccessLog); err != nil {
				t.Errorf("the access log is elsewhere: %v", err)
			}
		})
	}
}
