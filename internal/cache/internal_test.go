package cache

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestPurgeLogAgainstAHistoryOfAllPurges holds the log, which forgets, against one that does not.
func TestPurgeLogAgainstAHistoryOfAllPurges(t *testing.T) {
	tag := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		p := purgeLog{last: map[string]uint64{}, limit: limit}
		var history [][]string // purge number i+1
		var flights []*flight
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				f := &flight{}
				p.begin(f)
				flights = append(flights, f)
			},
			"purge": func(t *rapid.T) {
				tags := rapid.SliceOfN(tag, 1, 3).Draw(t, "tags")
				p.add(tags)
				history = append(history, tags)
			},
			"end": func(t *rapid.T) {
				if len(flights) == 0 {
					return
				}
				i := rapid.IntRange(0, len(flights)-1).Draw(t, "flight")
				f, tags := flights[i], rapid.SliceOfN(tag, 0, 3).Draw(t, "tags of the answer")
				var want bool
				n := 0
				for _, purge := range history[f.begin:] {
					n += len(purge)
					want = want || slices.ContainsFunc(purge, func(s string) bool { return slices.Contains(tags, s) })
				}
				// With more purged than it may remember, it may err to the safe side.
				if got := p.since(f.begin, tags); got != want && (want || n <= limit) {
					t.Fatalf("since(%d, %q) = %v, want %v", f.begin, tags, got, want)
				}
				p.end(f)
				flights = slices.Delete(flights, i, i+1)
			},
			"": func(t *rapid.T) {
				if p.log.len() > limit || len(p.last) > p.log.len() {
					t.Fatalf("%d records, %d tags, limit %d", p.log.len(), len(p.last), limit)
				}
				if len(flights) == 0 && (p.log.len() > 0 || len(p.last) > 0 || p.oldest != nil || p.newest != nil) {
					t.Fatalf("no load runs, and the log holds %d records", p.log.len())
				}
			},
		})
	})
}

func TestPurgeLogForgetsToTheSafeSide(t *testing.T) {
	p := purgeLog{last: map[string]uint64{}, limit: 2}
	f := &flight{}
	p.begin(f)
	p.add([]string{"a"})
	p.add([]string{"b", "c"})
	if !p.since(f.begin, []string{"a"}) || !p.since(f.begin, []string{"z"}) {
		t.Error("a purge that has been forgotten does not void the load")
	}
	later := &flight{}
	p.begin(later)
	if p.since(later.begin, []string{"a", "b", "c"}) {
		t.Error("purges from before a load void it")
	}
}

// TestIndexHoldsWhatTheStoreHolds: no leak of links, whatever is replaced, purged or evicted.
func TestIndexHoldsWhatTheStoreHolds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxBytes = 300 << 10
	c := New(cfg, Options{})
	for i := range 5000 {
		if i%17 == 0 {
			c.Purge(fmt.Sprint("tag", i%40))
		}
		key := fmt.Sprint("key", (i*i)%211)
		w := httptest.NewRecorder()
		err := c.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), key, func(context.Context) (Answer, error) {
			return Answer{Body: make([]byte, i%3000), Tags: []string{"all", fmt.Sprint("tag", i%40), "all"}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c.entries.CleanUp()
	alive := map[string]int{}
	for _, e := range c.entries.All() {
		if e.state.Load() == live {
			for i := range e.links {
				alive[e.links[i].list.tag]++
			}
		}
	}
	linked := map[string]int{}
	for tag, list := range c.index.tags {
		for l := list.first; l != nil; l = l.next {
			linked[tag]++
			if l.list != list || l.next != nil && l.next.prev != l {
				t.Fatalf("the list of %s is broken", tag)
			}
		}
	}
	if diff := cmp.Diff(alive, linked); diff != "" || len(alive) < 10 {
		t.Errorf("links of the answers in the store (-) and in the index (+):\n%s", diff)
	}
	if len(c.flights) != 0 || c.purges.oldest != nil || c.purges.log.len() != 0 {
		t.Errorf("left behind: %d flights, %d purge records", len(c.flights), c.purges.log.len())
	}
	c.Purge("all")
	if len(c.index.tags) != 0 {
		t.Errorf("left in the index after a purge of all: %v", slices.Collect(maps.Keys(c.index.tags)))
	}
}

func TestFifoKeepsOrderAndGivesRoomBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo[int]
		var want []int
		for i, push := range rapid.SliceOfN(rapid.Bool(), 0, 5000).Draw(t, "pushes") {
			switch {
			case push:
				q.push(i)
				want = append(want, i)
			case len(want) > 0:
				if got := q.pop(); got != want[0] {
					t.Fatalf("pop = %d, want %d", got, want[0])
				}
				want = want[1:]
			}
			if q.len() != len(want) || len(want) > 0 && *q.front() != want[0] {
				t.Fatalf("len %d, want %d", q.len(), len(want))
			}
			if cap(q.items) > 4*len(want)+1100 && len(want) > 1100 {
				t.Fatalf("room for %d, %d used", cap(q.items), len(want))
			}
		}
	})
}

func TestKey(t *testing.T) {
	for _, tc := range []struct{ route, query, want string }{
		{"/v1/items", "", "/v1/items"},
		{"/v1/items", "sort=new&category=3", "/v1/items?category=3&sort=new"},
		{"/v1/items", "q=%E6%A4%85%E5%AD%90+%26", "/v1/items?q=%E6%A4%85%E5%AD%90+%26"},
		{"/v1/items", "a=2&a=1", "/v1/items?a=2&a=1"},
		{"/v1/items?a=1", "", "/v1/items%3Fa=1"},
		{"/v1/items%3Fa=1", "", "/v1/items%253Fa=1"},
	} {
		q, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := Key(tc.route, q); got != tc.want {
			t.Errorf("Key(%q, %q) = %q, want %q", tc.route, tc.query, got, tc.want)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add("/v1/items", "category=1&sort=new", "sort=new&category=1")
	f.Add("/v1/items", "a=1", "a=1&a=")
	f.Add("/v1/items?a=1", "", "a=1")
	f.Add("/", "q="+strings.Repeat("x", 600), "q="+strings.Repeat("x", 601))
	f.Fuzz(func(t *testing.T, route, query, other string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		key := Key(route, q)
		if len(key) > maxKey {
			t.Fatalf("%d bytes", len(key))
		}
		if r, err := url.ParseQuery(other); err == nil {
			same := maps.EqualFunc(q, r, slices.Equal)
			if (Key(route, r) == key) != same {
				t.Fatalf("queries %q and %q: keys %q and %q", query, other, key, Key(route, r))
			}
		}
		if Key(query, nil) == key && (query != route || len(q) > 0) && route != query {
			t.Fatalf("route %q alone and route %q with %q have the key %q", query, route, query, key)
		}
	})
}

func TestAcceptsGzip(t *testing.T) {
	for _, tc := range []struct {
		headers string // lines by |
		want    bool
	}{
		{"gzip", true},
		{"gzip, deflate, br, zstd", true},
		{"GZIP", true},
		{"x-gzip", true},
		{"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
		{"br|deflate , gzip ; q=0.001", true},
		{"*", true},
		{"*;q=0.5", true},
		{"", false},
		{"identity", false},
		{"br, deflate", false},
		{"gzip;q=0", false},
		{"gzip;q=0.000", false},
		{"gzip;q=0, *", false},
		{"*;q=0", false},
		{"gzip;q=0.5, identity", false},
		{"gzip;q=0.5, identity;q=0.5", true},
		{"identity;q=0, gzip;q=0.1", true},
		{"gzip;q=2", false},
		{"gzip;q=1.5", true}, // more than all: all
		{"gzip;q=0.1234", false},
		{"gzip;q=x", false},
		{"gzip;q=", false},
		{"gzipped", false},
		{";q=1,,gzip;;q=1", true},
	} {
		if got := acceptsGzip(strings.Split(tc.headers, "|")); got != tc.want {
			t.Errorf("acceptsGzip(%q) = %v, want %v", tc.headers, got, tc.want)
		}
	}
	if acceptsGzip(nil) {
		t.Error("acceptsGzip without a header = true")
	}
}

func FuzzAcceptsGzip(f *testing.F) {
	f.Add("gzip;q=0.5, identity, *;q=0")
	f.Add("br,,;q=1, x-gzip ; q=1.0")
	f.Fuzz(func(t *testing.T, header string) {
		got := acceptsGzip([]string{header})
		lower := strings.ToLower(header)
		if got && !strings.Contains(lower, "gzip") && !strings.Contains(lower, "*") {
			t.Errorf("acceptsGzip(%q) without being named", header)
		}
		if split := acceptsGzip(strings.Split(header, ",")); split != got {
			t.Errorf("acceptsGzip(%q) = %v, over several lines %v", header, got, split)
		}
		if !acceptsGzip([]string{header, "identity;q=0, gzip"}) && !strings.Contains(lower, "identity") {
			t.Errorf("%q hides a later gzip", header)
		}
	})
}

func FuzzMatchesTag(f *testing.F) {
	f.Add(`"a", W/"b",, "c"`, "c")
	f.Add(`*`, "x")
	f.Add(`"a" "b"`, "b")
	f.Add(`W/W/"a`, "a")
	f.Fuzz(func(t *testing.T, header, opaque string) {
		if strings.Contains(opaque, `"`) {
			return
		}
		tag := `"` + opaque + `"`
		got := matchesTag([]string{header}, tag)
		if got && strings.Trim(header, " \t") != "*" && !strings.Contains(header, tag) {
			t.Errorf("matchesTag(%q, %q) = true", header, tag)
		}
		for _, list := range []string{tag, "W/" + tag, `"x",` + tag, tag + " , " + header, `"x" , W/` + tag + `,"y"`} {
			if !matchesTag([]string{header, list}, tag) {
				t.Errorf("matchesTag(%q, %q) = false", list, tag)
			}
		}
	})
}
