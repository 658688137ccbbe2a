package pay

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// The providers.
const providerSandbox = "sandbox"

// Config is the table [pay].
type Config struct {
	// Provider is who takes the buyers' money; "sandbox", a stand-in that moves none and decides by the payment token, is the only one yet. Default: "sandbox".
	Provider string `toml:"provider"`
	// AllowSandbox lets the sandbox run outside of furima dev, where a forgotten setting would give things away. Default: false.
	AllowSandbox bool `toml:"allow_sandbox"`
	// SandboxFile is the file in which the sandbox remembers its charges; its directory is made if it is missing, and processes on one machine may share it. Default: "data/sandbox-charges.jsonl".
	SandboxFile string `toml:"sandbox_file"`
}

// DefaultConfig returns the configuration that an empty table means.
func DefaultConfig() Config {
	return Config{Provider: providerSandbox, SandboxFile: "data/sandbox-charges.jsonl"}
}

// Validate reports every fault with its key.
func (c Config) Validate(fault func(key, problem string)) {
	if c.Provider != providerSandbox {
		fault("provider", fmt.Sprintf("is %q, must be %q", c.Provider, providerSandbox))
	}
	if c.Provider == providerSandbox && c.SandboxFile == "" {
		fault("sandbox_file", "is empty")
	}
}

// Options are what a provider needs besides its configuration.
type Options struct {
	Dev    bool             // furima dev: the sandbox needs no permission
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: no logs
}

// ErrSandboxRefused is why Open does not open a sandbox outside of furima dev.
var ErrSandboxRefused = errors.New(`pay.provider is "sandbox", which takes no money: name a real provider, or set pay.allow_sandbox = true to give things away`)

// Open opens the configured provider.
func Open(cfg Config, o Options) (Provider, error) {
	if cfg.Provider != providerSandbox {
		return nil, fmt.Errorf("open payment provider: unknown provider %q", cfg.Provider)
	}
	if !o.Dev && !cfg.AllowSandbox {
		return nil, ErrSandboxRefused
	}
	return OpenSandbox(cfg.SandboxFile, o)
}
