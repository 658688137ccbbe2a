package pay_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/pay"
)

func TestOpen(t *testing.T) {
	cfg := pay.DefaultConfig()
	cfg.SandboxFile = filepath.Join(t.TempDir(), "charges.jsonl")
	for name, c := range map[string]struct {
		allow, dev, opens bool
	}{
		"production":             {false, false, false},
		"production with a flag": {true, false, true},
		"dev":                    {false, true, true},
	} {
		cfg.AllowSandbox = c.allow
		p, err := pay.Open(cfg, pay.Options{Dev: c.dev})
		if (err == nil) != c.opens || (err != nil && !errors.Is(err, pay.ErrSandboxRefused)) {
			t.Errorf("%s: %v", name, err)
		}
		if p != nil {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if text := pay.ErrSandboxRefused.Error(); !strings.Contains(text, "pay.allow_sandbox") || strings.Contains(text, "\n") {
		t.Errorf("the refusal does not name its key in one line: %s", text)
	}
	cfg.Provider = "cash"
	if p, err := pay.Open(cfg, pay.Options{Dev: true}); err == nil {
		t.Errorf("opened %v for an unknown provider", p)
	}
}

func TestValidate(t *testing.T) {
	faults := func(c pay.Config) (all []string) {
		c.Validate(func(key, problem string) { all = append(all, key+": "+problem) })
		return all
	}
	if got := faults(pay.DefaultConfig()); got != nil {
		t.Errorf("the default is at fault: %q", got)
	}
	if diff := cmp.Diff([]string{`provider: is "cash", must be "sandbox"`}, faults(pay.Config{Provider: "cash"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"sandbox_file: is empty"}, faults(pay.Config{Provider: "sandbox"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
