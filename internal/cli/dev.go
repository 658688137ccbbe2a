package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/config"
	"github.com/furima/furima/internal/edge"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/seed"
	"github.com/furima/furima/internal/warm"
)

// devInterval is how often the warmer goes round in furima dev. An idle laptop
// shall stay idle: a few requests a second. The cache keeps answers longer than
// that, so that no list is ever missed; a change shows at once all the same,
// because it purges.
const devInterval = 4 * time.Minute

type devFlags struct {
	data, https string
	sample      seed.Options
}

func (p *program) devCommand() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "run everything on this machine, with sample data",
		Long: `Runs the API, its jobs, the push gateway, the warmer, a sandbox payment provider and
stand-ins for Apple, Google and browsers in one process, on embedded stores in --data, and nginx in
front if it is installed. The first start makes sample data; later starts keep it.
FURIMA_API_LISTEN, FURIMA_PUSH_LISTEN and FURIMA_OPS_LISTEN move the addresses.`,
		Example: "  furima dev\n  furima dev --data /tmp/market --items 500",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base := devConfig(f.data)
			cfg, err := p.load(&base)
			if err != nil {
				return err
			}
			return p.runRole(cmd.Context(), roleDev, cfg, func(ctx context.Context, r *role) error {
				return p.startDev(ctx, r, f)
			})
		},
	}
	cmd.Flags().StringVar(&f.data, "data", "data", "folder of the databases, photos and keys")
	cmd.Flags().StringVar(&f.https, "https", "127.0.0.1:8443", "address of nginx in front; empty leaves it out")
	seedFlags(cmd, &f.sample)
	return cmd
}

// devConfig is the configuration that furima dev starts from: everything below
// one folder.
func devConfig(data string) config.Config {
	cfg := config.Default()
	cfg.Store.URL = "sqlite:" + filepath.Join(data, "market.db")
	cfg.Push.Store = "sqlite:" + filepath.Join(data, "push.db")
	cfg.Photo.Dir = filepath.Join(data, "photos")
	cfg.Pay.SandboxFile = filepath.Join(data, "charges.jsonl")
	cfg.Edge.RunDir = filepath.Join(data, "edge")
	// The warmer's requests alone would fill the terminal.
	cfg.Log.Level = "warn"
	cfg.Cache.Fresh, cfg.Cache.Stale = 2*devInterval, 4*devInterval
	// A developer looks at one thing at a time: dead phones are forgotten soon.
	cfg.API.FeedbackInterval = 5 * time.Second
	return cfg
}

// startDev starts the parts in the order in which they need each other.
func (p *program) startDev(ctx context.Context, r *role, f devFlags) error {
	standIns, err := r.startSandbox(ctx, sandboxFlags{listen: "127.0.0.1:0", dir: filepath.Join(f.data, "sandbox")})
	if err != nil {
		return err
	}
	if len(r.cfg.Push.Apps) == 0 {
		r.cfg.Push.Apps = []push.AppConfig{standIns.app()}
	}
	pushURL, err := r.startPush(ctx, true)
	if err != nil {
		return err
	}
	r.cfg.API.PushURL = pushURL

	// The warmer and the cache share a secret that nobody else needs to know.
	if r.cfg.Cache.RefreshSecret == "" {
		r.cfg.Cache.RefreshSecret = rand.Text()
	}
	m, err := p.openSample(ctx, r, f)
	if err != nil {
		return err
	}
	for token, name := range seed.Phones(f.sample.Seed, f.sample.Users) {
		standIns.phones.Label(token, name)
	}
	apiURL, err := r.startAPI(ctx, m)
	if err != nil {
		return err
	}
	httpsURL, caFile, err := r.startDevEdge(ctx, f, apiURL)
	if err != nil {
		return err
	}
	if len(r.cfg.Warm.Targets) == 0 {
		if r.cfg.Warm.Targets, err = devTargets(ctx, apiURL, r.cfg.Cache.RefreshSecret, m); err != nil {
			return err
		}
	}
	if err := r.startWarm(ctx); err != nil {
		return err
	}
	guide := devGuide{api: apiURL, https: httpsURL, push: pushURL, ops: "http://" + r.cfg.Ops.Listen, caFile: caFile}
	r.onOpen = append(r.onOpen, func() { guide.print(ctx, p) })
	return nil
}

// openSample opens the market and fills it on the first start. A mark tells a
// later start that this one was cut short: it completes the sample.
func (p *program) openSample(ctx context.Context, r *role, f devFlags) (*marketParts, error) {
	m, err := r.openMarket(ctx, true)
	if err != nil {
		return nil, err
	}
	counts, err := m.store.Counts(ctx)
	if err != nil {
		return nil, err
	}
	mark := filepath.Join(f.data, "seeding")
	if _, err := os.Stat(mark); counts.Users > 0 && errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return nil, err
	}
	if err := p.seed(ctx, r.cfg, m.db, f.sample); err != nil {
		return nil, err
	}
	return m, os.Remove(mark)
}

// startDevEdge starts nginx with a certificate of its own, if there is nginx.
func (r *role) startDevEdge(ctx context.Context, f devFlags, apiURL string) (url, caFile string, err error) {
	if len(r.cfg.Edge.Sites) == 0 {
		if f.https == "" {
			return "", "", nil
		}
		cert, err := edge.DevCertificate(filepath.Join(f.data, "certificate"), time.Now())
		if err != nil {
			return "", "", err
		}
		caFile = cert.CAFile
		r.cfg.Edge.Sites = []edge.SiteConfig{{
			Name: "localhost", Aliases: []string{"127.0.0.1"}, Listen: f.https,
			CertFile: cert.CertFile, KeyFile: cert.KeyFile, Upstream: []string{hostOf(apiURL)},
		}}
	}
	switch err := edge.New(r.cfg.Edge, edge.Options{}).Check(ctx); {
	case errors.Is(err, edge.ErrNoNginx):
		r.log.Warn("nginx is not installed, so nothing listens on HTTPS", "hint", "apt-get install nginx")
		return "", "", nil
	case err != nil:
		return "", "", err
	}
	return "https://" + r.cfg.Edge.Sites[0].Listen, caFile, r.startEdge(ctx)
}

// devTargets are what the warmer keeps fresh: the newest items and the whole
// category tree, × the sorts, × the first two pages.
func devTargets(ctx context.Context, apiURL, secret string, m *marketParts) ([]warm.TargetConfig, error) {
	tree, err := m.store.Categories(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range tree.All() {
		ids = append(ids, strconv.FormatInt(int64(c.ID), 10))
	}
	sorts := []string{string(client.SortNew), string(client.SortPriceAsc), string(client.SortPriceDesc)}
	target := func(name, query string, parameters map[string][]string) warm.TargetConfig {
		return warm.TargetConfig{
			Name: name, URL: apiURL + "/v1/items?" + query, Parameters: parameters,
			RefreshSecret: secret, Interval: devInterval, Pages: 2,
		}
	}
	return []warm.TargetConfig{
		target("newest", "sort={sort}", map[string][]string{"sort": sorts}),
		target("categories", "category={category}&sort={sort}", map[string][]string{"category": ids, "sort": sorts}),
	}, nil
}
