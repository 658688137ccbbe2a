package push

import "time"

// WebPushConfig is one [push.apps.webpush] table: how an app is known to the
// push services of browsers.
type WebPushConfig struct {
	// VAPID key (P-256, PEM) that subscriptions were made with; "furima push vapid" makes one. Empty means that this app does not use Web Push. Default empty.
	KeyFile string `toml:"key_file"`
	// Contact that push services can reach when something is wrong: "mailto:…" or "https://…". Required with key_file.
	Subject string `toml:"subject"`
	// Lets subscriptions point to loopback and private addresses, for stand-ins only. Default false.
	AllowPrivate bool `toml:"allow_private"`
	// PEM file of root certificates to trust instead of the system's. Default empty.
	CAFile string `toml:"ca_file"`
	// Notifications that may be under way at once over all push services. 0 means 500. Default 0.
	MaxInFlight int `toml:"max_in_flight"`
	// How long one notification may take before it counts as unanswered and is tried again. 0 means "10s". Default 0.
	Timeout time.Duration `toml:"timeout"`
}

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
	if c.MaxInFlight < 0 {
		fault("max_in_flight", "must not be negative")
	}
	if c.Timeout < 0 {
		fault("timeout", "must not be negative")
	}
}
