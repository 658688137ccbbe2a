package daemon

import "time"

// Log formats and colour settings of LogConfig.
const (
	FormatAuto = "auto"
	FormatJSON = "json"
	FormatText = "text"

	ColorAuto   = "auto"
	ColorAlways = "always"
	ColorNever  = "never"
)

// LogConfig is the table [log].
type LogConfig struct {
	// Level is the least severe level that is written: "debug", "info", "warn" or "error". Default: "info".
	Level string `toml:"level"`
	// Format is the form of a log line: "json", "text", or "auto", which is text on a terminal and JSON elsewhere. Default: "auto".
	Format string `toml:"format"`
	// Color says whether text lines are coloured: "auto" (on a terminal, unless the environment has NO_COLOR), "always" or "never". Default: "auto".
	Color string `toml:"color"`
}

// DefaultLogConfig is what holds without a configuration file.
func DefaultLogConfig() LogConfig {
	return LogConfig{Level: "info", Format: FormatAuto, Color: ColorAuto}
}

// Validate reports every fault with its key relative to [log].
func (c LogConfig) Validate(fault func(key, problem string)) {
	if _, ok := levels[c.Level]; !ok {
		fault("level", `must be "debug", "info", "warn" or "error"`)
	}
	switch c.Format {
	case "", FormatAuto, FormatJSON, FormatText:
	default:
		fault("format", `must be "auto", "json" or "text"`)
	}
	switch c.Color {
	case "", ColorAuto, ColorAlways, ColorNever:
	default:
		fault("color", `must be "auto", "always" or "never"`)
	}
}

// OpsConfig is the table [ops].
type OpsConfig struct {
	// Listen is the address of the ops listener, which serves /-/healthy, /-/ready, /metrics, /debug/pprof/ and the operator's page: "host:port", "unix:/path" or "" for none. It has no authentication, so keep it on loopback or a private network; roles that share a machine need an address each. Default: 127.0.0.1 with port 8090 for api and dev, 8091 for push, 8092 for warm, 8093 for edge, 8094 for sandbox.
	Listen string `toml:"listen"`
	// StopTimeout is how long a role may take to stop after the first signal, drain_delay included; what still runs then is cut off. 0 means the default. Default: "30s".
	StopTimeout time.Duration `toml:"stop_timeout"`
	// DrainDelay is how long a role answers "not ready" and keeps serving before it stops, so that load balancers can take it out; shorter than stop_timeout. Default: "0s".
	DrainDelay time.Duration `toml:"drain_delay"`
}

// DefaultOpsConfig is what holds without a configuration file.
func DefaultOpsConfig() OpsConfig {
	return OpsConfig{Listen: "127.0.0.1:8090", StopTimeout: DefaultStopTimeout}
}

// Validate reports every fault with its key relative to [ops].
func (c OpsConfig) Validate(fault func(key, problem string)) {
	if c.Listen != "" {
		if err := CheckAddr(c.Listen); err != nil {
			fault("listen", err.Error())
		}
	}
	if c.StopTimeout < 0 {
		fault("stop_timeout", "must not be negative")
	}
	stop := c.StopTimeout
	if stop == 0 {
		stop = DefaultStopTimeout
	}
	switch {
	case c.DrainDelay < 0:
		fault("drain_delay", "must not be negative")
	case c.DrainDelay >= stop && stop > 0:
		fault("drain_delay", "must be shorter than stop_timeout ("+stop.String()+")")
	}
}
