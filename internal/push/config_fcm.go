package push

import "time"

// FCMConfig is one [push.apps.fcm] table: how an app is known to Google.
type FCMConfig struct {
	// Service account (JSON, from the Google Cloud console); its project and token_uri are used. Empty means that this app does not use Google. Default empty.
	CredentialsFile string `toml:"credentials_file"`
	// Base URL of the service: Google's, a stand-in or a proxy; always https. Empty means "https://fcm.googleapis.com". Default empty.
	Endpoint string `toml:"endpoint"`
	// PEM file of root certificates to trust instead of the system's, for endpoint and token_uri. Default empty.
	CAFile string `toml:"ca_file"`
	// Connections to keep to the service. 0 means 4. Default 0.
	Connections int `toml:"connections"`
	// Notifications that may be under way at once over all connections. 0 means 400, which is what Google was seen to allow on 4 connections. Default 0.
	MaxInFlight int `toml:"max_in_flight"`
	// How long one notification may take before it counts as unanswered and is tried again. 0 means "10s". Default 0.
	Timeout time.Duration `toml:"timeout"`
	// Messages a minute that the project's quota allows. 0 means 600000, Google's default; -1 means no limit. Default 0.
	Quota int `toml:"quota"`
}

// Enabled reports whether the app is known to Google at all.
func (c FCMConfig) Enabled() bool { return c.CredentialsFile != "" }

// WithDefaults gives zero values their meaning.
func (c FCMConfig) WithDefaults() FCMConfig {
	if c.Endpoint == "" {
		c.Endpoint = "https://fcm.googleapis.com"
	}
	if c.Connections == 0 {
		c.Connections = 4
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 400
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Quota == 0 {
		c.Quota = 600_000
	}
	return c
}

func (c FCMConfig) validate(fault func(key, problem string)) {
	if !c.Enabled() {
		if c != (FCMConfig{}) {
			fault("credentials_file", "is required when anything else of fcm is set")
		}
		return
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
	if c.Quota < -1 {
		fault("quota", "must be -1, 0 or more")
	}
}
