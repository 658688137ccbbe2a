package search_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/search"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"only punctuation", "！？…「」", ""},
		{"full width", "ＮＩＫＥ　２７ｃｍ", "nike 27cm"},
		{"half-width kana", "ｽﾆｰｶｰ ﾊﾞｯｸﾞ ﾊﾟﾝ", "すにーかー ばっぐ ぱん"},
		{"katakana", "イス ヴィンテージ", "いす ゔぃんてーじ"},
		{"hiragana", "いす", "いす"},
		{"small kana stay", "シャツ", "しゃつ"},
		{"voicing tells words apart", "ハンバーグ", "はんばーぐ"},
		{"composed and decomposed", "か\u3099", "が"},
		{"case", "Denim JACKET", "denim jacket"},
		{"accents", "Café CRÈME", "cafe creme"},
		{"kanji", "木製椅子", "木製椅子"},
		{"brackets", "【新品】木製椅子(小)", "新品 木製椅子 小"},
		{"hyphen", "Wi-Fi", "wi fi"},
		{"apostrophes", "Levi's Levi’s", "levis levis"},
		{"price", "¥3,200〜", "3 200"},
		{"units", "㌔ ㎝ ①", "きろ cm 1"},
		{"ligature", "ﬁne", "fine"},
		{"middle dot", "テーブル・チェア", "てーぶる ちぇあ"},
		{"emoji", "木の椅子🪑美品", "木の椅子 🪑 美品"},
		{"emoji, joined and coloured", "👍🏽👩\u200d🔧❤\ufe0f", "👍 👩 🔧 ❤"},
		{"spaces", "  a \t\n b　c ", "a b c"},
		{"repetition mark", "佐々木", "佐々木"},
		{"not UTF-8", "a\xffb", "a � b"},
		{"other scripts", "Кёльн ΑΒΓ", "кельн αβγ"},
		{"long vowel", "ソファー ソファｰ", "そふぁー そふぁー"},
	} {
		if got := search.Fold(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"椅子", "椅子"},
		{"イス　木製", "いす 木製"},
		{"b a B", "a b"},
		{"🪑", "🪑"},
	} {
		q, err := search.Parse(c.in)
		if err != nil || q.String() != c.want || q.IsZero() {
			t.Errorf("%q: %q, %v; want %q", c.in, q, err, c.want)
		}
		again, err := search.Parse(q.String())
		if err != nil || again.String() != c.want {
			t.Errorf("%q again: %q, %v", c.in, again, err)
		}
	}
	for in, want := range map[string]error{
		"":                          search.ErrNoWord,
		" 　!":                       search.ErrNoWord,
		strings.Repeat("あ", 101):    search.ErrTooLong,
		strings.Repeat("x", 5000):   search.ErrTooLong,
		"a b c d e f g h i j k":     search.ErrTooLong,
		strings.Repeat("\u0301", 9): search.ErrNoWord,
	} {
		if q, err := search.Parse(in); !errors.Is(err, want) || !q.IsZero() {
			t.Errorf("%q: %q, %v; want %v", in, q, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		query, title string
		want         bool
	}{
		{"椅子", "木製椅子 美品", true},
		{"椅子", "木製の椅 子ども用", false},
		{"本", "古本まとめ売り", true},
		{"本", "古書まとめ売り", false},
		{"いす", "学校イス", true},
		{"イス", "アイスクリーム", true}, // a part of a word
		{"スニーカー", "ｽﾆｰｶｰ 27cm", true},
		{"denim", "Vintage DENIM jacket", true},
		{"jack", "Vintage denim jacket", true},
		{"denim 美品", "【美品】denim jacket", true},
		{"denim 新品", "【美品】denim jacket", false},
		{"m", "Denim jacket, size M", true}, // a letter is a word of its own only
		{"m", "Denim jacket, size L", false},
		{"の", "木の椅子", false},
		{"🪑", "椅子🪑", true},
		{"🪑", "椅子", false},
		{"aba", "ab ba", false}, // its grams are there, the word is not
		{"東京都", "東京 京都", false},
	} {
		q, err := search.Parse(c.query)
		if err != nil {
			t.Fatalf("%q: %v", c.query, err)
		}
		if got := q.Match(search.Fold(c.title)); got != c.want {
			t.Errorf("%q in %q: %t", c.query, c.title, got)
		}
	}
}

func TestGrams(t *testing.T) {
	var got []string
	for _, g := range search.Grams(search.Fold("木製 チェア M 木製")) {
		got = append(got, g.String())
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"m", "ぇあ", "ちぇ", "木", "木製", "製"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(search.Grams(search.Fold(strings.Repeat("的", 10) + strings.Repeat("木製椅子机棚箱本車服靴鞄皿", 400)))); n > search.MaxGrams || n == 0 {
		t.Errorf("a long text has %d grams", n)
	}
}

// FuzzSearch holds that folding is idempotent, that a query has one spelling,
// and that an index of grams finds whatever matches.
func FuzzSearch(f *testing.F) {
	for _, s := range [][2]string{
		{"椅子", "木製椅子 美品"}, {"本", "古本"}, {"ｽﾆｰｶｰ", "スニーカー 27cm"}, {"Café", "cafe au lait"}, {"🪑 👍🏽", "椅子🪑👍"}, {"a\xff", "\xffa"},
		{"ﷺ", "ﷺ"}, {"İ ẞ ſ K", "İstanbul"}, {"ヷ゛", "わ゙"}, {"m", "size M"}, {"の", "木の椅子"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, typed, title string) {
		text := search.Fold(title)
		if again := search.Fold(text); again != text {
			t.Fatalf("%q folds to %q and that to %q", title, text, again)
		}
		if !utf8.ValidString(text) || strings.Contains(text, "  ") || strings.TrimSpace(text) != text {
			t.Fatalf("%q folds to %q", title, text)
		}
		q, err := search.Parse(typed)
		if err != nil {
			return
		}
		if again, err := search.Parse(q.String()); err != nil || again.String() != q.String() {
			t.Fatalf("%q is %q and that is %q, %v", typed, q, again, err)
		}
		if len(q.Grams()) == 0 {
			t.Fatalf("%q has no gram", q)
		}
		has := search.Grams(text)
		if q.Match(text) && utf8.RuneCountInString(text) < search.MaxGrams/2 {
			for _, g := range q.Grams() {
				if _, ok := slices.BinarySearch(has, g); !ok {
					t.Fatalf("%q matches %q, which has no gram %q", q, text, g)
				}
			}
		}
	})
}
