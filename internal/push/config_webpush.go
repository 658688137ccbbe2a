package push

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"
)

// WebPushConfig is one [push.apps.webpush] table: how an app is known to the
// push services of browsers.
type WebPushConfig struct {
	// VAPID key (P-256, PEM) that subscriptions were made with; "furima push vapid" makes one. Empty means that this app does not use Web Push. Default empty.
	KeyFile string `toml:"key_file"`
	// Contact that push services can reach when something is wrong: "mailto:…" or "https://…". Required with key_file.
	Subject string `toml:"subject"`
	// Lets subscriptions point to loopback and private addresses and to any port, for stand-ins only. Default false.
	AllowPrivate bool `toml:"allow_private"`
	// PEM file of root certificates to trust instead of the system's. Default empty.
	CAFile string `toml:"ca_file"`
	// Notifications that may be under way at once over all push services; one service gets at most three quarters of it. 0 means 500. Default 0.
	MaxInFlight int `toml:"max_in_flight"`
	// How long one notification may take before it counts as unanswered and is tried again. 0 means "10s". Default 0.
	Timeout time.Duration `toml:"timeout"`
}

// maxWebPushInFlight is the most that max_in_flight may be: each notification
// under way has a goroutine.
const maxWebPushInFlight = 10_000

// Enabled reports whether the app uses Web Push at all.
func (c WebPushConfig) Enabled() bool { return c.KeyFile != "" }

// WithDefaults gives zero values their meaning.
func (c WebPushConfig) WithDefaults() WebPushConfig {
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 500
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

func (c WebPushConfig) validate(fault func(key, problem string)) {
	if !c.Enabled() {
		if c != (WebPushConfig{}) {
			fault("key_file", "is required when anything else of webpush is set")
		}
		return
	}
	if _, err := c.VAPIDKey(); err != nil {
		fault("key_file", err.Error())
	}
	if problem := subjectProblem(c.Subject); problem != "" {
		fault("subject", problem)
	}
	if _, err := c.RootCAs(); err != nil {
		fault("ca_file", err.Error())
	}
	if c.MaxInFlight < 0 || c.MaxInFlight > maxWebPushInFlight {
		fault("max_in_flight", fmt.Sprintf("must be between 0 and %d", maxWebPushInFlight))
	}
	if c.Timeout < 0 {
		fault("timeout", "must not be negative")
	}
}

// subjectProblem says what is wrong with the contact of RFC 8292, section 2.1.
// Apple refuses every message of an app whose contact is no real address.
func subjectProblem(subject string) string {
	const want = `must be "mailto:" with an address or "https://" with a host`
	if subject == "" {
		return "is required with key_file"
	}
	if address, ok := strings.CutPrefix(subject, "mailto:"); ok {
		if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
			return want
		}
		return ""
	}
	if u, err := url.Parse(subject); err != nil || u.Scheme != "https" || u.Hostname() == "" || !isPrintable(subject) || strings.Contains(subject, " ") {
		return want
	}
	return ""
}

// VAPIDKey reads the key that subscriptions were made with: PEM, PKCS #8 or
// SEC 1. The error names the file and never what is in it.
func (c WebPushConfig) VAPIDKey() (*ecdsa.PrivateKey, error) {
	raw, err := readFile(c.KeyFile)
	if err != nil {
		return nil, err
	}
	var block *pem.Block
	for { // openssl puts "EC PARAMETERS" before the key
		if block, raw = pem.Decode(raw); block == nil || strings.HasSuffix(block.Type, "PRIVATE KEY") {
			break
		}
	}
	if block == nil {
		return nil, fmt.Errorf("%s holds no private key in PEM", c.KeyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s holds a private key that is neither PKCS #8 nor SEC 1", c.KeyFile)
		}
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s holds no P-256 key, which is what VAPID is for", c.KeyFile)
	}
	return key, nil
}

// RootCAs reads the roots to trust; nil means the system's.
func (c WebPushConfig) RootCAs() (*x509.CertPool, error) {
	return APNSConfig{CAFile: c.CAFile}.RootCAs()
}

// NewVAPIDKey makes a key for WebPushConfig.KeyFile (PEM, PKCS #8) and returns
// with it the public key in the form that a page hands to a browser as
// applicationServerKey.
func NewVAPIDKey() (keyPEM []byte, publicKey string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("make a VAPID key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", fmt.Errorf("encode a VAPID key: %w", err)
	}
	if publicKey, err = VAPIDPublicKey(key); err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), publicKey, nil
}

// VAPIDPublicKey returns the public half of a VAPID key in the form that a page
// hands to a browser as applicationServerKey, and push services get as "k".
func VAPIDPublicKey(key *ecdsa.PrivateKey) (string, error) {
	var public *ecdh.PublicKey
	public, err := key.PublicKey.ECDH()
	if err != nil {
		return "", fmt.Errorf("encode a VAPID key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(public.Bytes()), nil
}
