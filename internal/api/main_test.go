package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/store"
)

var update = flag.Bool("update", false, "write golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a whole market API on a database of its own, behind a real server.
type bench struct {
	t       testing.TB
	api     *api.API
	store   *store.Store
	queue   *job.Queue
	db      *sqldb.DB
	cache   *cache.Cache
	sandbox *pay.Sandbox
	gateway *gateway
	reg     *prometheus.Registry
	log     *logBuffer
	url     string
	client  *client.Client // without a session
	users   int
	plain   *http.Client
	deps    api.Deps
	config  api.Config
	server  *httptest.Server
}

// http is for requests that client does not make.
func (b *bench) http() *http.Client { return b.plain }

// tokens are those of the people that the tests have made.
var tokens sync.Map // *client.Client → string

func tokenOf(c *client.Client) string {
	token, _ := tokens.Load(c)
	return token.(string)
}

// body reads an answer.
func body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return string(b)
}

// options change what newBench builds.
type options struct {
	config  func(*api.Config)
	now     func() time.Time
	pay     func(pay.Provider) pay.Provider
	rules   func(*market.Rules)
	noQueue bool // the queue and the worker do not run
	noPush  bool
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lines returns the log lines with a message.
func (l *logBuffer) lines(t testing.TB, msg string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if m["msg"] == msg {
			all = append(all, m)
		}
	}
	return all
}

func newBench(t testing.TB, o options) *bench {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	b := &bench{t: t, log: &logBuffer{}, reg: prometheus.NewRegistry()}
	logger := slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))

	db, err := sqldb.Open(ctx, sqldb.Config{URL: "sqlite:" + dir + "/market.db"}, sqldb.Options{Logger: logger, Name: "market"})
	must(t, err)
	b.db = db
	must(t, job.Migrate(ctx, db))
	must(t, store.Migrate(ctx, db))
	b.queue = job.NewQueue(db, job.Options{Logger: logger, Now: o.now})
	rules := market.DefaultRules()
	if o.rules != nil {
		o.rules(&rules)
	}
	b.store = store.New(db, b.queue, store.Options{Logger: logger, Now: o.now, Rules: rules})
	b.cache = cache.New(cache.DefaultConfig(), cache.Options{Logger: logger, Now: o.now})
	b.sandbox, err = pay.OpenSandbox(dir+"/charges.jsonl", pay.Options{Dev: true, Now: o.now})
	must(t, err)
	var provider pay.Provider = b.sandbox
	if o.pay != nil {
		provider = o.pay(provider)
	}
	photoConfig := photo.DefaultConfig()
	photoConfig.Dir, photoConfig.MaxBytes = dir+"/photos", 256<<10
	photos, err := photo.Open(photoConfig, photo.Options{})
	must(t, err)

	cfg := api.DefaultConfig()
	cfg.PushApp = "market"
	cfg.BodyTimeout = 5 * time.Second
	if o.now != nil { // a clock that stands still gives nothing back
		cfg.Limits = api.LimitConfig{Reads: -1, ReadsIP: -1, Writes: -1, WritesIP: -1, Purchases: -1, LogIns: -1, LogInsIP: -1, RegistrationsIP: -1}
	}
	if o.config != nil {
		o.config(&cfg)
	}
	b.gateway = newGateway(t)
	push := client.NewPush(client.PushOptions{URL: b.gateway.URL, Token: "gateway-secret"})
	if o.noPush {
		push = nil
	}
	b.config, b.deps = cfg, api.Deps{
		Store: b.store, Queue: b.queue, Cache: b.cache, Pay: provider, Photos: photos, Push: push,
		Logger: logger, Registerer: b.reg, Now: o.now, Version: "test",
	}
	b.api, err = api.New(cfg, b.deps)
	must(t, err)
	b.server = httptest.NewServer(b.api.Handler())
	b.url = b.server.URL
	b.client = client.New(client.Options{BaseURL: b.url})
	b.plain = &http.Client{Transport: &http.Transport{DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

	var running sync.WaitGroup
	running.Go(func() { _ = b.cache.Run(ctx) })
	if !o.noQueue {
		running.Go(func() { _ = b.queue.Run(ctx) })
		worker := b.queue.NewWorker(job.WorkerOptions{Handlers: b.api.Jobs(), Concurrency: 4})
		running.Go(func() { _ = worker.Run(ctx) })
	}
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		b.plain.CloseIdleConnections()
		b.server.Close()
		cancel()
		running.Wait()
		if push != nil {
			push.CloseIdleConnections()
		}
		must(t, photos.Close())
		must(t, b.sandbox.Close())
		must(t, db.Close())
	})
	b.categories()
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// categories makes a small tree: 1 over 2 and 3, and 4.
func (b *bench) categories() {
	b.t.Helper()
	_, err := b.store.Import(b.t.Context(), store.Batch{Categories: []market.Category{
		{ID: 1, Name: "Fashion", NameJA: "ファッション"},
		{ID: 2, Parent: 1, Position: 1, Name: "Jackets", NameJA: "ジャケット"},
		{ID: 3, Parent: 1, Position: 2, Name: "Shoes", NameJA: "靴"},
		{ID: 4, Position: 2, Name: "Books", NameJA: "本"},
	}})
	must(b.t, err)
}

// person makes somebody with a session. It goes past the API, because hashing a password takes
// its time; the tests of accounts do not.
func (b *bench) person(name string) (*client.Client, client.Me) {
	b.t.Helper()
	b.users++
	user, err := b.store.RegisterUser(b.t.Context(), market.Registration{
		Email: fmt.Sprintf("%s%d@example.com", strings.ToLower(name), b.users), Name: name, Locale: "en", PasswordHash: "none",
	})
	must(b.t, err)
	token := api.NewToken()
	_, err = b.store.CreateSession(b.t.Context(), user.ID, market.HashToken(token))
	must(b.t, err)
	c := b.client.WithToken(token)
	tokens.Store(c, token)
	return c, client.Me{ID: user.ID.String(), Name: user.Name, Email: user.Email, Locale: "en", CreatedAt: client.TimeOf(user.CreatedAt)}
}

// item lists an item in category 2.
func (b *bench) item(seller *client.Client, title string, price int64) client.Item {
	b.t.Helper()
	item, err := seller.ListItem(b.t.Context(), client.NewItem{Title: title, Price: price, CategoryID: 2, Condition: "good"})
	must(b.t, err)
	return item
}

// problem returns the problem in err, and fails the test if there is none.
func problem(t testing.TB, err error) *client.Problem {
	t.Helper()
	p, ok := errors.AsType[*client.Problem](err)
	if !ok {
		t.Fatalf("%v is no problem", err)
	}
	return p
}

// picture returns a JPEG.
func picture(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		img.Set(i%width, i/width, color.RGBA{uint8(i), uint8(i >> 3), uint8(i >> 6), 255})
	}
	var out bytes.Buffer
	must(t, jpeg.Encode(&out, img, nil))
	return out.Bytes()
}

// gateway is a push gateway that writes down what it is asked.
type gateway struct {
	*httptest.Server
	mu       sync.Mutex
	sent     []client.PushRequest
	keys     []string
	arrived  chan struct{} // gets one for each request to send
	answer   func(w http.ResponseWriter) bool
	feedback map[string]client.FeedbackPage // by cursor
}

func newGateway(t testing.TB) *gateway {
	g := &gateway{arrived: make(chan struct{}, 1000), feedback: map[string]client.FeedbackPage{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer gateway-secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/v1/feedback" {
		cursor := r.URL.Query().Get("cursor")
		page, ok := g.feedback[cursor]
		if !ok {
			page = client.FeedbackPage{NextCursor: cursor}
		}
		_ = json.NewEncoder(w).Encode(page)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var req client.PushRequest
	if json.Unmarshal(body, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	g.sent = append(g.sent, req)
	g.keys = append(g.keys, r.Header.Get("Idempotency-Key"))
	defer func() { g.arrived <- struct{}{} }()
	if g.answer != nil && g.answer(w) {
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"id":"pu_1","accepted":1}`)
}

// wait blocks until something has been sent, and returns it.
func (g *gateway) wait(t testing.TB) client.PushRequest {
	t.Helper()
	select {
	case <-g.arrived:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was sent to the gateway")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.sent[0]
	g.sent = g.sent[1:]
	return r
}

// flush waits until the server has ended every request, so that all is in the log.
func (b *bench) flush() {
	b.plain.CloseIdleConnections()
	b.client.CloseIdleConnections()
	b.server.Close()
	b.server = httptest.NewServer(b.api.Handler())
	b.url = b.server.URL
	b.client = client.New(client.Options{BaseURL: b.url})
}

// metric returns the value of a counter with some labels.
func (b *bench) metric(name string, labels ...string) float64 {
	b.t.Helper()
	families, err := b.reg.Gather()
	must(b.t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			for i := 0; i < len(labels); i += 2 {
				if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] }) {
					continue metrics
				}
			}
			return m.GetCounter().GetValue()
		}
	}
	return 0
}
