package api_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/market"
)

func TestToken(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		token := api.NewToken()
		if !strings.HasPrefix(token, "fm_") || len(token) != 53 || seen[token] || !api.PlausibleToken(token) {
			t.Fatalf("token of %d bytes, %q…", len(token), token[:3])
		}
		seen[token] = true
		// One wrong digit anywhere is noticed without a look into the database.
		for i := range token {
			wrong := []byte(token)
			wrong[i] ^= 1
			if api.PlausibleToken(string(wrong)) {
				t.Fatalf("a token with a wrong byte at %d is plausible", i)
			}
		}
	}
	for _, s := range []string{"", "fm_", strings.Repeat("a", 53), api.NewToken() + "a"} {
		if api.PlausibleToken(s) {
			t.Errorf("%q is plausible", s)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	const email = "Hanako.Yamada@example.com"
	tests := []struct {
		password string
		ok       bool
	}{
		{"correct staple", true},
		{"ながいひみつのことば", true}, // 10 characters, 30 bytes
		{"ながいひみつのこと", false},
		{"short", false},
		{"123456789", false},
		{"1234567890", false},
		{"Password123", false},
		{"qwertyuiop", false},
		{"aaaaaaaaaaaa", false},
		{"ああああああああああああ", false},
		{"abababababab", true},
		{"hanako.yamada", false},
		{"HANAKO.YAMADA@EXAMPLE.COM", false},
		{strings.Repeat("long enough ", 10), true},
		{strings.Repeat("far too long ", 10), false},
	}
	for _, tt := range tests {
		err := api.CheckPassword(tt.password, email)
		if (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.password, err)
		}
		if err != nil && strings.Contains(err.Error(), tt.password) {
			t.Errorf("%q is repeated: %v", tt.password, err)
		}
	}
}

func TestParsePHC(t *testing.T) {
	const good = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"
	if err := api.ParsePHC(good); err != nil {
		t.Error(err)
	}
	for _, s := range []string{
		"", "none", "$2a$10$abc", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=19456", "m=999999999", 1), strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "t=2", "t=9999", 1),
		strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "$c2FsdHNhbHRzYWx0c2FsdA", "$", 1), good + "!", good + "$",
	} {
		if err := api.ParsePHC(s); err == nil {
			t.Errorf("%q was read", s)
		}
	}
}

// TestItemsKey holds that one list has one key, however it is asked for, and another list another.
func TestItemsKey(t *testing.T) {
	user := market.UserID(12345).String()
	same := [][]string{
		{"", "sort=new", "limit=30", "limit=30&sort=new", "sort=new&limit=30&", "&&sort=%6eew", "sort="},
		{"category=3", "category=3&limit=30", "limit=30&category=3", "limit=%33%30&category=3"},
		{"category=3&sort=price_asc", "sort=price_asc&category=3"},
		{"category=33"}, {"sort=price_desc"}, {"limit=3"}, {"limit=31"}, {"seller=" + user}, {"cursor=abc"}, {"cursor=abc&category=3"}, {"cursor=abcd"},
		{"cursor=" + url.QueryEscape("x&seller="+user)}, {"cursor=x&seller=" + user},
		{"q=chair", "q=CHAIR", "q=ｃｈａｉｒ+", "state=on_sale&q=chair", "q=chair&limit=30&price_min=0"}, {"q=chair+oak", "q=oak%20chair%20oak"}, {"q=%E3%82%A4%E3%82%B9", "q=いす"},
		{"brand=3"}, {"brand=3&category=3"}, {"price_min=3"}, {"price_max=3"}, {"condition=good"}, {"state=sold"}, {"q=chair&state=sold"},
		{"seller=" + user + "&state=on_sale"}, {"q=brand+3", "q=brand%3D3"},
	}
	keys := map[string]int{}
	for i, queries := range same {
		for _, raw := range queries {
			q, err := api.ParseItems(raw)
			if err != nil {
				t.Errorf("%q: %v", raw, err)
				continue
			}
			key := api.ItemsKey("/v1/items", q)
			if j, ok := keys[key]; ok && j != i {
				t.Errorf("%q has the key of %q: %q", raw, same[j], key)
			}
			keys[key] = i
		}
	}
	if len(keys) != len(same) {
		t.Errorf("%d keys of %d lists: %v", len(keys), len(same), keys)
	}
}

func TestParseItemsRefuses(t *testing.T) {
	for raw, pointer := range map[string]string{
		"category=0": "query/category", "category=x": "query/category", "category=01": "query/category", "category=": "query/category",
		"seller=it_0000000000001": "query/seller", "seller=us_1": "query/seller", "sort=old": "query/sort", "limit=0": "query/limit", "limit=61": "query/limit",
		"limit=1e1": "query/limit", "limit=-1": "query/limit", "limit=": "query/limit", "q=": "query/q", "q=!": "query/q", "brand=0": "query/brand", "state=new": "query/state", "price_min=x": "query/price_min",
		"condition=": "query/condition", "page=2": "query/page", "sort=new&sort=new": "query/sort", "SORT=new": "query/SORT",
	} {
		_, err := api.ParseItems(raw)
		if fields := api.FieldsOf(err); len(fields) != 1 || fields[0].Pointer != pointer {
			t.Errorf("%q: %v, want a fault of %s", raw, err, pointer)
		}
	}
	for _, raw := range []string{"%zz=1", "sort=%", "cursor=" + strings.Repeat("a", 129), "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9"} {
		if _, err := api.ParseItems(raw); err == nil {
			t.Errorf("%.40q was read", raw)
		}
	}
}

func FuzzParseItems(f *testing.F) {
	for _, s := range []string{"", "category=3&sort=price_asc&limit=60&cursor=AQ", "seller=us_0000000000001", "a=%zz", "&&=&=", "sort=new;limit=3", "limit=+3",
		"q=%E6%A4%85%E5%AD%90+M&brand=7&condition=good&price_min=300&price_max=5000&state=sold"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := api.ParseItems(raw)
		if err != nil {
			for _, fe := range api.FieldsOf(err) {
				if len(fe.Pointer) > 100 || !utf8.ValidString(fe.Message) {
					t.Errorf("%q: %+v", raw, fe)
				}
			}
			return
		}
		if q.Limit < 1 || q.Limit > client.MaxItems {
			t.Errorf("%q: limit %d", raw, q.Limit)
		}
		// The key is the query again, and means the same.
		key := api.ItemsKey("/v1/items", q)
		_, back, _ := strings.Cut(key, "?")
		if q.Cursor != url.QueryEscape(q.Cursor) {
			return // not a cursor; the store refuses it
		}
		again, err := api.ParseItems(back)
		if diff := cmp.Diff(q, again); diff != "" || err != nil {
			t.Errorf("%q → %q → %v\n%s", raw, key, err, diff)
		}
	})
}

func TestIfMatch(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "*": 0, `"3"`: 3, ` "3" `: 3, `"9223372036854775807"`: 9223372036854775807} {
		if got, err := api.IfMatch(s); got != want || err != nil {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{`3`, `"3`, `3"`, `""`, `W/"3"`, `"0"`, `"-1"`, `"3","4"`, `"x"`, `"`} {
		if _, err := api.IfMatch(s); err == nil {
			t.Errorf("%s was read", s)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{}`, `{"title":"a","price":1}`, `{"price":1e400}`, `{"price":"hunter2secret"}`, `[`, `{"a":` + strings.Repeat("[", 100), "\xff", `{"price":1.5}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v client.NewItem
		err := api.Unmarshal(b, &v)
		if err == nil {
			return
		}
		if json.Unmarshal(b, &v) == nil {
			t.Errorf("%q is refused: %v", b, err)
		}
		if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 200 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", b, err)
		}
	})
}

func TestPointer(t *testing.T) {
	for in, want := range map[string]string{
		"body": "", "body.price": "/price", "body.photos[2].name": "/photos/2/name", "query.limit": "query/limit", "path.id": "path/id",
		"header.If-Match": "header/If-Match", "body.a/b~c": "/a~1b~0c",
	} {
		if got := api.Pointer(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	long := strings.Repeat("あ", 100)
	texts := []string{}
	for _, l := range []market.Locale{market.LocaleJA, market.LocaleEN} {
		for _, f := range []func() (string, string){
			func() (string, string) { return api.LikedText(l, "椅子", "Ken", 0) },
			func() (string, string) { return api.LikedText(l, "椅子", "Ken", 1) },
			func() (string, string) { return api.LikedText(l, "椅子", "Ken", 41) },
			func() (string, string) { return api.CommentedText(l, "椅子", "Ken", "How tall\nis it?") },
			func() (string, string) { return api.PaidText(l, "椅子", "Ken", 1234567, "JPY") },
			func() (string, string) { return api.PaidText(l, "椅子", "Ken", 999, "USD") },
		} {
			title, body := f()
			texts = append(texts, title+" | "+body)
		}
		title, body := api.CommentedText(l, long, long, strings.Repeat("い", 1000))
		if n := len(title) + len(body); n > 1000 {
			t.Errorf("%s: a text of %d bytes", l, n)
		}
	}
	if diff := cmp.Diff([]string{
		"「いいね！」がつきました | Kenさんが「椅子」に「いいね！」しました",
		"「いいね！」がつきました | Kenさんほか1人が「椅子」に「いいね！」しました",
		"「いいね！」がつきました | Kenさんほか41人が「椅子」に「いいね！」しました",
		"「椅子」にコメントがつきました | Kenさん：How tall\nis it?",
		"「椅子」が売れました | Kenさんが¥1,234,567で購入しました。発送をお願いします。",
		"「椅子」が売れました | KenさんがUSD 999で購入しました。発送をお願いします。",
		"Your item is liked | Ken likes “椅子”",
		"Your item is liked | Ken and one other person like “椅子”",
		"Your item is liked | Ken and 41 others like “椅子”",
		"New comment on “椅子” | Ken: How tall\nis it?",
		"Sold: “椅子” | Ken paid ¥1,234,567. Please send it.",
		"Sold: “椅子” | Ken paid USD 999. Please send it.",
	}, texts); diff != "" {
		t.Error(diff)
	}
}

func TestPlausibleID(t *testing.T) {
	for s, want := range map[string]bool{
		"01HZX4-edge_7.a": true, "short": false, "with space": false, "line\nbreak1": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "日本語日本語": false,
	} {
		if got := api.PlausibleID(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestConfig(t *testing.T) {
	faults := func(c api.Config) (keys []string) {
		c.Validate(func(key, problem string) {
			if problem == "" || strings.Contains(problem, "\n") || strings.HasSuffix(problem, ".") {
				t.Errorf("%s: problem %q", key, problem)
			}
			keys = append(keys, key)
		})
		return keys
	}
	if keys := faults(api.DefaultConfig()); keys != nil {
		t.Errorf("the default has faults in %v", keys)
	}
	if keys := faults(api.Config{Listen: ":0"}); keys != nil {
		t.Errorf("zero values have faults in %v", keys)
	}
	c := api.Config{PushURL: "ftp://x", JobWorkers: -1, PasswordConcurrency: 2000, MaxBodyBytes: 10, BodyTimeout: -1, ChargeTimeout: 1 << 60}
	if diff := cmp.Diff([]string{"listen", "push_url", "job_workers", "password_concurrency", "max_body_bytes", "body_timeout", "charge_timeout"}, faults(c)); diff != "" {
		t.Error(diff)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := api.New(api.DefaultConfig(), api.Deps{}); err == nil {
		t.Error("an API of nothing")
	}
}
