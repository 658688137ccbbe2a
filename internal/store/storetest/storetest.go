// Package storetest is the suite that store must pass on every engine.
//
// A test of store gives it databases:
//
//	func TestSuite(t *testing.T) {
//		sqldbtest.Each(t, func(t *testing.T, _ string) { storetest.Run(t, sqldbtest.SQLite) })
//	}
//
// Run gives every test a database of its own and, when the test is over, holds
// the whole database against what must be true of it at any time (see audit).
// The suite knows the columns of store's tables; it is part of store in all but
// name and must not be linked into the program.
package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/store"
)

// Run runs the suite. Fresh returns the URL of a new, empty database.
func Run(t *testing.T, fresh func(t testing.TB) string) {
	for _, test := range []struct {
		name string
		f    func(w *World)
	}{
		{"users", testUsers},
		{"users race", testUsersRace},
		{"sessions", testSessions},
		{"devices", testDevices},
		{"feedback", testFeedback},
		{"categories", testCategories},
		{"photos", testPhotos},
		{"listing", testListing},
		{"lists", testLists},
		{"lists grow", testListsGrow},
		{"cursors", testCursors},
		{"edit", testEdit},
		{"edit lists", testEditLists},
		{"likes", testLikes},
		{"likes race", testLikesRace},
		{"like notices", testLikeNotices},
		{"comments", testComments},
		{"purchase", testPurchase},
		{"purchase refused", testPurchaseRefused},
		{"purchase race", testPurchaseRace},
		{"release", testRelease},
		{"settle and release race", testDecideRace},
		{"purchase against edit", testPurchaseAgainstEdit},
		{"crash points", testCrashPoints},
		{"orders", testOrders},
		{"order to the end", testOrderToTheEnd},
		{"order refunded", testOrderRefunded},
		{"order disputed", testOrderDisputed},
		{"order expires", testOrderExpires},
		{"order strangers", testOrderStrangers},
		{"order steps race", testOrderStepsRace},
		{"reviews", testReviews},
		{"messages", testMessages},
		{"shipments", testShipments},
		{"payouts", testPayouts},
		{"payouts race", testPayoutsRace},
		{"blocks", testBlocks},
		{"blocks against everything", testBlocksAgainst},
		{"comments deleted", testCommentsDeleted},
		{"reports", testReports},
		{"profile", testProfile},
		{"password", testPassword},
		{"suspended", testSuspended},
		{"hidden", testHidden},
		{"deleted", testDeleted},
		{"deleted race", testDeletedRace},
		{"search", testSearch},
		{"search follows", testSearchFollows},
		{"search reads little", testSearchReadsLittle},
		{"search grows", testSearchGrows},
		{"index race", testIndexRace},
		{"filters", testFilters},
		{"filters refused", testFiltersRefused},
		{"brands", testBrands},
		{"facets", testFacets},
		{"notifications", testNotifications},
		{"todos", testTodos},
		{"liked items", testLikedItems},
		{"once", testOnce},
		{"once race", testOnceRace},
		{"import", testImport},
		{"import refused", testImportRefused},
		{"build", testBuild},
		{"ids collide", testIDsCollide},
		{"unavailable", testUnavailable},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			w := NewWorld(t, fresh(t))
			test.f(w)
			if !t.Failed() {
				w.audit()
			}
		})
	}
}

// World is a database with a store, a queue that does not run, and a clock.
type World struct {
	*testing.T
	Ctx   context.Context
	DB    *sqldb.DB
	Queue *job.Queue
	Store *store.Store
	Clock *Clock
	Rules market.Rules
	url   string
	users int
}

// Clock is a clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the time.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// The categories of a World.
var categories = []market.Category{
	{ID: 1, Position: 1, Name: "Furniture", NameJA: "家具"},
	{ID: 2, Position: 2, Name: "Books", NameJA: "本"},
	{ID: 11, Parent: 1, Position: 1, Name: "Chairs", NameJA: "椅子"},
	{ID: 12, Parent: 1, Position: 2, Name: "Tables", NameJA: "机"},
	{ID: 111, Parent: 11, Position: 1, Name: "Armchairs", NameJA: "肘掛け椅子"},
}

// Categories returns the categories of a World.
func Categories() []market.Category { return slices.Clone(categories) }

const (
	books     market.CategoryID = 2
	tables    market.CategoryID = 12
	armchairs market.CategoryID = 111
)

// NewWorld migrates a database and puts a store on it, with categories.
func NewWorld(t *testing.T, url string) *World {
	t.Helper()
	w := &World{
		T: t, Ctx: t.Context(), url: url, Rules: market.DefaultRules(),
		Clock: &Clock{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)},
	}
	w.DB = w.open()
	if err := store.Migrate(w.Ctx, w.DB); err != nil {
		t.Fatal(err)
	}
	w.Queue = job.NewQueue(w.DB, job.Options{Now: w.Clock.Now})
	w.Store = w.another(nil)
	if _, err := w.Store.Import(w.Ctx, store.Batch{Categories: categories}); err != nil {
		t.Fatal(err)
	}
	return w
}

// open opens the database until the end of the test.
func (w *World) open() *sqldb.DB {
	w.Helper()
	db, err := sqldb.Open(w.Ctx, sqldb.Config{URL: w.url}, sqldb.Options{})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := db.Close(); err != nil {
			w.Error(err)
		}
	})
	return db
}

// another returns one more store on the database, as another process has it.
func (w *World) another(ids *market.IDs) *store.Store {
	return store.New(w.DB, w.Queue, store.Options{Rules: w.Rules, Now: w.Clock.Now, IDs: ids})
}

// must ends the test if something failed that is not what it is about.
func must[T any](w *World) func(T, error) T {
	return func(v T, err error) T {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
		return v
	}
}

// ok ends the test if err is not nil.
func (w *World) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused fails the test unless err has the code and the reason.
func (w *World) refused(what string, err error, code market.Code, reason market.Reason) {
	w.Helper()
	if market.CodeOf(err) != code || market.ReasonOf(err) != reason {
		w.Errorf("%s: %v (%s %s), want %s %s", what, err, market.CodeOf(err), market.ReasonOf(err), code, reason)
	}
}

// tagged fails the test unless a change has exactly the tags.
func (w *World) tagged(what string, c store.Change, want ...string) {
	w.Helper()
	got := slices.Sorted(slices.Values(c.Tags))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("%s: tags %q, want %q", what, got, want)
	}
}

// User registers one more person.
func (w *World) User() market.UserID {
	w.Helper()
	w.users++
	u, err := w.Store.RegisterUser(w.Ctx, market.Registration{
		Email: fmt.Sprintf("person%d@example.com", w.users), Name: fmt.Sprintf("Person %d", w.users), PasswordHash: "hash",
	})
	if err != nil {
		w.Fatal(err)
	}
	return u.ID
}

// Item lists one more item.
func (w *World) Item(seller market.UserID, category market.CategoryID, price market.Money) market.Item {
	w.Helper()
	w.Clock.Add(time.Millisecond)
	item, _, err := w.Store.ListItem(w.Ctx, market.ItemDraft{
		Seller: seller, Category: category, Title: "Oak chair", Description: "Solid.", Price: price, Condition: market.ConditionGood,
	})
	if err != nil {
		w.Fatal(err)
	}
	return item
}

// reread returns an item as it is now.
func (w *World) reread(id market.ItemID) market.Item {
	w.Helper()
	item, err := w.Store.Item(w.Ctx, id)
	if err != nil {
		w.Fatal(err)
	}
	return item
}

// jobs fails the test unless the queue holds exactly these jobs, written as
// "kind state count" and sorted. Those that index items do not count: nobody is
// told anything by them.
func (w *World) jobs(what string, want ...string) {
	w.Helper()
	// A queue of its own: one that has taken long to count repeats its answer.
	stats, err := job.NewQueue(w.DB, job.Options{Now: w.Clock.Now}).Stats(w.Ctx)
	if err != nil {
		w.Fatal(err)
	}
	var got []string
	for _, s := range stats {
		if s.Count > 0 && s.Kind != store.KindItemIndex {
			got = append(got, fmt.Sprintf("%s %s %d", s.Kind, s.State, s.Count))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.Errorf("%s: jobs %q, want %q", what, got, want)
	}
}

// everyone runs n goroutines at once and returns their errors.
func everyone(n int, f func(i int) error) []error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = f(i)
		})
	}
	close(begin)
	wg.Wait()
	return errs
}

// tally counts errors by their reason, or code if they have none; nil is "".
func tally(errs []error) string {
	n := map[string]int{}
	for _, err := range errs {
		name := string(market.ReasonOf(err))
		if name == "" {
			name = string(market.CodeOf(err))
		}
		if name == "" {
			name = "ok"
		}
		n[name]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, n[name]))
	}
	return strings.Join(parts, ", ")
}
