package edge

import "time"

// Defaults of the [edge] table and of a site.
const (
	defaultRunDir        = "data/edge"
	defaultConnections   = 4096
	defaultStopTimeout   = 10 * time.Second
	defaultMaxBody       = 9 << 20
	defaultKeepalive     = 64
	defaultHeaderTimeout = 10 * time.Second
	defaultBodyTimeout   = 15 * time.Second
	defaultReadTimeout   = 60 * time.Second
	defaultHSTS          = 180 * 24 * time.Hour
)

// Config is the [edge] table.
type Config struct {
	// Nginx is the nginx program; empty looks for it in PATH and where systems put it. Default: empty.
	Nginx string `toml:"nginx"`
	// RunDir is the directory of the rendered configuration, the process id, logs and temporary files; it is made if it is missing. Default: "data/edge".
	RunDir string `toml:"run_dir"`
	// User is the user that nginx's workers run as when furima runs as root. Empty means the first of www-data, nginx and nobody that exists. Default: empty.
	User string `toml:"user"`
	// Workers is the number of nginx's worker processes; 0 means one for each processor. Default: 0.
	Workers int `toml:"workers"`
	// WorkerConnections is the number of connections of each worker process, those to upstreams included. 0 means 4096. Default: 4096.
	WorkerConnections int `toml:"worker_connections"`
	// AccessLog is the file of the access log, one JSON object a line; empty means logs/access.log in run_dir, "off" means none. Default: empty.
	AccessLog string `toml:"access_log"`
	// StopTimeout is how long requests under way may take to end when the edge stops or reloads; what is left is cut off. 0 means "10s". Default: "10s".
	StopTimeout time.Duration `toml:"stop_timeout"`
	// Sites are the server names that the edge serves. Default: none.
	Sites []SiteConfig `toml:"sites"`
}

// SiteConfig is one [[edge.sites]] table.
type SiteConfig struct {
	// Name is the host name that the site answers for; it may be an IPv4 address. Required.
	Name string `toml:"name"`
	// Aliases are further host names of the site. Default: none.
	Aliases []string `toml:"aliases"`
	// Listen is the address of the site: "0.0.0.0:443", "[::1]:8443", or ":443" for all addresses of both IP versions. Of the sites that share an address, the first also answers for names that none of them has. Required.
	Listen string `toml:"listen"`
	// CertFile is the PEM file of the site's certificate, followed by its intermediate ones. Required.
	CertFile string `toml:"cert_file"`
	// KeyFile is the PEM file of the certificate's private key. Required.
	KeyFile string `toml:"key_file"`
	// Upstream lists the servers behind the site, each "host:port" or "unix:/path". Required.
	Upstream []string `toml:"upstream"`
	// UpstreamKeepalive is the number of idle connections to the upstream that each worker process keeps. 0 means 64.
	UpstreamKeepalive int `toml:"upstream_keepalive"`
	// MaxBodyBytes is the largest request body, in bytes; a larger one is answered 413. 0 means 9437184 (9 MiB): the largest photo and the form around it.
	MaxBodyBytes int64 `toml:"max_body_bytes"`
	// HeaderTimeout is how long a client may take to send the header of a request. 0 means "10s".
	HeaderTimeout time.Duration `toml:"header_timeout"`
	// BodyTimeout is how long a client may pause while it sends a body. 0 means "15s".
	BodyTimeout time.Duration `toml:"body_timeout"`
	// ReadTimeout is how long the upstream may pause while it answers. 0 means "60s".
	ReadTimeout time.Duration `toml:"read_timeout"`
	// HSTS is how long browsers are told to use nothing but HTTPS for the site; localhost and IP addresses are never told. 0 means "4320h" (180 days), a negative value turns it off.
	HSTS time.Duration `toml:"hsts"`
}

// DefaultConfig returns the configuration that is used where the operator says
// nothing: no site.
func DefaultConfig() Config {
	return Config{RunDir: defaultRunDir, WorkerConnections: defaultConnections, StopTimeout: defaultStopTimeout}
}

// withDefaults gives zero values their meaning.
func (c Config) withDefaults() Config {
	if c.RunDir == "" {
		c.RunDir = defaultRunDir
	}
	if c.WorkerConnections == 0 {
		c.WorkerConnections = defaultConnections
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = defaultStopTimeout
	}
	sites := make([]SiteConfig, len(c.Sites))
	for i, s := range c.Sites {
		sites[i] = s.withDefaults()
	}
	c.Sites = sites
	return c
}

func (s SiteConfig) withDefaults() SiteConfig {
	if s.UpstreamKeepalive == 0 {
		s.UpstreamKeepalive = defaultKeepalive
	}
	if s.MaxBodyBytes == 0 {
		s.MaxBodyBytes = defaultMaxBody
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&s.HeaderTimeout, defaultHeaderTimeout},
		{&s.BodyTimeout, defaultBodyTimeout},
		{&s.ReadTimeout, defaultReadTimeout},
		{&s.HSTS, defaultHSTS},
	} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	return s
}
