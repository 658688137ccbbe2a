package push

// GaurunConfig is the [push.gaurun] table: what Gaurun's routes do beside what
// the gateway does. A Gaurun configuration file sets it by its own keys.
type GaurunConfig struct {
	// Notifications that one request to Gaurun's POST /push may hold. 0 means 100. Default 0.
	NotificationMax int `toml:"notification_max"`
	// Whether Gaurun's POST /push takes notifications without a message. Default false.
	AllowsEmptyMessage bool `toml:"allows_empty_message"`
	// Access log with Gaurun's lines (with device tokens and texts in them): a path, "stdout", "stderr" or "discard". Empty means none. Default empty.
	AccessLog string `toml:"access_log"`
	// Error log with Gaurun's lines (with device tokens and texts in them): a path, "stdout", "stderr" or "discard". Empty means none. Default empty.
	ErrorLog string `toml:"error_log"`
}

func (c GaurunConfig) validate(fault func(key, problem string)) {
	if c.NotificationMax < 0 {
		fault("notification_max", "must not be negative")
	}
}
