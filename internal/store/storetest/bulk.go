package storetest

import (
	"fmt"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/store"
)

// Batch makes people and items, with everything that hangs on them, in the
// categories of Categories; the first is made at the given time.
func Batch(ids *market.IDs, at time.Time, people, items int) store.Batch {
	var b store.Batch
	next := func() int64 {
		at = at.Add(time.Millisecond)
		return ids.Next(at)
	}
	for i := range people {
		b.Users = append(b.Users, store.ImportedUser{User: market.User{
			ID: market.UserID(next()), Email: fmt.Sprintf("imported%d@example.com", i), Name: fmt.Sprint("Imported ", i), Locale: "ja", CreatedAt: at, UpdatedAt: at,
		}, PasswordHash: "hash"})
	}
	person := func(i int) market.UserID { return b.Users[i%people].ID }
	leaves := []market.CategoryID{books, tables, armchairs}
	states := []market.ItemState{market.ItemOnSale, market.ItemOnSale, market.ItemSold, market.ItemPaused}
	for i := range items {
		id := market.ItemID(next())
		b.Items = append(b.Items, market.Item{
			ID: id, Seller: person(i), Category: leaves[i%3], Title: fmt.Sprint("椅子 ", i), Description: "Solid.", Price: market.Money(300 + i),
			Condition: market.ConditionGood, State: states[i%4], CreatedAt: at, UpdatedAt: at,
			Photos: []market.Photo{{Name: "aaaa", Width: 640, Height: 480}},
		})
		for j := range i % 4 {
			b.Likes = append(b.Likes, store.Like{Item: id, User: person(i + j + 1), CreatedAt: at})
		}
		if i%5 == 0 {
			b.Comments = append(b.Comments, market.Comment{ID: market.CommentID(next()), Item: id, Author: person(i + 1), Body: "Nice", CreatedAt: at})
		}
	}
	return b
}

// Batch makes a Batch of a month ago.
func (w *World) Batch(ids *market.IDs, people, items int) store.Batch {
	return Batch(ids, w.Clock.Now().Add(-30*24*time.Hour), people, items)
}

func testImport(w *World) {
	ids := market.NewIDs(nil)
	b := w.Batch(ids, 50, 2000)
	change, err := w.Store.Import(w.Ctx, b)
	w.ok(err)
	counts, err := w.Store.Counts(w.Ctx)
	if want := (store.Counts{Categories: 5, Users: 50, Items: 2000}); err != nil || counts != want {
		w.Errorf("%+v, %v; want %+v", counts, err, want)
	}
	got := w.reread(b.Items[7].ID) // three likes, no comment
	want := b.Items[7]
	want.Version, want.LikeCount = 1, 3
	want.Photos = []market.Photo{{ID: got.Photos[0].ID, Name: "aaaa", Width: 640, Height: 480}}
	if diff := gocmp.Diff(want, got); diff != "" || got.Photos[0].ID == 0 {
		w.Errorf("an imported item (-want +got):\n%s", diff)
	}
	if b.Items[7].LikeCount != 0 || b.Items[7].Photos[0].ID != 0 {
		w.Error("Import has changed its argument")
	}
	for _, tag := range []string{"list:all", "list:1", "list:2", "list:11", "list:111", "list:12", "user:" + b.Users[0].ID.String(), "detail:" + b.Items[1].ID.String()} {
		n := 0
		for _, got := range change.Tags {
			if got == tag {
				n++
			}
		}
		if n != 1 {
			w.Errorf("the tag %s is there %d times", tag, n)
		}
	}
	w.jobs("an import tells nobody")

	// What was imported lives like anything else.
	item := w.reread(b.Items[1].ID) // on sale
	w.reserve(item, b.Users[40].ID)
	_, _, err = w.Store.LikeItem(w.Ctx, b.Items[4].ID, b.Users[30].ID)
	w.ok(err)
	if creds, err := w.Store.UserByEmail(w.Ctx, "imported3@example.com"); err != nil || creds.PasswordHash != "hash" || creds.User.ID != b.Users[3].ID {
		w.Errorf("an imported person: %+v, %v", creds, err)
	}

	// A later batch may speak about items of an earlier one.
	_, err = w.Store.Import(w.Ctx, store.Batch{
		Likes:    []store.Like{{Item: b.Items[0].ID, User: b.Users[9].ID, CreatedAt: w.Clock.Now()}, {Item: b.Items[0].ID, User: b.Users[8].ID, CreatedAt: w.Clock.Now()}},
		Comments: []market.Comment{{ID: market.CommentID(ids.Next(w.Clock.Now())), Item: b.Items[0].ID, Author: b.Users[9].ID, Body: "More", CreatedAt: w.Clock.Now()}},
	})
	w.ok(err)
	if got := w.reread(b.Items[0].ID); got.LikeCount != 2 || got.CommentCount != 2 {
		w.Errorf("after a second batch: %d likes, %d comments, want 2 and 2", got.LikeCount, got.CommentCount)
	}
}

// testBuild holds that a market whose lists were left for later has those that
// it would have had at once.
func testBuild(w *World) {
	ids := market.NewIDs(nil)
	b := w.Batch(ids, 20, 900)
	b.Brands = brands
	for i := range b.Items {
		b.Items[i].Brand = market.BrandID(i % 3)
	}
	dump := func() (all [2][]string) {
		all[0] = must[[]string](w)(w.column("SELECT CONCAT_WS(' ', category_id, item_id, price) FROM listings ORDER BY category_id, item_id"))
		all[1] = must[[]string](w)(w.column("SELECT CONCAT_WS(' ', shelf, gram, item_id, price) FROM grams ORDER BY shelf, gram, item_id"))
		return all
	}
	_, err := w.Store.Import(w.Ctx, b)
	w.ok(err)
	want := dump()
	w.ok(w.Store.Build(w.Ctx, nil)) // nothing to do
	for _, table := range []string{"listings", "grams", "texts", "items", "users", "photos", "likes", "comments"} {
		w.ok(w.DB.Tx(w.Ctx, func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(w.Ctx, "DELETE FROM "+table)
			return err
		}))
	}
	b.Later = true
	_, err = w.Store.Import(w.Ctx, b)
	w.ok(err)
	if got := w.Walk(store.ItemQuery{}); len(got) != 0 {
		w.Errorf("%d items before Build", len(got))
	}
	for range 2 { // and again, as after a Build that was killed
		last := 0.0
		w.ok(w.Store.Build(w.Ctx, func(share float64) { last = share }))
		if last != 1 {
			w.Errorf("it ended at %g", last)
		}
		if diff := gocmp.Diff(want, dump()); diff != "" {
			w.Fatalf("(-at once +later):\n%.2000s", diff)
		}
		w.ok(w.DB.Tx(w.Ctx, func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(w.Ctx, "INSERT INTO marks (name, value) VALUES ('build', 'all')")
			return err
		}))
	}
	w.ok(w.Store.Build(w.Ctx, nil))
}

func testImportRefused(w *World) {
	ids := market.NewIDs(nil)
	b := w.Batch(ids, 3, 4)
	_, err := w.Store.Import(w.Ctx, b)
	w.ok(err)
	_, err = w.Store.Import(w.Ctx, b)
	w.refused("the same again", err, market.CodeConflict, "")
	before := must[store.Counts](w)(w.Store.Counts(w.Ctx))
	one := func(change func(*market.Item)) store.Batch {
		c := w.Batch(ids, 3, 1)
		for i := range c.Users { // new people, so that they are no reason
			c.Users[i].Email = "x" + c.Users[i].Email
		}
		c.Comments = nil
		change(&c.Items[0])
		return c
	}
	for name, c := range map[string]store.Batch{
		"reserved":          one(func(i *market.Item) { i.State = market.ItemReserved }),
		"no state":          one(func(i *market.Item) { i.State = "lost" }),
		"no id":             one(func(i *market.Item) { i.ID = 0 }),
		"no seller":         one(func(i *market.Item) { i.Seller = 0 }),
		"no leaf":           one(func(i *market.Item) { i.Category = 1 }),
		"unknown category":  one(func(i *market.Item) { i.Category = 99 }),
		"an item twice":     one(func(i *market.Item) { i.ID = b.Items[0].ID }),
		"likes of no item":  {Likes: []store.Like{{Item: 12345, User: b.Users[0].ID, CreatedAt: w.Clock.Now()}}},
		"one like twice":    {Likes: []store.Like{{Item: b.Items[0].ID, User: 7, CreatedAt: w.Clock.Now()}, {Item: b.Items[0].ID, User: 7, CreatedAt: w.Clock.Now()}}},
		"an address twice":  {Users: []store.ImportedUser{{User: market.User{ID: 77, Email: "imported0@example.com", Name: "x", Locale: "ja"}}}},
		"half of the batch": {Users: []store.ImportedUser{{User: market.User{ID: 78, Email: "new@example.com", Name: "x", Locale: "ja"}}}, Likes: []store.Like{{Item: 12345, User: 78}}},
	} {
		if _, err := w.Store.Import(w.Ctx, c); err == nil {
			w.Errorf("%s was taken", name)
		}
	}
	if after := must[store.Counts](w)(w.Store.Counts(w.Ctx)); after != before {
		w.Errorf("refused batches left something: %+v, before %+v", after, before)
	}
}

// testIDsCollide gives two processes the same luck: both make the same ids at
// the same time.
func testIDsCollide(w *World) {
	unlucky := func() *market.IDs { return market.NewIDs(func() uint64 { return 7 }) }
	a, b := w.another(unlucky()), w.another(unlucky())
	first, err := a.RegisterUser(w.Ctx, market.Registration{Email: "a@example.com", Name: "A", PasswordHash: "x"})
	w.ok(err)
	second, err := b.RegisterUser(w.Ctx, market.Registration{Email: "b@example.com", Name: "B", PasswordHash: "x"})
	if err != nil || second.ID == first.ID {
		w.Errorf("two people, ids %d and %d, %v", first.ID, second.ID, err)
	}
}
