// Package config is furima.toml: it composes the Config of every part into one
// file, reads it strictly, lays the environment over it, and reports every
// fault at once, each with its key.
//
// Call Load first:
//
//	cfg, err := config.Load(config.Source{
//		Path:    "furima.toml",
//		Environ: os.Environ(),
//	})
//	var faults config.Faults
//	if errors.As(err, &faults) {
//		for _, f := range faults {
//			fmt.Fprintln(os.Stderr, f) // "api.listen: …"
//		}
//		os.Exit(2)
//	}
//
// Precedence, weakest first: the defaults, the file, FURIMA_* variables. The
// name of a variable is FURIMA_ plus the key in upper case with dots as
// underscores: store.url is FURIMA_STORE_URL. Keys inside arrays of tables
// ([[push.apps]], [[warm.targets]], [[edge.sites]]) have no variable.
//
// A key that ends in _file and has a partner without the ending (for example
// refresh_secret_file and refresh_secret) is read into its partner.
//
// The package does not watch the file and does not know which role runs: every
// role reads the same file and uses its own tables. Values are plain data; a
// Config may be copied.
package config

import (
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/carrier"
	"github.com/furima/furima/internal/daemon"
	"github.com/furima/furima/internal/edge"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/warm"
)

// Config is the whole of furima.toml, one table a part.
type Config struct {
	// How every role writes its log.
	Log daemon.LogConfig `toml:"log"`
	// The ops listener of every role: health, metrics, profiles, the operator's page.
	Ops daemon.OpsConfig `toml:"ops"`
	// The market's database, with its jobs.
	Store sqldb.Config `toml:"store"`
	// The market's JSON API.
	API api.Config `toml:"api"`
	// The API's response cache.
	Cache cache.Config `toml:"cache"`
	// Photo intake and storage.
	Photo photo.Config `toml:"photo"`
	// The payment provider.
	Pay pay.Config `toml:"pay"`
	// The carrier, which makes labels.
	Carrier carrier.Config `toml:"carrier"`
	// The push gateway.
	Push push.Config `toml:"push"`
	// The cache warmer.
	Warm warm.Config `toml:"warm"`
	// nginx in front.
	Edge edge.Config `toml:"edge"`
}

// Default returns the configuration that an empty file means.
func Default() Config {
	return Config{
		Log:     daemon.DefaultLogConfig(),
		Ops:     daemon.DefaultOpsConfig(),
		Store:   sqldb.DefaultConfig(),
		API:     api.DefaultConfig(),
		Cache:   cache.DefaultConfig(),
		Photo:   photo.DefaultConfig(),
		Pay:     pay.DefaultConfig(),
		Carrier: carrier.DefaultConfig(),
		Push:    push.DefaultConfig(),
		Warm:    warm.DefaultConfig(),
		Edge:    edge.DefaultConfig(),
	}
}

// validate reports the faults of every table, with whole keys.
func (c Config) validate(fault func(key, problem string)) {
	under := func(table string) func(key, problem string) {
		return func(key, problem string) { fault(table+"."+key, problem) }
	}
	c.Log.Validate(under("log"))
	c.Ops.Validate(under("ops"))
	c.Store.Validate(under("store"))
	c.API.Validate(under("api"))
	c.Cache.Validate(under("cache"))
	c.Photo.Validate(under("photo"))
	c.Pay.Validate(under("pay"))
	c.Carrier.Validate(under("carrier"))
	c.Push.Validate(under("push"))
	c.Warm.Validate(under("warm"))
	c.Edge.Validate(under("edge"))
	for key, addr := range map[string]string{"api.listen": c.API.Listen, "push.listen": c.Push.Listen} {
		if err := daemon.CheckAddr(addr); err != nil {
			fault(key, err.Error())
		}
	}
}
