package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaults: what is wrong is said in one line that names it, with the right
// exit status and no stack trace, and nothing is changed.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	garbage := write(t, dir, "garbage.db", strings.Repeat("this is no database. ", 400))
	badKey := write(t, dir, "bad.p8", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	allowed := "FURIMA_PAY_ALLOW_SANDBOX=true"
	for name, c := range map[string]struct {
		env    []string
		args   []string
		status int
		says   []string // each in the one line
		lines  int
	}{
		"unknown key": {
			args:   []string{"config", "check", "-c", write(t, dir, "unknown.toml", "[store]\nurll = \"x\"\n")},
			status: 2, says: []string{"store.urll", "unknown key"},
		},
		"two faults at once": {
			args:   []string{"config", "check", "-c", write(t, dir, "two.toml", "[store]\nurll = \"x\"\n[api]\nlisten = \"nonsense\"\n")},
			status: 2, lines: 2, says: []string{"store.urll", "api.listen"},
		},
		"syntax": {
			args:   []string{"config", "check", "-c", write(t, dir, "syntax.toml", "[store\n")},
			status: 2, says: []string{"syntax.toml", "line 2"},
		},
		"missing file":     {args: []string{"api", "-c", filepath.Join(dir, "nowhere.toml")}, status: 2, says: []string{"nowhere.toml"}},
		"unknown command":  {args: []string{"serve"}, status: 2, says: []string{`"serve"`}},
		"unknown flag":     {args: []string{"api", "--lisen", "x"}, status: 2, says: []string{"--lisen"}},
		"unknown variable": {env: []string{"FURIMA_STORE_URI=x"}, args: []string{"api"}, status: 2, says: []string{"FURIMA_STORE_URI"}},
		"port in use": {
			env:    []string{"FURIMA_API_LISTEN=" + taken.Addr().String(), "FURIMA_OPS_LISTEN=127.0.0.1:0", "FURIMA_STORE_URL=sqlite:" + filepath.Join(dir, "port.db"), allowed},
			args:   []string{"api"},
			status: 1, says: []string{"api.listen", taken.Addr().String(), "in use"},
		},
		"ops port in use": {
			env:    []string{"FURIMA_OPS_LISTEN=" + taken.Addr().String()},
			args:   []string{"push"},
			status: 1, says: []string{"ops.listen", taken.Addr().String(), "in use"},
		},
		"broken database file": {
			env:    []string{"FURIMA_STORE_URL=sqlite:" + garbage, "FURIMA_API_LISTEN=127.0.0.1:0", "FURIMA_OPS_LISTEN=127.0.0.1:0", allowed},
			args:   []string{"api"},
			status: 1, says: []string{"garbage.db", "not a database"},
		},
		"database server away": {
			env:    []string{"FURIMA_STORE_URL=mysql://furima:hunter2@127.0.0.1:1/market", "FURIMA_OPS_LISTEN=127.0.0.1:0"},
			args:   []string{"migrate"},
			status: 1, says: []string{"127.0.0.1:1", "refused"},
		},
		"missing key file": {
			args:   []string{"push", "-c", write(t, dir, "nokey.toml", pushWith(filepath.Join(dir, "nokey.p8")))},
			status: 2, says: []string{"push.apps[0].apns.key_file", "nokey.p8", "no such file"},
		},
		"bad key file": {
			args:   []string{"push", "-c", write(t, dir, "badkey.toml", pushWith(badKey))},
			status: 2, says: []string{"push.apps[0].apns.key_file", "bad.p8"},
		},
		"open without tokens": {
			env:    []string{"FURIMA_PUSH_LISTEN=0.0.0.0:0"},
			args:   []string{"push"},
			status: 2, says: []string{"push.listen"},
		},
		"bad template": {
			args:   []string{"warm", "--once", "http://127.0.0.1:1/items?page={1..}"},
			status: 2, says: []string{"{1..}"},
		},
		"edge without a certificate": {
			args:   []string{"edge", "check", "-c", write(t, dir, "edge.toml", "[[edge.sites]]\nname = \"a.example\"\nlisten = \"127.0.0.1:8443\"\ncert_file = \"no.pem\"\nkey_file = \"no.key\"\nupstream = [\"127.0.0.1:1\"]\n")},
			status: 2, lines: 2, says: []string{"edge.sites[0].cert_file", "no.pem", "edge.sites[0].key_file", "no.key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, stderr := runFurima(t, t.TempDir(), c.env, c.args...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			var said []string
			for line := range strings.Lines(stderr) {
				if strings.HasPrefix(line, "furima: ") {
					said = append(said, line)
				}
			}
			if len(said) != max(c.lines, 1) {
				t.Errorf("%d lines of errors, want %d:\n%s", len(said), max(c.lines, 1), stderr)
			}
			for _, want := range c.says {
				if !strings.Contains(strings.Join(said, ""), want) {
					t.Errorf("nothing says %q:\n%s", want, stderr)
				}
			}
			for _, never := range []string{"goroutine ", "panic", "hunter2"} {
				if strings.Contains(stderr, never) {
					t.Errorf("stderr has %q:\n%s", never, stderr)
				}
			}
		})
	}
	if b, err := os.ReadFile(garbage); err != nil || !strings.HasPrefix(string(b), "this is no database. ") {
		t.Errorf("the broken database file was changed (%v)", err)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pushWith(keyFile string) string {
	return "[[push.apps]]\nname = \"market\"\n[push.apps.apns]\nkey_file = \"" + keyFile + "\"\nkey_id = \"ABC123DEFG\"\nteam_id = \"DEF123GHIJ\"\ntopic = \"com.example.market\"\n"
}

// TestCommandsOnBothEngines: migrate and seed on SQLite and MariaDB, twice,
// since an operator may run them again.
func TestCommandsOnBothEngines(t *testing.T) {
	stores(t, func(t *testing.T, dir string, url func(string) string) {
		env := []string{"FURIMA_STORE_URL=" + url("market"), "FURIMA_PHOTO_DIR=" + filepath.Join(dir, "photos")}
		for range 2 {
			if status, _, stderr := runFurima(t, dir, env, "migrate"); status != 0 {
				t.Fatalf("migrate: exit status %d\n%s", status, stderr)
			}
		}
		if status, stdout, stderr := runFurima(t, dir, env, "seed", "--items", "300", "--users", "20", "--seed", "7", "--photo-side", "64"); status != 0 {
			t.Fatalf("seed: exit status %d\n%s%s", status, stdout, stderr)
		}
	})
}
