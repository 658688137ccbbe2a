package sandbox

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// serviceAccount is the account that the stand-in knows.
type serviceAccount struct {
	file          string
	email, keyID  string
	key           *rsa.PrivateKey
	tokenEndpoint string
}

// accountFile is the form of Google's JSON files.
type accountFile struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

// loadServiceAccount reads the account from dir or makes it, and writes where
// its tokens come from now.
func loadServiceAccount(dir, project, tokenURI string) (serviceAccount, error) {
	a := serviceAccount{file: filepath.Join(dir, "service-account.json"), tokenEndpoint: tokenURI}
	var f accountFile
	raw, err := os.ReadFile(a.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f, a.key, err = makeServiceAccount()
	case err == nil:
		f, a.key, err = parseServiceAccount(a.file, raw)
	}
	if err != nil {
		return a, err
	}
	f.ProjectID = project
	f.ClientEmail = "push@" + project + ".iam.gserviceaccount.com"
	f.TokenURI = tokenURI
	a.email, a.keyID = f.ClientEmail, f.PrivateKeyID
	now, err := json.MarshalIndent(f, "", "  ")
	if err != nil || string(now) == string(raw) {
		return a, err
	}
	// In one step, so that a crash leaves no half file.
	if err := os.WriteFile(a.file+".new", now, 0o600); err != nil {
		return a, err
	}
	return a, os.Rename(a.file+".new", a.file)
}

func makeServiceAccount() (accountFile, *rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return accountFile{}, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return accountFile{}, nil, fmt.Errorf("encode a key: %w", err)
	}
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails: the program ends if the system has no randomness
	return accountFile{
		Type:         "service_account",
		PrivateKeyID: hex.EncodeToString(id[:]),
		PrivateKey:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}, key, nil
}

func parseServiceAccount(path string, raw []byte) (accountFile, *rsa.PrivateKey, error) {
	var f accountFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, nil, fmt.Errorf("parse %s: %w", path, err)
	}
	block, _ := pem.Decode([]byte(f.PrivateKey))
	if block == nil {
		return f, nil, fmt.Errorf("%s holds no PEM key", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return f, nil, fmt.Errorf("parse the key of %s: %w", path, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return f, nil, fmt.Errorf("%s holds no RSA key", path)
	}
	return f, key, nil
}

const (
	grantType      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	messagingScope = "https://www.googleapis.com/auth/firebase.messaging"
	cloudScope     = "https://www.googleapis.com/auth/cloud-platform"
)

// serveToken gives an access token for a signed assertion (RFC 7523).
func (g *Google) serveToken(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	status, code := g.checkGrant(r)
	retryAfter := 0
	if !g.grants.delay(ctx) {
		return
	}
	if code == "" {
		if f, ok := g.grants.next(""); ok {
			if f.Hang || f.Silent {
				g.grants.hang(ctx)
			}
			if f.Hang || f.Silent || f.Status == 0 {
				panic(http.ErrAbortHandler) // no answer
			}
			status, code, retryAfter = f.Status, f.Reason, f.RetryAfter
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(retryAfter))
	}
	if code != "" {
		g.count(fmt.Sprintf("token %d %s", status, code))
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "Refused by the sandbox."}) // the client may be gone
		return
	}
	g.count("token 200")
	_ = json.NewEncoder(w).Encode(struct { // the client may be gone
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		TokenType   string `json:"token_type"`
	}{g.issue(), int(g.o.TokenLife / time.Second), "Bearer"})
}

// issue makes an access token.
func (g *Google) issue() string {
	var random [32]byte
	_, _ = rand.Read(random[:])
	token := "ya29.sandbox-" + base64.RawURLEncoding.EncodeToString(random[:])
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for t, end := range g.issued {
		if now.After(end) {
			delete(g.issued, t)
		}
	}
	g.issued[token] = now.Add(g.o.TokenLife)
	return token
}

// authorized reports whether the request bears a token that lasts.
func (g *Google) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	g.mu.Lock()
	defer g.mu.Unlock()
	end, known := g.issued[token]
	return strings.EqualFold(scheme, "bearer") && known && g.o.Now().Before(end)
}

// checkGrant returns why there is no token for the request, or an empty code.
func (g *Google) checkGrant(r *http.Request) (status int, code string) {
	if r.Method != http.MethodPost || r.ParseForm() != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return http.StatusBadRequest, "invalid_request"
	}
	if r.PostForm.Get("grant_type") != grantType {
		return http.StatusBadRequest, "unsupported_grant_type"
	}
	var claims struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	now := g.o.Now()
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithLeeway(time.Minute),
		jwt.WithIssuer(g.account.email), jwt.WithAudience(g.account.tokenEndpoint), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	_, err := parser.ParseWithClaims(r.PostForm.Get("assertion"), &claims, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != g.account.keyID {
			return nil, jwt.ErrTokenUnverifiable
		}
		return &g.account.key.PublicKey, nil
	})
	switch {
	case err != nil || claims.IssuedAt == nil || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > time.Hour:
		return http.StatusBadRequest, "invalid_grant"
	case !slices.ContainsFunc(strings.Fields(claims.Scope), func(s string) bool { return s == messagingScope || s == cloudScope }):
		return http.StatusBadRequest, "invalid_scope"
	}
	return http.StatusOK, ""
}
