package cache

import (
	"fmt"
	"time"
)

// Config is the [cache] table.
type Config struct {
	// MaxBytes is the memory that stored answers may take, in bytes, with keys, tags and compressed forms counted in. Default: 134217728 (128 MiB).
	MaxBytes int64 `toml:"max_bytes"`
	// Fresh is how long a stored answer is served as it is. Default: "10s".
	Fresh time.Duration `toml:"fresh"`
	// Stale is how long after that it is still served while it is renewed in the background; 0 turns that off. An answer whose item has changed is never served. Default: "50s".
	Stale time.Duration `toml:"stale"`
	// LoadTimeout is the longest time that making one answer may take. Default: "10s".
	LoadTimeout time.Duration `toml:"load_timeout"`
	// Renewers is the number of answers renewed in the background at once. Default: 2.
	Renewers int `toml:"renewers"`
	// KeepFor is how long after a refresh by the warmer an answer is renewed at once whenever it is purged, without waiting for a reader; 0 turns that off. Default: "1h".
	KeepFor time.Duration `toml:"keep_for"`
	// ClientMaxAge is the max-age in the Cache-Control header of cached answers, in whole seconds. Default: "1s".
	ClientMaxAge time.Duration `toml:"client_max_age"`
	// ClientStale is the stale-while-revalidate in the Cache-Control header of cached answers, in whole seconds; 0 leaves it out. Default: "5s".
	ClientStale time.Duration `toml:"client_stale"`
	// RefreshSecret lets a request with the header Furima-Refresh carrying this value recompute its answer; the warmer sends it. At least 16 characters. Default: empty, nobody can.
	RefreshSecret string `toml:"refresh_secret" secret:"true"`
	// RefreshSecretFile is a file that holds refresh_secret. Default: empty.
	RefreshSecretFile string `toml:"refresh_secret_file"`
}

// DefaultConfig returns the configuration that is used where the operator says nothing.
func DefaultConfig() Config {
	return Config{
		MaxBytes:     128 << 20,
		Fresh:        10 * time.Second,
		Stale:        50 * time.Second,
		LoadTimeout:  10 * time.Second,
		Renewers:     2,
		KeepFor:      time.Hour,
		ClientMaxAge: time.Second,
		ClientStale:  5 * time.Second,
	}
}

// minSecret is the shortest refresh secret: whoever holds it can make the server compute.
const minSecret = 16

// Validate reports every fault with its key relative to the [cache] table.
func (c Config) Validate(fault func(key, problem string)) {
	if c.MaxBytes < 1<<20 {
		fault("max_bytes", fmt.Sprintf("is %d, must be at least 1048576 (1 MiB)", c.MaxBytes))
	}
	if c.Fresh <= 0 {
		fault("fresh", "must be longer than 0s")
	}
	if c.LoadTimeout <= 0 {
		fault("load_timeout", "must be longer than 0s")
	}
	if c.Renewers < 1 || c.Renewers > 1024 {
		fault("renewers", fmt.Sprintf("is %d, must be 1 to 1024", c.Renewers))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"stale", c.Stale}, {"keep_for", c.KeepFor}, {"client_max_age", c.ClientMaxAge}, {"client_stale", c.ClientStale}} {
		if d.value < 0 {
			fault(d.key, "must not be negative")
		}
	}
	if c.RefreshSecret != "" && len(c.RefreshSecret) < minSecret {
		fault("refresh_secret", fmt.Sprintf("is shorter than %d characters", minSecret))
	}
}
