package warm

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Bounds and defaults of a target.
const (
	defaultInterval = 30 * time.Second
	defaultTimeout  = 10 * time.Second
	defaultWorkers  = 4
	maxWorkers      = 4096
	maxPages        = 1000
	refreshHeader   = "Furima-Refresh"
	// maxTargetCombinations bounds a target of the daemon, which remembers
	// eight bytes of each combination.
	maxTargetCombinations = 50_000_000
)

// Config is the [warm] table.
type Config struct {
	// Targets are the lists to keep fresh, each a URL template that stands for many addresses. Default: none.
	Targets []TargetConfig `toml:"targets"`
}

// TargetConfig is one [[warm.targets]] table.
type TargetConfig struct {
	// Name is the target's name in logs and metrics: at most 64 letters, digits, ".", "_" and "-". Required.
	Name string `toml:"name"`
	// URL is the address with its variable parts in braces: a list {new,price}, a range {1..300} or {0..100..20}, or the name of one of the parameters {category}. It begins with http://, https:// or http+unix://PATH%2FOF.SOCK. Required.
	URL string `toml:"url"`
	// Parameters are the values of the names that url uses in braces; a value such as "1..300" is a range. Values are percent-encoded where they are put in. Default: none.
	Parameters map[string][]string `toml:"parameters"`
	// Headers are sent with every request, each "Name: value". Default: none.
	Headers []string `toml:"headers" secret:"true"`
	// RefreshSecret is sent in the header Furima-Refresh, so that the answer is computed anew and stored; it is the cache's refresh_secret. Default: empty, the header is not sent.
	RefreshSecret string `toml:"refresh_secret" secret:"true"`
	// RefreshSecretFile is a file that holds refresh_secret. Default: empty.
	RefreshSecretFile string `toml:"refresh_secret_file"`
	// Interval is the time in which every combination is refreshed once, spread evenly; the first round takes a quarter of it. 0 means "30s".
	Interval time.Duration `toml:"interval"`
	// Workers is the number of requests that may be under way at once, and of connections kept. 0 means 4.
	Workers int `toml:"workers"`
	// Pages is the number of pages that are refreshed of every combination, following the header Link with rel="next" from one page to the next. 0 means 1, the first page alone.
	Pages int `toml:"pages"`
	// Timeout is the longest time that one request may take, connecting included. 0 means "10s".
	Timeout time.Duration `toml:"timeout"`
	// CAFile is a PEM file of root certificates to trust instead of the system's. Default: empty.
	CAFile string `toml:"ca_file"`
}

// DefaultConfig returns the configuration that is used where the operator says
// nothing: nothing is warmed.
func DefaultConfig() Config { return Config{} }

// Validate reports every fault with its key relative to the [warm] table.
func (c Config) Validate(fault func(key, problem string)) {
	seen := map[string]int{}
	for i, t := range c.Targets {
		at := func(key, problem string) { fault(fmt.Sprintf("targets[%d].%s", i, key), problem) }
		if first, taken := seen[t.Name]; taken && t.Name != "" {
			at("name", fmt.Sprintf("%q is already the name of targets[%d]", t.Name, first))
		} else {
			seen[t.Name] = i
		}
		t.validate(at)
	}
}

func (t TargetConfig) validate(fault func(key, problem string)) {
	switch {
	case t.Name == "":
		fault("name", "is required")
	case len(t.Name) > 64 || !isName(t.Name):
		fault("name", fmt.Sprintf("%q must be at most 64 letters, digits, '.', '_' or '-'", t.Name))
	}
	if t.URL == "" {
		fault("url", "is required")
	} else if plan, err := t.Plan(); err != nil {
		fault("url", err.Error())
	} else if err := checkSize(plan); err != nil {
		fault("url", err.Error())
	}
	if _, err := t.header(); err != nil {
		fault("headers", err.Error())
	}
	if t.RefreshSecret != "" && !validFieldValue(t.RefreshSecret) {
		fault("refresh_secret", "holds characters that cannot stand in a header")
	}
	for _, r := range []struct {
		key      string
		v, least int64
		most     int64
		words    string
	}{
		{"workers", int64(t.Workers), 1, maxWorkers, "1 to 4096, or 0 for the default"},
		{"pages", int64(t.Pages), 1, maxPages, "1 to 1000, or 0 for the default"},
		{"interval", int64(t.Interval), int64(time.Second), int64(30 * 24 * time.Hour), `"1s" to "720h", or "0s" for the default`},
		{"timeout", int64(t.Timeout), int64(10 * time.Millisecond), int64(10 * time.Minute), `"10ms" to "10m", or "0s" for the default`},
	} {
		if r.v != 0 && (r.v < r.least || r.v > r.most) {
			fault(r.key, "must be "+r.words)
		}
	}
	if _, err := loadRoots(t.CAFile); err != nil {
		fault("ca_file", err.Error())
	}
}

func checkSize(p *Plan) error {
	if n := p.Count(); n > maxTargetCombinations {
		return fmt.Errorf("%d combinations are more than %d, what one target may have", n, maxTargetCombinations)
	}
	return nil
}

// withDefaults gives zero values their meaning.
func (t TargetConfig) withDefaults() TargetConfig {
	if t.Interval == 0 {
		t.Interval = defaultInterval
	}
	if t.Workers == 0 {
		t.Workers = defaultWorkers
	}
	if t.Pages == 0 {
		t.Pages = 1
	}
	if t.Timeout == 0 {
		t.Timeout = defaultTimeout
	}
	return t
}

// Plan returns the target's combinations.
func (t TargetConfig) Plan() (*Plan, error) {
	tmpl, err := parseTemplate(t.URL, t.Parameters)
	if err != nil {
		return nil, err
	}
	return planOf(tmpl)
}

// header returns what is sent with every request.
func (t TargetConfig) header() (http.Header, error) {
	h := http.Header{}
	for i, line := range t.Headers {
		name, value, found := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		// The problem does not repeat the line: it may hold a password.
		switch {
		case !found:
			return nil, fmt.Errorf("entry %d is not \"Name: value\"", i+1)
		case !validFieldName(name):
			return nil, fmt.Errorf("entry %d has no valid header name before its colon", i+1)
		case !validFieldValue(value):
			return nil, fmt.Errorf("entry %d holds characters that cannot stand in a header", i+1)
		case reservedField(name):
			return nil, fmt.Errorf("entry %d: the header %s is the warmer's own", i+1, http.CanonicalHeaderKey(name))
		}
		h.Add(name, value)
	}
	if t.RefreshSecret != "" {
		h.Set(refreshHeader, t.RefreshSecret)
	}
	return h, nil
}

// Forecast is what a target will do, for a dry run.
type Forecast struct {
	Name         string  `json:"name"`
	Combinations int64   `json:"combinations"`
	Pages        int     `json:"pages"`
	IntervalS    float64 `json:"interval_seconds"`
	Workers      int     `json:"workers"`
	// PerSecond is the load on the origin in requests a second, if every
	// combination has all its pages.
	PerSecond float64 `json:"requests_per_second"`
}

// Forecast returns what the target will do.
func (t TargetConfig) Forecast() (Forecast, error) {
	plan, err := t.Plan()
	if err != nil {
		return Forecast{}, err
	}
	t = t.withDefaults()
	return Forecast{
		Name: t.Name, Combinations: plan.Count(), Pages: t.Pages, IntervalS: t.Interval.Seconds(), Workers: t.Workers,
		PerSecond: float64(plan.Count()) * float64(t.Pages) / t.Interval.Seconds(),
	}, nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
