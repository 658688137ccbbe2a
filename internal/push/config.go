package push

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/furima/furima/internal/sqldb"
)

// MaxTokens is how many tokens one notification may have.
const MaxTokens = 1000

// MaxPayloadBytes is the largest payload that Apple and Google take.
const MaxPayloadBytes = 4096

// maxAppName keeps the names of jobs' kinds within what the queue takes.
const maxAppName = 40

// Config is the [push] table of furima.toml.
type Config struct {
	// Address that the gateway listens on: "host:port", or "unix:/path" for a socket. Without tokens it must be a loopback address or a socket. Default "127.0.0.1:1056".
	Listen string `toml:"listen"`
	// Database of the gateway's durable queue: "sqlite:PATH" or "mysql://user:pass@host:3306/db". Default "sqlite:data/push.db".
	Store string `toml:"store" secret:"url"`
	// Notifications (one a token) that may wait at once; beyond it requests are answered 429 with Retry-After and nothing of them is taken. 0 means 10000000. Default 10000000.
	MaxBacklog int64 `toml:"max_backlog"`
	// Bytes of the disk, or a quarter of it if that is less, that requests leave free on SQLite, so that what waits can be delivered; beyond it they are answered 503. 0 means 64 MiB, -1 none. Default 67108864.
	DiskReserveBytes int64 `toml:"disk_reserve_bytes"`
	// Largest request body in bytes that is read. 0 means 16 MiB. Default 16777216.
	MaxRequestBytes int64 `toml:"max_request_bytes"`
	// Bearer tokens that may use every app. With none here and none at any app, no token is asked for and the gateway listens on loopback or a socket only. Default none.
	Tokens []string `toml:"tokens" secret:"true"`
	// Requests that are kept in memory for each app and provider, to send from. 0 means as many as it takes to have max_in_flight notifications under way. Default 0.
	Workers int `toml:"workers"`
	// Wait before the first retry of what a provider could not take; it doubles with every round and is spread by jitter. 0 means "1s". Default "1s".
	RetryMin time.Duration `toml:"retry_min"`
	// Longest wait between two rounds of retries. 0 means "5m". Default "5m".
	RetryMax time.Duration `toml:"retry_max"`
	// How long a notification without a ttl is tried before it ends as expired. 0 means "24h". Default "24h".
	GiveUpAfter time.Duration `toml:"give_up_after"`
	// How long the result of a finished request can be asked for. 0 means "24h". Default "24h".
	KeepResults time.Duration `toml:"keep_results"`
	// How long dead tokens stay on the feedback list. 0 means "720h". Default "720h".
	KeepFeedback time.Duration `toml:"keep_feedback"`
	// How long a token that its provider has declared dead is not sent to again; notifications to it end as unregistered at once. 0 means "24h", "-1s" sends to every token. Default "24h".
	DeadTokenCache time.Duration `toml:"dead_token_cache"`
	// How long a delivery that runs may take to end when the gateway stops; what is left stays in the queue. 0 means "1s". Default "1s".
	StopTimeout time.Duration `toml:"stop_timeout"`
	// Gaurun's routes.
	Gaurun GaurunConfig `toml:"gaurun"`
	// The apps that notifications are sent for. Gaurun's routes use the first one. Default none.
	Apps []AppConfig `toml:"apps"`

	// AllowOpen lets other machines in without a token, as a Gaurun file does. It
	// has no key.
	AllowOpen bool `toml:"-"`
}

// AppConfig is one [[push.apps]] table: an app and its credentials at each
// provider.
type AppConfig struct {
	// Name of the app, as requests give it in "app": at most 40 letters, digits, '.', '_' and '-'. Required.
	Name string `toml:"name"`
	// Bearer tokens that may use this app alone. Default none.
	Tokens []string `toml:"tokens" secret:"true"`
	// Apple's push service for this app.
	APNS APNSConfig `toml:"apns"`
	// Google's push service for this app.
	FCM FCMConfig `toml:"fcm"`
	// Browsers' push services for this app.
	WebPush WebPushConfig `toml:"webpush"`
	// Where dead tokens of this app are posted to.
	Webhook WebhookConfig `toml:"webhook"`
}

// APNSConfig is one [push.apps.apns] table: how an app is known to Apple.
// It authenticates with a signing key or with a certificate, not both.
type APNSConfig struct {
	// Signing key from Apple (.p8, PEM) for token authentication. Empty means that this app uses a certificate, or Apple not at all. Default empty.
	KeyFile string `toml:"key_file"`
	// Id of the signing key, 10 characters. Required with key_file.
	KeyID string `toml:"key_id"`
	// Id of the team that owns the key, 10 characters. Required with key_file.
	TeamID string `toml:"team_id"`
	// Certificate (PEM) for certificate authentication. Default empty.
	CertFile string `toml:"cert_file"`
	// Private key (PEM) of the certificate. Empty means that cert_file holds it too. Default empty.
	CertKeyFile string `toml:"cert_key_file"`
	// Passphrase of an encrypted private key. Default empty.
	CertKeyPassphrase string `toml:"cert_key_passphrase" secret:"true"`
	// File that holds cert_key_passphrase, instead of it. Default empty.
	CertKeyPassphraseFile string `toml:"cert_key_passphrase_file"`
	// Topic, usually the bundle id of the app. Required with key_file.
	Topic string `toml:"topic"`
	// Base URL of the service: Apple's, a stand-in or a proxy; always https. Empty means "https://api.push.apple.com". Default empty.
	Endpoint string `toml:"endpoint"`
	// Base URL of the service that manages broadcast channels, always https. Empty means Apple's that goes with endpoint, or endpoint itself when that is not Apple's. Default empty.
	ChannelsEndpoint string `toml:"channels_endpoint"`
	// PEM file of root certificates to trust instead of the system's. Default empty.
	CAFile string `toml:"ca_file"`
	// Connections to keep to the service. 0 means 4. Default 0.
	Connections int `toml:"connections"`
	// Notifications that may be under way at once over all connections; Apple's own limit holds as well. 0 means 6000. Default 0.
	MaxInFlight int `toml:"max_in_flight"`
	// How long one notification may take before it counts as unanswered and is tried again. 0 means "10s". Default 0.
	Timeout time.Duration `toml:"timeout"`
}

// DefaultConfig returns what an empty [push] table means: a gateway on
// loopback, without an app, with its queue in data/push.db.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:1056", Store: "sqlite:data/push.db"}.withDefaults()
}

// withDefaults gives zero values their meaning.
func (c Config) withDefaults() Config {
	if c.MaxBacklog == 0 {
		c.MaxBacklog = 10_000_000
	}
	if c.DiskReserveBytes == 0 {
		c.DiskReserveBytes = 64 << 20
	}
	if c.MaxRequestBytes == 0 {
		c.MaxRequestBytes = 16 << 20
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&c.RetryMin, time.Second},
		{&c.RetryMax, 5 * time.Minute},
		{&c.GiveUpAfter, 24 * time.Hour},
		{&c.KeepResults, 24 * time.Hour},
		{&c.KeepFeedback, 30 * 24 * time.Hour},
		{&c.DeadTokenCache, 24 * time.Hour},
		{&c.StopTimeout, time.Second},
	} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	return c
}

// Validate reports every fault with its key below [push]. It reads the
// credential files, so that a bad one is known before the gateway starts.
func (c Config) Validate(fault func(key, problem string)) {
	c.validateIntake(fault)
	for _, n := range []struct {
		key string
		v   int64
	}{
		{"max_backlog", c.MaxBacklog},
		{"max_request_bytes", c.MaxRequestBytes},
		{"workers", int64(c.Workers)},
		{"retry_min", int64(c.RetryMin)},
		{"retry_max", int64(c.RetryMax)},
		{"give_up_after", int64(c.GiveUpAfter)},
		{"keep_results", int64(c.KeepResults)},
		{"keep_feedback", int64(c.KeepFeedback)},
		{"stop_timeout", int64(c.StopTimeout)},
	} {
		if n.v < 0 {
			fault(n.key, "must not be negative")
		}
	}
	if d := c.withDefaults(); d.RetryMin > 0 && d.RetryMax > 0 && d.RetryMax < d.RetryMin {
		fault("retry_max", "must not be shorter than retry_min")
	}
	c.Gaurun.validate(func(key, problem string) { fault("gaurun."+key, problem) })
	names := make(map[string]int)
	for i, app := range c.Apps {
		at := func(key, problem string) { fault(fmt.Sprintf("apps[%d].%s", i, key), problem) }
		if first, taken := names[app.Name]; taken && app.Name != "" {
			at("name", fmt.Sprintf("%q is already the name of apps[%d]", app.Name, first))
		} else {
			names[app.Name] = i
		}
		app.validate(at)
	}
}

func (c Config) validateIntake(fault func(key, problem string)) {
	protected := len(c.Tokens) > 0
	for i, t := range c.Tokens {
		if t == "" || !isPrintable(t) || strings.Contains(t, " ") {
			fault(fmt.Sprintf("tokens[%d]", i), "must be printable ASCII without spaces")
		}
	}
	for _, app := range c.Apps {
		protected = protected || len(app.Tokens) > 0
	}
	switch local, err := isLocal(c.Listen); {
	case err != nil:
		fault("listen", err.Error())
	case !local && !protected && !c.AllowOpen:
		fault("listen", fmt.Sprintf("%q is open to other machines: set tokens, or listen on 127.0.0.1 or a unix socket", c.Listen))
	}
	sqldb.Config{URL: c.Store}.Validate(func(_, problem string) { fault("store", problem) })
}

// isLocal reports whether only this machine can reach the address.
func isLocal(listen string) (bool, error) {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		if path == "" {
			return false, errors.New("names no socket: unix:/path")
		}
		return true, nil
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "" {
		return false, fmt.Errorf("%q is not host:port nor unix:/path", listen)
	}
	if host == "localhost" {
		return true, nil
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback(), nil
}

func (a AppConfig) validate(fault func(key, problem string)) {
	switch {
	case a.Name == "":
		fault("name", "is required")
	case len(a.Name) > maxAppName || strings.Trim(a.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "":
		fault("name", fmt.Sprintf("%q must be at most 40 letters, digits, '.', '_' or '-'", a.Name))
	}
	for i, t := range a.Tokens {
		if t == "" || !isPrintable(t) || strings.Contains(t, " ") {
			fault(fmt.Sprintf("tokens[%d]", i), "must be printable ASCII without spaces")
		}
	}
	a.APNS.validate(func(key, problem string) { fault("apns."+key, problem) })
	a.FCM.validate(func(key, problem string) { fault("fcm."+key, problem) })
	a.WebPush.validate(func(key, problem string) { fault("webpush."+key, problem) })
	a.Webhook.validate(func(key, problem string) { fault("webhook."+key, problem) })
}

// maxInFlight is how many notifications may be under way at a provider.
func (a AppConfig) maxInFlight(p Platform) int64 {
	switch p {
	case FCM:
		return int64(a.FCM.WithDefaults().MaxInFlight)
	case WebPush:
		return int64(a.WebPush.WithDefaults().MaxInFlight)
	default:
		return int64(a.APNS.WithDefaults().MaxInFlight)
	}
}

// Enabled reports whether the app is known to Apple at all.
func (c APNSConfig) Enabled() bool { return c.KeyFile != "" || c.CertFile != "" }

// WithDefaults gives zero values their meaning.
func (c APNSConfig) WithDefaults() APNSConfig {
	if c.Endpoint == "" {
		c.Endpoint = "https://api.push.apple.com"
	}
	if c.ChannelsEndpoint == "" {
		c.ChannelsEndpoint = channelsEndpoint(c.Endpoint)
	}
	if c.Connections == 0 {
		c.Connections = 4
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 6000
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

// channelsEndpoint is where the channels of an endpoint are managed. Apple has a
// host and a port of its own for it in each environment.
func channelsEndpoint(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	switch u.Hostname() {
	case "api.push.apple.com":
		return "https://api-manage-broadcast.push.apple.com:2196"
	case "api.sandbox.push.apple.com", "api.development.push.apple.com":
		return "https://api-manage-broadcast.sandbox.push.apple.com:2195"
	}
	return endpoint
}

func (c APNSConfig) validate(fault func(key, problem string)) {
	if !c.Enabled() {
		if c != (APNSConfig{}) {
			fault("key_file", "is required (or cert_file) when anything else of apns is set")
		}
		return
	}
	switch {
	case c.KeyFile != "" && c.CertFile != "":
		fault("cert_file", "and key_file exclude each other: Apple takes a token or a certificate")
	case c.KeyFile != "":
		if _, err := c.SigningKey(); err != nil {
			fault("key_file", err.Error())
		}
		for _, r := range []struct{ key, v string }{{"key_id", c.KeyID}, {"team_id", c.TeamID}, {"topic", c.Topic}} {
			if r.v == "" {
				fault(r.key, "is required with key_file")
			}
		}
	default:
		if _, err := c.Certificate(); err != nil {
			fault("cert_file", err.Error())
		}
	}
	if _, err := c.RootCAs(); err != nil {
		fault("ca_file", err.Error())
	}
	for _, e := range []struct{ key, v string }{{"endpoint", c.Endpoint}, {"channels_endpoint", c.ChannelsEndpoint}} {
		if e.v == "" {
			continue
		}
		if u, err := url.Parse(e.v); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			fault(e.key, "must be https://host or https://host:port")
		}
	}
	if c.Connections < 0 || c.Connections > 64 {
		fault("connections", "must be between 0 and 64")
	}
	if c.MaxInFlight < 0 {
		fault("max_in_flight", "must not be negative")
	}
	if c.Timeout < 0 {
		fault("timeout", "must not be negative")
	}
}

// SigningKey reads the key that provider tokens are signed with. The error
// names the file and never what is in it.
func (c APNSConfig) SigningKey() (*ecdsa.PrivateKey, error) {
	raw, err := readFile(c.KeyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", c.KeyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no PKCS #8 private key", c.KeyFile)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s holds no P-256 key, which is what Apple issues", c.KeyFile)
	}
	return key, nil
}

// Certificate reads the client certificate and its key.
func (c APNSConfig) Certificate() (tls.Certificate, error) {
	certPEM, err := readFile(c.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM := certPEM
	if c.CertKeyFile != "" {
		if keyPEM, err = readFile(c.CertKeyFile); err != nil {
			return tls.Certificate{}, err
		}
	}
	if keyPEM, err = decryptKey(keyPEM, c.CertKeyPassphrase); err != nil {
		return tls.Certificate{}, fmt.Errorf("read the key of %s: %w", c.CertFile, err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and its key do not make a certificate: %w", c.CertFile, err)
	}
	return cert, nil
}

// RootCAs reads the roots to trust; nil means the system's.
func (c APNSConfig) RootCAs() (*x509.CertPool, error) { return rootCAs(c.CAFile) }

func rootCAs(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return pool, nil
}

func readFile(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return raw, nil
}
