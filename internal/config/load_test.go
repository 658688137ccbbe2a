package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/config"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "furima.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// faultKeys loads and returns the keys of the faults.
func faultKeys(t *testing.T, src config.Source) []string {
	t.Helper()
	_, err := config.Load(src)
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatalf("Load returned %T, want Faults", err)
	}
	var keys []string
	for _, f := range faults {
		if strings.ContainsAny(f.Problem, "\n") || f.Problem == "" {
			t.Errorf("fault %q is not one line", f)
		}
		keys = append(keys, f.Key)
	}
	return keys
}

func TestNothingIsNeeded(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := config.Load(config.Source{}); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		environ []string
		want    []string
	}{
		"every unknown key is named": {
			text: "[store]\nurll = \"sqlite:x.db\"\n[api]\nlisten = \"127.0.0.1:0\"\nnope = 1\n[nowhere]\nx = 1\n",
			want: []string{"api.nope", "nowhere", "nowhere.x", "store.urll"},
		},
		"wrong type":              {text: "[store]\nurl = 5\n", want: []string{"store.url"}},
		"syntax":                  {text: "[store\n", want: []string{"FILE"}},
		"unknown variable":        {environ: []string{"FURIMA_STORE_URLL=sqlite:x.db", "HOME=/"}, want: []string{"FURIMA_STORE_URLL"}},
		"bad value in a variable": {environ: []string{"FURIMA_CACHE_REFRESH_SECRET_FILE=/does/not/exist"}, want: []string{"cache.refresh_secret_file"}},
		"unknown and unusable together": {
			text: "[store]\nurl = \"postgres://x\"\n[zzz]\na = 1\n",
			want: []string{"store.url", "zzz", "zzz.a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, c.text)
			got := faultKeys(t, config.Source{Path: path, Environ: c.environ})
			for i := range got {
				if strings.HasSuffix(got[i], "furima.toml") {
					got[i] = "FILE"
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNearestKeyIsOffered(t *testing.T) {
	_, err := config.Load(config.Source{Path: file(t, "[store]\nurll = \"x\"\n")})
	if err == nil || !strings.Contains(err.Error(), "did you mean store.url?") {
		t.Errorf("got %v, want an offer of store.url", err)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.toml")
	if diff := cmp.Diff([]string{path}, faultKeys(t, config.Source{Path: path})); diff != "" {
		t.Error(diff)
	}
}

func TestPrecedence(t *testing.T) {
	path := file(t, "[api]\nlisten = \"127.0.0.1:1111\"\n[push]\nlisten = \"127.0.0.1:2222\"\n")
	cfg, err := config.Load(config.Source{Path: path, Environ: []string{"FURIMA_PUSH_LISTEN=127.0.0.1:3333"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.API.Listen, "127.0.0.1:1111"; got != want {
		t.Errorf("file: api.listen is %q, want %q", got, want)
	}
	if got, want := cfg.Push.Listen, "127.0.0.1:3333"; got != want {
		t.Errorf("variable over file: push.listen is %q, want %q", got, want)
	}
}

func TestSecretFromFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret-of-the-refresh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Source{Path: file(t, "[cache]\nrefresh_secret_file = \""+secret+"\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Cache.RefreshSecret != "s3cret-of-the-refresh" {
		t.Errorf("refresh_secret is %q", cfg.Cache.RefreshSecret)
	}
	both := file(t, "[cache]\nrefresh_secret = \"another-long-secret\"\nrefresh_secret_file = \""+secret+"\"\n")
	if diff := cmp.Diff([]string{"cache.refresh_secret_file"}, faultKeys(t, config.Source{Path: both})); diff != "" {
		t.Error(diff)
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	cfg, err := config.Load(config.Source{Path: file(t, `
[store]
url = "mysql://furima:hunter2@db.example:3306/market"
[cache]
refresh_secret = "correct-horse-battery"
`)})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := config.Print(&out, cfg); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "correct-horse-battery"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("printed configuration holds %q", secret)
		}
	}
	if !strings.Contains(out.String(), "db.example:3306") {
		t.Error("printed configuration lost the host of store.url")
	}
	if cfg.Cache.RefreshSecret != "correct-horse-battery" {
		t.Error("printing changed the configuration")
	}
	// What was printed is a configuration again, but for the secrets.
	text := strings.ReplaceAll(out.String(), `refresh_secret = "redacted"`, `refresh_secret = ""`)
	if _, err := config.Load(config.Source{Path: file(t, text)}); err != nil {
		t.Errorf("printed configuration does not load: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("[store]\nurl = \"sqlite:x.db\"\n", "FURIMA_API_LISTEN=:1")
	f.Add("[[edge.sites]]\nname = \"a\"\n", "FURIMA_LOG_LEVEL=debug")
	f.Add("[[push.apps]]\nname = 3\n", "FURIMA_")
	f.Fuzz(func(t *testing.T, text, pair string) {
		path := file(t, text)
		cfg, err := config.Load(config.Source{Path: path, Environ: []string{pair}})
		var faults config.Faults
		if err != nil && !errors.As(err, &faults) {
			t.Fatalf("not Faults: %v", err)
		}
		if err == nil {
			if err := config.Print(&bytes.Buffer{}, cfg); err != nil {
				t.Fatal(err)
			}
		}
	})
}
