// Package seed makes a sample market: people, things for sale with photos that
// it draws itself, likes and comments. The same seed makes the same market.
//
//	summary, err := seed.Run(ctx, seed.Options{
//		Seed: 1, Store: db, Photos: photos, HashPassword: hash,
//		Progress: func(done, total int) { … },
//	})
//	for _, a := range seed.Accounts() {
//		fmt.Println(a.Email, seed.Password) // these can log in
//	}
//
// Catalog is the tree of categories, which a market without sample data needs too.
//
// Memory does not grow with the number of items: they are made and written ten
// thousand at a time, and then their lists (store.Build). Nothing here is for a market that is open to the public: everybody's
// password is known. Brands and works in the texts do not exist.
//
// Run is for one caller at a time and leaves no goroutine behind.
package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/store"
)

// The sizes of a sample market where Options do not say.
const (
	DefaultUsers = 240
	DefaultItems = 10_000
)

// Options say how much is made and where it goes.
type Options struct {
	Users  int    // people; 0: DefaultUsers; at least as many as Accounts
	Items  int    // items; 0: DefaultItems
	Seed   uint64 // the same seed makes the same market
	Store  *store.Store
	Photos *photo.Intake
	// HashPassword hashes Password, once for all. Nil: nobody can log in.
	HashPassword func(password string) (string, error)
	PhotoSide    int                   // of the photos, in pixels; 0: 640
	Now          func() time.Time      // when the newest item was just listed; nil: time.Now
	Progress     func(done, total int) // called now and then, never concurrently; may be nil
}

// Summary says what Run has written.
type Summary struct {
	Users, Items, Photos, Likes, Comments int
}

// Run makes the sample market. What an earlier Run with the same options has
// begun it completes, and if that was complete it writes nothing: so it may be interrupted.
// On top of a sample of another seed it is a conflict.
func Run(ctx context.Context, o Options) (Summary, error) {
	if o.Users == 0 {
		o.Users = DefaultUsers
	}
	if o.Items == 0 {
		o.Items = DefaultItems
	}
	if o.PhotoSide == 0 {
		o.PhotoSide = defaultPhotoSide
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Users < len(Accounts()) || o.Items < 0 || o.PhotoSide < 0 {
		return Summary{}, fmt.Errorf("make sample data: %d people, %d items, photos of %d pixels: there must be at least %d people", o.Users, o.Items, o.PhotoSide, len(Accounts()))
	}
	run := &run{Options: o, total: o.Items + o.Items/2 + len(subjects())}
	if err := run.make(ctx); err != nil {
		return run.summary, fmt.Errorf("make sample data: %w", err)
	}
	return run.summary, nil
}

// run is one Run.
type run struct {
	Options
	summary Summary

	mu    sync.Mutex
	done  int
	total int
}

func (r *run) advance(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.Progress != nil {
		r.Progress(r.done, r.total)
	}
}

func (r *run) make(ctx context.Context) error {
	if _, err := r.Store.Import(ctx, store.Batch{Categories: Catalog(), Brands: Brands()}); err != nil {
		return err
	}
	m := &maker{seed: r.Seed, items: r.Items, goods: shelves(), brands: brandIDs()}
	if err := r.settle(ctx, m); err != nil {
		return err
	}
	missing, err := r.missing(ctx, m)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		if err := r.Store.Build(ctx, nil); err != nil {
			return err
		}
		r.advance(r.total - r.done)
		return nil
	}
	if m.pool, err = drawPool(ctx, r.Seed, r.PhotoSide, r.Photos, func() { r.advance(1) }); err != nil {
		return err
	}
	r.summary.Photos = len(subjects())
	there := m.items
	for _, n := range missing {
		there -= m.size(n)
	}
	r.advance(there)
	for some := range slices.Chunk(missing, min(max(m.batches()/10, 1), batchesAtOnce)) {
		b := store.Batch{Later: true}
		for _, n := range some {
			one := m.batch(n)
			b.Items, b.Likes, b.Comments = append(b.Items, one.Items...), append(b.Likes, one.Likes...), append(b.Comments, one.Comments...)
		}
		if _, err := r.Store.Import(ctx, b); err != nil {
			return err
		}
		r.summary.Items += len(b.Items)
		r.summary.Likes += len(b.Likes)
		r.summary.Comments += len(b.Comments)
		r.advance(len(b.Items))
	}
	// The lists and the index of search: a third of the work.
	last := 0
	return r.Store.Build(ctx, func(share float64) {
		now := int(share * float64(r.built()))
		r.advance(now - last)
		last = now
	})
}

// built is what Build weighs in the progress.
func (r *run) built() int { return r.Items / 2 }

// settle makes the people, with their phones, or finds them. When the first of them
// joined tells the moment of the sample.
func (r *run) settle(ctx context.Context, m *maker) error {
	known, err := r.Store.UserByEmail(ctx, Accounts()[0].Email)
	switch {
	case err == nil:
		m.now = known.User.CreatedAt.Add(peopleSpan)
		m.people = people(r.Seed, r.Users, m.now)
		if known.User.ID != m.people[0].ID {
			return market.Errorf(market.CodeConflict, "", "there is sample data of another seed already")
		}
	case market.CodeOf(err) == market.CodeNotFound:
		m.now = r.Now().UTC().Truncate(time.Second)
		m.people = people(r.Seed, r.Users, m.now)
		if err := r.importPeople(ctx, m.people); err != nil {
			return err
		}
	default:
		return err
	}
	return r.registerPhones(ctx, m.people)
}

func (r *run) importPeople(ctx context.Context, all []person) error {
	hash := ""
	if r.HashPassword != nil {
		var err error
		if hash, err = r.HashPassword(Password); err != nil {
			return fmt.Errorf("hash the password: %w", err)
		}
	}
	users := make([]store.ImportedUser, len(all))
	for i, p := range all {
		users[i] = store.ImportedUser{User: p.User, PasswordHash: hash}
	}
	_, err := r.Store.Import(ctx, store.Batch{Users: users})
	r.summary.Users = len(users)
	return err
}

// registerPhones gives everybody a phone. The last one tells whether that has been done.
func (r *run) registerPhones(ctx context.Context, all []person) error {
	known, err := r.Store.Devices(ctx, all[len(all)-1].ID)
	if err != nil || len(known) > 0 {
		return err
	}
	for _, p := range all {
		_, err := r.Store.RegisterDevice(ctx, market.DeviceRegistration{UserID: p.ID, Name: "sample-phone", Platform: string(market.PlatformAPNs), Token: p.token})
		if err != nil {
			return err
		}
	}
	return nil
}

// batchesAtOnce is how many batches are one transaction, at most and in a large
// market: the more they are, the more of what they write to an index is on one page.
const batchesAtOnce = 10

// missing returns the batches that are not in the store.
func (r *run) missing(ctx context.Context, m *maker) ([]int, error) {
	var missing []int
	for n := range m.batches() {
		_, err := r.Store.Item(ctx, m.first(n))
		switch {
		case errors.Is(err, market.ErrItemNotFound), market.CodeOf(err) == market.CodeNotFound:
			missing = append(missing, n)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}
