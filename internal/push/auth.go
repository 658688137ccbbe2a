package push

import (
	"crypto/sha256"
	"net/http"
	"strings"
)

// access is what a bearer token allows.
type access struct {
	all  bool
	apps []string // unless all
}

func (a access) allows(app string) bool {
	if a.all {
		return true
	}
	for _, name := range a.apps {
		if name == app {
			return true
		}
	}
	return false
}

// guard knows the bearer tokens, by their hashes: comparing those takes the
// same time for every wrong token.
type guard struct {
	tokens map[[sha256.Size]byte]access // empty: nobody is asked
}

func newGuard(cfg Config) guard {
	g := guard{tokens: make(map[[sha256.Size]byte]access)}
	for _, t := range cfg.Tokens {
		g.tokens[sha256.Sum256([]byte(t))] = access{all: true}
	}
	for _, app := range cfg.Apps {
		for _, t := range app.Tokens {
			key := sha256.Sum256([]byte(t))
			a := g.tokens[key]
			a.apps = append(a.apps, app.Name)
			g.tokens[key] = a
		}
	}
	return g
}

// admit returns what the request may do; false means that it has to name a
// token, or a better one.
func (g guard) admit(r *http.Request) (access, bool) {
	if len(g.tokens) == 0 {
		return access{all: true}, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return access{}, false
	}
	a, ok := g.tokens[sha256.Sum256([]byte(strings.TrimSpace(token)))]
	return a, ok
}
