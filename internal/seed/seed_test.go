package seed_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image/jpeg"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/seed"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is an empty market.
type place struct {
	store  *store.Store
	photos *photo.Intake
	files  *memory
}

// memory keeps photos for as long as a test runs.
type memory struct {
	mu    sync.Mutex
	files map[string]string
	full  bool
}

func (m *memory) Put(_ context.Context, files ...photo.Stored) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return errors.New("no space left")
	}
	for _, f := range files {
		m.files[f.File] = string(f.Data)
	}
	return nil
}

func (m *memory) Open(_ context.Context, file string) (photo.Content, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[file]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return content{strings.NewReader(data)}, nil
}

func (m *memory) Close() error { return nil }

type content struct{ *strings.Reader }

func (content) Close() error { return nil }

func newPlace(t testing.TB) place {
	t.Helper()
	dir := t.TempDir()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + filepath.Join(dir, "market.db")}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := store.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	files := &memory{files: map[string]string{}}
	photos, err := photo.Open(photo.DefaultConfig(), photo.Options{Storage: files})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = photos.Close() })
	return place{store.New(db, job.NewQueue(db, job.Options{}), store.Options{}), photos, files}
}

var moment = time.Date(2026, 4, 11, 12, 0, 0, 0, time.UTC)

func (p place) options(items int) seed.Options {
	return seed.Options{
		Users: 40, Items: items, Seed: 7, Store: p.store, Photos: p.photos, PhotoSide: 48,
		Now:          func() time.Time { return moment },
		HashPassword: func(s string) (string, error) { return "hash of " + s, nil },
	}
}

// listed reads the whole list of what is on sale.
func (p place) listed(t *testing.T) []market.Item {
	t.Helper()
	var all []market.Item
	for cursor := ""; ; {
		page, err := p.store.Items(t.Context(), store.ItemQuery{Cursor: cursor, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

func TestTheSampleMarket(t *testing.T) {
	p := newPlace(t)
	last, total := 0, 0
	o := p.options(1200)
	o.Progress = func(done, of int) {
		if done < last || done > of {
			t.Errorf("progress went from %d to %d of %d", last, done, of)
		}
		last, total = done, of
	}
	got, err := seed.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got.Users != 40 || got.Items != 1200 || got.Photos < 150 || got.Photos > 400 || got.Likes < 1200 || got.Comments < 400 {
		t.Errorf("summary %+v", got)
	}
	if last != total || total != 1200+600+got.Photos {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	items := p.listed(t)
	if len(items) < 1050 || len(items) > 1200 {
		t.Errorf("%d of 1200 items are on sale", len(items))
	}
	rules := p.store.Rules()
	titles, categories := map[string]int{}, map[market.CategoryID]int{}
	var japanese, sellers int
	seller := map[market.UserID]int{}
	for i, item := range items {
		draft := market.ItemDraft{ID: item.ID, Seller: item.Seller, Category: item.Category, Title: item.Title, Price: item.Price, Condition: item.Condition}
		if _, err := rules.NewItem(draft, item.CreatedAt); err != nil {
			t.Errorf("%q is against the market's rules: %v", item.Title, err)
		}
		if i > 0 && item.CreatedAt.After(items[i-1].CreatedAt) {
			t.Errorf("item %d is newer than the one before", i)
		}
		if age := moment.Sub(item.CreatedAt); age < 0 || age > 43*24*time.Hour || market.IDTime(item.ID).Sub(item.CreatedAt).Abs() > time.Second {
			t.Errorf("item %d was made at %v, its id at %v", i, item.CreatedAt, market.IDTime(item.ID))
		}
		if len(item.Photos) == 0 {
			t.Errorf("%q has no photo", item.Title)
		}
		titles[item.Title]++
		categories[item.Category]++
		if seller[item.Seller]++; seller[item.Seller] == 1 {
			sellers++
		}
		if strings.ContainsFunc(item.Title, func(r rune) bool { return r >= 0x3040 && r < 0xa000 }) {
			japanese++
		}
	}
	if newest := moment.Sub(items[0].CreatedAt); newest > 2*time.Hour {
		t.Errorf("the newest item is %v old", newest)
	}
	if share := float64(japanese) / float64(len(items)); share < 0.5 || share > 0.9 {
		t.Errorf("%.0f %% of the titles are Japanese", 100*share)
	}
	if len(titles) < len(items)*6/10 || len(categories) < 80 || sellers < 35 {
		t.Errorf("%d titles, %d categories, %d sellers", len(titles), len(categories), sellers)
	}
	p.checkDetails(t, items[:20])
	p.checkPeople(t)
}

func (p place) checkDetails(t *testing.T, items []market.Item) {
	t.Helper()
	for _, item := range items {
		detail, err := p.store.ItemDetail(t.Context(), item.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n := len([]rune(detail.Item.Description)); n < 40 || n > 3000 {
			t.Errorf("%q has a description of %d characters", item.Title, n)
		}
		for _, ph := range item.Photos {
			c, err := p.photos.Open(t.Context(), photo.File(ph.Name, photo.Small))
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := jpeg.DecodeConfig(c)
			if err := errors.Join(err, c.Close()); err != nil || cfg.Width != 48 {
				t.Errorf("photo %s: %v, %d wide", ph.Name, err, cfg.Width)
			}
		}
		comments, err := p.store.Comments(t.Context(), item.ID, "", 100)
		if err != nil || int64(len(comments.Comments)) != item.CommentCount {
			t.Errorf("%d comments, counted %d: %v", len(comments.Comments), item.CommentCount, err)
		}
	}
}

func (p place) checkPeople(t *testing.T) {
	t.Helper()
	tokens := map[string]bool{}
	owner := map[string]string{}
	for token, name := range seed.Phones(7, 40) {
		owner[token] = name
	}
	if len(owner) != 40 {
		t.Errorf("%d phones, want one a person", len(owner))
	}
	for _, a := range seed.Accounts() {
		c, err := p.store.UserByEmail(t.Context(), a.Email)
		if err != nil || c.PasswordHash != "hash of "+seed.Password || c.User.Name != a.Name || c.User.Locale != a.Locale {
			t.Errorf("%s: %+v, %v", a.Email, c, err)
		}
		devices, err := p.store.Devices(t.Context(), c.User.ID)
		if err != nil || len(devices) != 1 || len(devices[0].Token) != 64 || devices[0].Platform != market.PlatformAPNs || tokens[devices[0].Token] {
			t.Errorf("devices of %s: %+v, %v", a.Email, devices, err)
			continue
		}
		if owner[devices[0].Token] != a.Name {
			t.Errorf("the phone of %s is said to be that of %q", a.Name, owner[devices[0].Token])
		}
		tokens[devices[0].Token] = true
	}
}

// digest sums up all that one can see of a market.
func (p place) digest(t *testing.T) string {
	t.Helper()
	h := sha256.New()
	for i, item := range p.listed(t) {
		fmt.Fprintf(h, "%+v\n", item)
		if i%9 != 0 {
			continue
		}
		d, err := p.store.ItemDetail(t.Context(), item.ID)
		if err != nil {
			t.Fatal(err)
		}
		comments, err := p.store.Comments(t.Context(), item.ID, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%+v %+v\n", d, comments)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestTheSameSeedMakesTheSameMarket(t *testing.T) {
	p, q := newPlace(t), newPlace(t)
	for _, o := range []seed.Options{p.options(300), q.options(300)} {
		if _, err := seed.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	want := p.digest(t)
	if q.digest(t) != want {
		t.Error("the same seed made two markets")
	}
	if diff := cmp.Diff(p.files.files, q.files.files); diff != "" {
		t.Errorf("photos (-first +second):\n%s", diff)
	}
	// Again, much later: nothing changes.
	o := p.options(300)
	o.Now = func() time.Time { return moment.Add(1000 * time.Hour) }
	got, err := seed.Run(t.Context(), o)
	if err != nil || got != (seed.Summary{}) || p.digest(t) != want {
		t.Errorf("a second run wrote %+v, %v", got, err)
	}
	// Another seed on top is refused, and changes nothing.
	o = p.options(300)
	o.Seed++
	if _, err := seed.Run(t.Context(), o); market.CodeOf(err) != market.CodeConflict || p.digest(t) != want {
		t.Errorf("another seed on top: %v", err)
	}
	other := newPlace(t)
	o.Store, o.Photos = other.store, other.photos
	if _, err := seed.Run(t.Context(), o); err != nil || other.digest(t) == want {
		t.Errorf("another seed made the same market; %v", err)
	}
}

func TestAnInterruptedRunIsCompleted(t *testing.T) {
	whole, cut := newPlace(t), newPlace(t)
	if _, err := seed.Run(t.Context(), whole.options(1300)); err != nil {
		t.Fatal(err)
	}
	want := whole.digest(t)
	// It is cut while it draws, then after the first thousand items, then it may end.
	for _, at := range []int{20, 400} {
		ctx, cancel := context.WithCancel(t.Context())
		o := cut.options(1300)
		o.Progress = func(done, total int) {
			if done >= at {
				cancel()
			}
		}
		if _, err := seed.Run(ctx, o); err == nil {
			t.Fatalf("the run that was cancelled at %d came to an end", at)
		}
		cancel()
	}
	o := cut.options(1300)
	o.Now = func() time.Time { return moment.Add(time.Hour) } // it stays the market of the first run's moment
	got, err := seed.Run(t.Context(), o)
	if err != nil || got.Items != 300 || got.Users != 0 {
		t.Errorf("completing wrote %+v, %v", got, err)
	}
	if cut.digest(t) != want {
		t.Error("the completed market differs from one made in one go")
	}
}

func TestRunRefusesWhatCannotBe(t *testing.T) {
	p := newPlace(t)
	o := p.options(10)
	o.Users = 2
	if _, err := seed.Run(t.Context(), o); err == nil {
		t.Error("made a market of two people")
	}
	o = p.options(10)
	o.HashPassword = func(string) (string, error) { return "", errors.New("no entropy") }
	if _, err := seed.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("got %v, want the error of hashing", err)
	}
}

func TestPhotosThatCannotBeStoredEndTheRun(t *testing.T) {
	p := newPlace(t)
	p.files.full = true
	if _, err := seed.Run(t.Context(), p.options(10)); err == nil || !strings.Contains(err.Error(), "draw ") {
		t.Errorf("got %v, want an error that names the photo", err)
	}
}

func TestCatalogIsATree(t *testing.T) {
	all := seed.Catalog()
	tree, err := market.NewTree(all)
	if err != nil {
		t.Fatal(err)
	}
	leaves := 0
	for i, c := range all {
		if c.Name == "" || c.NameJA == "" || c.Position < 1 {
			t.Errorf("%+v", c)
		}
		if parent := int64(c.Parent); parent != 0 && int64(c.ID)/100 != parent {
			t.Errorf("the id of %d does not begin with its parent's, %d", c.ID, parent)
		}
		if tree.All()[i] != c {
			t.Errorf("category %d is not in the order of the tree", c.ID)
		}
		if tree.Leaf(c.ID) {
			leaves++
		}
	}
	if top := len(tree.Children(0)); top != 22 || leaves < 80 || len(tree.Path(10101)) != 3 {
		t.Errorf("%d top categories, %d leaves", top, leaves)
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		p := newPlace(b)
		o := p.options(10_000)
		o.Users, o.PhotoSide = 0, 0
		if _, err := seed.Run(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}
