package api

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config is the [api] table.
type Config struct {
	// Address that the market's API listens on: "host:port", or "unix:/path" for a socket. Default: "127.0.0.1:8080".
	Listen string `toml:"listen"`
	// Where the push gateway is: "http://host:port" or "unix:/path". Empty means that nobody is notified. Default: "http://127.0.0.1:1056".
	PushURL string `toml:"push_url"`
	// Bearer token for the push gateway. Default: empty, none is sent.
	PushToken string `toml:"push_token" secret:"true"`
	// File that holds push_token. Default: empty.
	PushTokenFile string `toml:"push_token_file"`
	// Name of the app in the push gateway's configuration. Default: empty, the gateway's first.
	PushApp string `toml:"push_app"`
	// How often the push gateway is asked for dead device tokens. 0 means "30s". Default: "30s".
	FeedbackInterval time.Duration `toml:"feedback_interval"`
	// Jobs of the market that run at once in this process. 0 means 16. Default: 16.
	JobWorkers int `toml:"job_workers"`

	// How long this process remembers a session, and so the longest time that it still honours one that was ended on another process. 0 means "5s". Default: "5s".
	SessionCache time.Duration `toml:"session_cache"`
	// Passwords hashed at once; each takes 19 MiB and a core. 0 means the number of cores. Default: 0.
	PasswordConcurrency int `toml:"password_concurrency"`
	// How long a log-in waits for its turn before it is answered 503. 0 means "2s". Default: "2s".
	PasswordWait time.Duration `toml:"password_wait"`

	// Largest JSON body of a request, in bytes. 0 means 65536 (64 KiB). Default: 65536.
	MaxBodyBytes int64 `toml:"max_body_bytes"`
	// How long a client may take to send a JSON body. 0 means "10s". Default: "10s".
	BodyTimeout time.Duration `toml:"body_timeout"`
	// How long a client may take to send a photo. 0 means "60s". Default: "60s".
	PhotoTimeout time.Duration `toml:"photo_timeout"`
	// How long the work on one request may take, apart from the payment. 0 means "15s". Default: "15s".
	RequestTimeout time.Duration `toml:"request_timeout"`
	// How long the payment provider may take to answer a charge; after that the order stays pending and is settled by a job. 0 means "20s". Default: "20s".
	ChargeTimeout time.Duration `toml:"charge_timeout"`

	// Addresses and networks of the proxies in front of the API, as "10.0.0.0/8" or "192.0.2.1": from them X-Forwarded-For and X-Real-IP are believed. Default: empty, this machine.
	TrustedProxies []string `toml:"trusted_proxies"`
	// How many requests are taken; beyond that they are answered 429.
	Limits LimitConfig `toml:"limits"`
}

// LimitConfig is the [api.limits] table. A limit is both how many requests may
// come at once and how many a minute after that. Each process counts for itself.
type LimitConfig struct {
	// How many reads a minute one user makes that are not answered 304. 0 means 3000, -1 no limit. Default: 3000.
	Reads int `toml:"reads"`
	// How many reads a minute come from one address that the cache does not answer. 0 means 120000, -1 no limit. Default: 120000.
	ReadsIP int `toml:"reads_ip"`
	// How many writes a minute one user makes. 0 means 600, -1 no limit. Default: 600.
	Writes int `toml:"writes"`
	// How many writes a minute come from one address, which a whole office or a mobile network may share. 0 means 60000, -1 no limit. Default: 60000.
	WritesIP int `toml:"writes_ip"`
	// How many purchases a minute one user tries. 0 means 60, -1 no limit. Default: 60.
	Purchases int `toml:"purchases"`
	// How many log-ins a minute may fail for one account. 0 means 10, -1 no limit. Default: 10.
	LogIns int `toml:"log_ins"`
	// How many log-ins a minute come from one address. 0 means 120, -1 no limit. Default: 120.
	LogInsIP int `toml:"log_ins_ip"`
	// How many registrations a minute come from one address. 0 means 60, -1 no limit. Default: 60.
	RegistrationsIP int `toml:"registrations_ip"`
}

// withDefaults gives zero values their meaning.
func (c LimitConfig) withDefaults() LimitConfig {
	for _, l := range []struct {
		v *int
		n int
	}{
		{&c.Reads, 3000}, {&c.ReadsIP, 120_000}, {&c.Writes, 600}, {&c.WritesIP, 60_000}, {&c.Purchases, 60},
		{&c.LogIns, 10}, {&c.LogInsIP, 120}, {&c.RegistrationsIP, 60},
	} {
		if *l.v == 0 {
			*l.v = l.n
		}
	}
	return c
}

// maxLimit is far above what a process answers.
const maxLimit = 100_000_000

func (c LimitConfig) validate(fault func(key, problem string)) {
	for _, l := range []struct {
		key string
		v   int
	}{
		{"reads", c.Reads}, {"reads_ip", c.ReadsIP}, {"writes", c.Writes}, {"writes_ip", c.WritesIP}, {"purchases", c.Purchases},
		{"log_ins", c.LogIns}, {"log_ins_ip", c.LogInsIP}, {"registrations_ip", c.RegistrationsIP},
	} {
		if l.v < -1 || l.v > maxLimit {
			fault("limits."+l.key, fmt.Sprintf("is %d, must be -1 to %d", l.v, maxLimit))
		}
	}
}

// DefaultConfig returns the configuration that is used where the operator says nothing.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:8080", PushURL: "http://127.0.0.1:1056"}.withDefaults()
}

// withDefaults gives zero values their meaning.
func (c Config) withDefaults() Config {
	if c.JobWorkers == 0 {
		c.JobWorkers = 16
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = 64 << 10
	}
	c.Limits = c.Limits.withDefaults()
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&c.FeedbackInterval, 30 * time.Second},
		{&c.SessionCache, 5 * time.Second},
		{&c.PasswordWait, 2 * time.Second},
		{&c.BodyTimeout, 10 * time.Second},
		{&c.PhotoTimeout, 60 * time.Second},
		{&c.RequestTimeout, 15 * time.Second},
		{&c.ChargeTimeout, 20 * time.Second},
	} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	return c
}

// maxBodyBytes bounds max_body_bytes: a body is held in memory whole.
const maxBodyBytes = 16 << 20

// Validate reports every fault with its key relative to the [api] table.
func (c Config) Validate(fault func(key, problem string)) {
	if c.Listen == "" {
		fault("listen", "is empty")
	}
	if c.PushURL != "" && !strings.HasPrefix(c.PushURL, "unix:/") {
		u, err := url.Parse(c.PushURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
			fault("push_url", "must be http://host:port, https://host:port or unix:/path")
		}
	}
	if c.JobWorkers < 0 || c.JobWorkers > 1024 {
		fault("job_workers", fmt.Sprintf("is %d, must be 0 to 1024", c.JobWorkers))
	}
	if c.PasswordConcurrency < 0 || c.PasswordConcurrency > 1024 {
		fault("password_concurrency", fmt.Sprintf("is %d, must be 0 to 1024", c.PasswordConcurrency))
	}
	if c.MaxBodyBytes != 0 && (c.MaxBodyBytes < 4096 || c.MaxBodyBytes > maxBodyBytes) {
		fault("max_body_bytes", fmt.Sprintf("is %d, must be 4096 to %d", c.MaxBodyBytes, maxBodyBytes))
	}
	for i, s := range c.TrustedProxies {
		if _, err := parseNetwork(s); err != nil {
			fault(fmt.Sprintf("trusted_proxies[%d]", i), "must be an address or a network, as in 192.0.2.1 or 10.0.0.0/8")
		}
	}
	c.Limits.validate(fault)
	for _, d := range []struct {
		key string
		v   time.Duration
	}{
		{"feedback_interval", c.FeedbackInterval},
		{"session_cache", c.SessionCache},
		{"password_wait", c.PasswordWait},
		{"body_timeout", c.BodyTimeout},
		{"photo_timeout", c.PhotoTimeout},
		{"request_timeout", c.RequestTimeout},
		{"charge_timeout", c.ChargeTimeout},
	} {
		if d.v < 0 {
			fault(d.key, "must not be negative")
		}
	}
	if c.ChargeTimeout > maxChargeTimeout {
		fault("charge_timeout", fmt.Sprintf("must be at most %s", maxChargeTimeout))
	}
}

// maxChargeTimeout is far below the time after which an unpaid order is
// cancelled: no call may still be charging one then.
const maxChargeTimeout = 2 * time.Minute
