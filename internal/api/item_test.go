package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
)

// get makes a plain request, for what client does not show.
func (b *bench) get(path string, header ...string) *http.Response {
	b.t.Helper()
	return b.do(http.MethodGet, path, "", header...)
}

func (b *bench) do(method, path, body string, header ...string) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	must(b.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := b.http().Do(req)
	must(b.t, err)
	b.t.Cleanup(func() { res.Body.Close() })
	return res
}

func titles(items []client.ItemSummary) []string {
	var all []string
	for _, i := range items {
		all = append(all, i.Title)
	}
	return all
}

func TestItemLife(t *testing.T) {
	b := newBench(t, options{})
	ken, me := b.person("Ken")
	ctx := t.Context()
	photo, err := ken.AddPhoto(ctx, strings.NewReader(string(picture(t, 64, 48))))
	must(t, err)
	item, err := ken.ListItem(ctx, client.NewItem{
		Title: "Oak <chair> & table", Description: "Two\r\nlines", Price: 4500, CategoryID: 2, Condition: "good", PhotoIDs: []string{photo.ID},
	})
	must(t, err)
	want := client.Item{
		ID: item.ID, Version: 1, State: client.OnSale, Title: "Oak <chair> & table", Description: "Two\nlines", Price: 4500, CategoryID: 2, Condition: "good",
		Seller: client.Person{ID: me.ID, Name: "Ken"}, Photos: []client.Photo{photo}, CreatedAt: item.CreatedAt, UpdatedAt: item.CreatedAt,
	}
	if diff := cmp.Diff(want, item); diff != "" {
		t.Error(diff)
	}
	got, err := b.client.Item(ctx, item.ID)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, q := range []client.ItemQuery{{}, {Category: 1}, {Category: 2}, {Seller: me.ID}, {Sort: client.SortPriceDesc}} {
		page, err := b.client.Items(ctx, q)
		must(t, err)
		if diff := cmp.Diff([]client.ItemSummary{{
			ID: item.ID, Title: item.Title, Price: 4500, State: client.OnSale, Photo: photo.URLs.Small, CreatedAt: item.CreatedAt,
		}}, page.Items); diff != "" || page.NextCursor != "" {
			t.Errorf("%+v: %s", q, diff)
		}
	}
	if page, err := b.client.Items(ctx, client.ItemQuery{Category: 4}); err != nil || page.Items == nil || len(page.Items) != 0 {
		t.Errorf("the list of another category: %+v, %v", page, err)
	}

	// An edit shows at once, although everything above has been cached.
	price, title := int64(4000), "Oak chair"
	item, err = ken.ChangeItem(ctx, item.ID, client.ItemPatch{Price: &price, Title: &title, IfVersion: 1})
	must(t, err)
	if item.Version != 2 || item.Price != 4000 {
		t.Errorf("%+v", item)
	}
	for _, q := range []client.ItemQuery{{}, {Category: 2}, {Seller: me.ID}} {
		page, err := b.client.Items(ctx, q)
		if err != nil || len(page.Items) != 1 || page.Items[0].Title != title || page.Items[0].Price != 4000 {
			t.Errorf("after an edit: %+v, %v", page.Items, err)
		}
	}
	if p := problem(t, errOf(ken.ChangeItem(ctx, item.ID, client.ItemPatch{Price: &price, IfVersion: 1}))); p.Status != 412 || p.Type != "/problems/version-mismatch" {
		t.Errorf("an old version: %v", p)
	}

	pause, resume, withdraw := client.Pause, client.Resume, client.Withdraw
	for _, step := range []struct {
		action client.ItemAction
		state  client.ItemState
		public int
	}{{pause, client.Paused, 404}, {resume, client.OnSale, 200}, {withdraw, client.Withdrawn, 404}} {
		item, err = ken.ChangeItem(ctx, item.ID, client.ItemPatch{Action: &step.action})
		must(t, err)
		if item.State != step.state {
			t.Errorf("%s: %s", step.action, item.State)
		}
		if res := b.get("/v1/items/" + item.ID); res.StatusCode != step.public {
			t.Errorf("%s: %d", step.action, res.StatusCode)
		}
		page, err := b.client.Items(ctx, client.ItemQuery{Category: 2})
		if n := len(page.Items); err != nil || (n == 1) != (step.public == 200) {
			t.Errorf("%s: %d items in the list, %v", step.action, n, err)
		}
		mine, err := ken.MyItems(ctx, step.public == 404, "", 0)
		if err != nil || len(mine.Items) != 1 {
			t.Errorf("%s: %d of mine, %v", step.action, len(mine.Items), err)
		}
	}
	if p := problem(t, errOf(ken.ChangeItem(ctx, item.ID, client.ItemPatch{Action: &resume}))); p.Status != 409 {
		t.Errorf("a withdrawn item: %v", p)
	}
}

func TestItemOfSomebodyElse(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	ctx := t.Context()
	item := b.item(ken, "Chair", 500)
	price, pause := int64(300), client.Pause
	if p := problem(t, errOf(eve.ChangeItem(ctx, item.ID, client.ItemPatch{Price: &price}))); p.Status != 403 || p.Reason != "not_yours" {
		t.Errorf("%v", p)
	}
	photo, err := ken.AddPhoto(ctx, strings.NewReader(string(picture(t, 32, 32))))
	must(t, err)
	p := problem(t, errOf(eve.ListItem(ctx, client.NewItem{Title: "T", Price: 300, CategoryID: 2, Condition: "new", PhotoIDs: []string{photo.ID}})))
	if p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Pointer != "/photo_ids" {
		t.Errorf("somebody else's photo: %v", p)
	}
	_, err = ken.ChangeItem(ctx, item.ID, client.ItemPatch{Action: &pause})
	must(t, err)
	// What is away does not exist for others, whatever they try.
	for what, err := range map[string]error{
		"change":  errOf(eve.ChangeItem(ctx, item.ID, client.ItemPatch{Price: &price})),
		"like":    eve.Like(ctx, item.ID),
		"comment": errOf(eve.Comment(ctx, item.ID, "hi")),
		"read":    errOf(eve.Comments(ctx, item.ID, "", 0)),
		"buy":     errOf(eve.Buy(ctx, client.NewOrder{ItemID: item.ID, ExpectedPrice: 500, PaymentToken: "tok_ok"})),
	} {
		if p := problem(t, err); p.Status != 404 {
			t.Errorf("%s: %v", what, p)
		}
	}
}

func TestPagesOfItems(t *testing.T) {
	b := newBench(t, options{})
	ken, me := b.person("Ken")
	var want []string
	for i := range 25 {
		b.item(ken, fmt.Sprint("item ", i), int64(300+i%5))
		want = append(want, fmt.Sprint("item ", i))
	}
	slices.Reverse(want)
	for _, q := range []client.ItemQuery{{Limit: 7}, {Category: 1, Limit: 7}, {Seller: me.ID, Limit: 7}} {
		var got []string
		for item, err := range b.client.AllItems(t.Context(), q) {
			must(t, err)
			got = append(got, item.Title)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", q, diff)
		}
	}
	var last int64
	n := 0
	for item, err := range b.client.AllItems(t.Context(), client.ItemQuery{Sort: client.SortPriceAsc, Limit: 3}) {
		must(t, err)
		if item.Price < last {
			t.Errorf("%d after %d", item.Price, last)
		}
		last = item.Price
		n++
	}
	if n != 25 {
		t.Errorf("%d items by price", n)
	}

	page, err := b.client.Items(t.Context(), client.ItemQuery{Category: 1, Limit: 7, Sort: client.SortPriceDesc})
	must(t, err)
	res := b.get("/v1/items?limit=7&category=1&sort=price_desc")
	link := res.Header.Get("Link")
	if want := `</v1/items?category=1&cursor=` + page.NextCursor + `&limit=7&sort=price_desc>; rel="next"`; link != want {
		t.Errorf("Link %s, want %s", link, want)
	}
	next := b.get(strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`))
	if next.StatusCode != 200 {
		t.Errorf("the next page: %d", next.StatusCode)
	}
	// A cursor belongs to its list.
	p := problem(t, errOf(b.client.Items(t.Context(), client.ItemQuery{Category: 2, Limit: 7, Sort: client.SortPriceDesc, Cursor: page.NextCursor})))
	if p.Status != 400 || p.Reason != "invalid_cursor" {
		t.Errorf("a cursor of another list: %v", p)
	}
}

func TestCachedAnswers(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	item := b.item(ken, "Chair", 500)
	status := func(path string) string {
		res := b.get(path)
		if res.StatusCode != 200 || res.Header.Get("Etag") == "" || res.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(res.Header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		if strings.Contains(res.Header.Get("Cache-Status"), "hit") {
			return "hit"
		}
		return "miss"
	}
	const list, detail, comments, catalog, person = "/v1/items?category=2", "/v1/items/{item}", "/v1/items/{item}/comments", "/v1/catalog", "/v1/users/{seller}"
	paths := []string{list, detail, comments, catalog, person}
	replace := strings.NewReplacer("{item}", item.ID, "{seller}", item.Seller.ID)
	read := func() map[string]string {
		got := map[string]string{}
		for _, path := range paths {
			got[path] = status(replace.Replace(path))
		}
		return got
	}
	read()
	price := int64(600)
	steps := []struct {
		name   string
		change func() error
		missed []string
	}{
		{"nothing", func() error { return nil }, nil},
		{"a comment", func() error { return errOf(ken.Comment(t.Context(), item.ID, "hi")) }, []string{detail, comments}},
		{"an edit", func() error { return errOf(ken.ChangeItem(t.Context(), item.ID, client.ItemPatch{Price: &price})) }, []string{list, detail, comments, person}},
		{"a new listing", func() error {
			return errOf(ken.ListItem(t.Context(), client.NewItem{Title: "T", Price: 300, CategoryID: 2, Condition: "new"}))
		}, []string{list, detail, person}},
		{"one elsewhere", func() error {
			return errOf(ken.ListItem(t.Context(), client.NewItem{Title: "T", Price: 300, CategoryID: 4, Condition: "new"}))
		}, []string{detail, person}},
	}
	for _, step := range steps {
		must(t, step.change())
		want := map[string]string{}
		for _, path := range paths {
			want[path] = "hit"
		}
		for _, path := range step.missed {
			want[path] = "miss"
		}
		// Comments carry their authors: the seller is one.
		if step.name == "a new listing" || step.name == "one elsewhere" {
			want[comments] = "miss"
		}
		if diff := cmp.Diff(want, read()); diff != "" {
			t.Errorf("after %s: %s", step.name, diff)
		}
	}
	res := b.get("/v1/catalog", "If-None-Match", b.get("/v1/catalog").Header.Get("Etag"))
	if res.StatusCode != 304 {
		t.Errorf("If-None-Match: %d", res.StatusCode)
	}
}

// TestPublicAnswersAreTheSameForEverybody holds that a token changes nothing about a public read.
func TestPublicAnswersAreTheSameForEverybody(t *testing.T) {
	b := newBench(t, options{})
	ken, me := b.person("Ken")
	item := b.item(ken, "Chair", 500)
	_, err := ken.Comment(t.Context(), item.ID, "hi")
	must(t, err)
	for _, path := range []string{"/v1/items", "/v1/items?seller=" + me.ID, "/v1/items/" + item.ID, "/v1/items/" + item.ID + "/comments", "/v1/users/" + me.ID, "/v1/catalog"} {
		anonymous := body(t, b.get(path))
		for name, authorization := range map[string]string{"owner": "Bearer " + tokenOf(ken), "wrong": "Bearer fm_x", "broken": "Basic %%%"} {
			res := b.get(path, "Authorization", authorization)
			if got := body(t, res); got != anonymous || res.StatusCode != 200 {
				t.Errorf("%s by %s: %d %s, want %s", path, name, res.StatusCode, got, anonymous)
			}
		}
		if strings.Contains(anonymous, "@") {
			t.Errorf("%s holds an address: %s", path, anonymous)
		}
	}
}

func TestCatalog(t *testing.T) {
	b := newBench(t, options{})
	c, err := b.client.Catalog(t.Context())
	must(t, err)
	if diff := cmp.Diff([]client.Category{
		{ID: 1, Name: client.Text{JA: "ファッション", EN: "Fashion"}, Children: []client.Category{
			{ID: 2, Name: client.Text{JA: "ジャケット", EN: "Jackets"}}, {ID: 3, Name: client.Text{JA: "靴", EN: "Shoes"}},
		}},
		{ID: 4, Name: client.Text{JA: "本", EN: "Books"}},
	}, c.Categories); diff != "" {
		t.Error(diff)
	}
	if c.Currency != "JPY" || len(c.Conditions) != 6 {
		t.Errorf("%q, %d conditions", c.Currency, len(c.Conditions))
	}
	for _, condition := range c.Conditions {
		if condition.Name.JA == "" || condition.Name.EN == "" {
			t.Errorf("condition %s has no name", condition.ID)
		}
	}
}

func TestLikes(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	eve, _ := b.person("Eve")
	item := b.item(ken, "Chair", 500)
	count := func() int64 {
		i, err := b.client.Item(t.Context(), item.ID)
		must(t, err)
		return i.LikeCount
	}
	for _, step := range []struct {
		f    func(context.Context, string) error
		want int64
	}{{eve.Like, 1}, {eve.Like, 1}, {eve.Unlike, 0}, {eve.Unlike, 0}, {eve.Like, 1}} {
		must(t, step.f(t.Context(), item.ID))
		if got := count(); got != step.want {
			t.Errorf("%d likes, want %d", got, step.want)
		}
	}
	if p := problem(t, ken.Like(t.Context(), item.ID)); p.Status != 409 || p.Reason != "own_item" {
		t.Errorf("one's own: %v", p)
	}
	for _, id := range []string{"it_0000000000001", "it_", "x", "us_0000000000001"} {
		if p := problem(t, eve.Like(t.Context(), id)); p.Status != 404 {
			t.Errorf("%q: %v", id, p)
		}
	}
}

func TestComments(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	eve, her := b.person("Eve")
	item := b.item(ken, "Chair", 500)
	ctx := t.Context()
	var want []string
	for i := range 7 {
		text := fmt.Sprint("comment ", i)
		c, err := eve.Comment(ctx, item.ID, text)
		must(t, err)
		if c.Body != text || c.Author != (client.Person{ID: her.ID, Name: "Eve"}) {
			t.Errorf("%+v", c)
		}
		want = append(want, text)
	}
	var got []string
	cursor := ""
	for {
		page, err := b.client.Comments(ctx, item.ID, cursor, 3)
		must(t, err)
		for _, c := range page.Items {
			got = append(got, c.Body)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	all := 0
	for _, err := range b.client.AllComments(ctx, item.ID) {
		must(t, err)
		all++
	}
	if i, err := b.client.Item(ctx, item.ID); err != nil || i.CommentCount != 7 || all != 7 {
		t.Errorf("%d comments, %d read, %v", i.CommentCount, all, err)
	}
	if p := problem(t, errOf(eve.Comment(ctx, item.ID, " \n\t "))); p.Status != 422 || p.Errors[0].Pointer != "/body" {
		t.Errorf("nothing said: %v", p)
	}
}

func TestPhotos(t *testing.T) {
	b := newBench(t, options{})
	ken, _ := b.person("Ken")
	ctx := t.Context()
	photo, err := ken.AddPhoto(ctx, strings.NewReader(string(picture(t, 640, 480))))
	must(t, err)
	if photo.Width != 640 || photo.Height != 480 {
		t.Errorf("%+v", photo)
	}
	for _, url := range []string{photo.URLs.Small, photo.URLs.Medium, photo.URLs.Large} {
		res := b.get(url)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "image/jpeg" || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") ||
			res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", url, res.StatusCode, res.Header)
		}
		file, err := b.client.PhotoFile(ctx, url)
		if err != nil || !strings.HasPrefix(string(file), "\xff\xd8") {
			t.Errorf("%s: %d bytes, %v", url, len(file), err)
		}
	}
	for _, url := range []string{"/photos/x", "/photos/..%2f..%2fmarket.db", "/photos/" + strings.Repeat("a", 32) + "_s.jpg"} {
		if res := b.get(url); res.StatusCode != 404 || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", url, res.StatusCode, res.Header)
		}
	}
	const boundary = "multipart/form-data; boundary=b"
	part := func(name, content string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"f\"\r\n\r\n" + content + "\r\n--b--\r\n"
	}
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"not a picture", boundary, part("file", "hello"), 415},
		{"a broken one", boundary, part("file", string(picture(t, 64, 64)[:600])), 422},
		{"too large", boundary, part("file", string(picture(t, 64, 64))+strings.Repeat("x", 300<<10)), 413},
		{"another field", boundary, part("avatar", "hello"), 422},
		{"no part", boundary, "--b--\r\n", 422},
		{"cut off", boundary, "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\xff\xd8", 400},
		{"no boundary", "multipart/form-data", "", 400},
		{"JSON", "application/json", "{}", 415},
	} {
		res := b.do(http.MethodPost, "/v1/photos", tt.body, "Authorization", "Bearer "+tokenOf(ken), "Content-Type", tt.contentType)
		if res.StatusCode != tt.status || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s, want %d", tt.name, res.StatusCode, body(t, res), tt.status)
		}
	}
	if p := problem(t, errOf(b.client.AddPhoto(ctx, strings.NewReader("x")))); p.Status != 401 {
		t.Errorf("without a session: %v", p)
	}
}
