package market_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
)

var cursorKey = []byte("0123456789abcdef0123456789abcdef")

func TestCursorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := market.Cursor{Key: rapid.Int64().Draw(t, "key"), ID: rapid.Int64().Draw(t, "id")}
		list := rapid.String().Draw(t, "list")
		s := in.Encode(cursorKey, list)
		if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%q needs escaping in a URL", s)
		}
		out, err := market.DecodeCursor(cursorKey, list, s)
		if err != nil || out != in {
			t.Fatalf("%+v became %+v, %v", in, out, err)
		}
	})
}

func TestCursorRefuses(t *testing.T) {
	const list = "items/12/price_asc"
	good := market.Cursor{Key: 4500, ID: math.MaxInt64}.Encode(cursorKey, list)
	refused := map[string]string{"empty": "", "garbage": "garbage", "longer": good + "A", "padded": good + "=", "shorter": good[:len(good)-1]}
	for i := range len(good) { // every single changed character
		c := byte('A')
		if good[i] == c {
			c = 'B'
		}
		refused["changed at "+string(rune('a'+i))] = good[:i] + string(c) + good[i+1:]
	}
	for name, s := range refused {
		if got, err := market.DecodeCursor(cursorKey, list, s); market.ReasonOf(err) != market.ReasonInvalidCursor {
			t.Errorf("%s: DecodeCursor = %+v, %v, want invalid_cursor", name, got, err)
		}
	}
	if _, err := market.DecodeCursor(cursorKey, "items/12/price_desc", good); market.CodeOf(err) != market.CodeInvalid {
		t.Errorf("a cursor of another list: %v, want invalid", err)
	}
	if _, err := market.DecodeCursor([]byte("another key"), list, good); market.CodeOf(err) != market.CodeInvalid {
		t.Errorf("a cursor under another key: %v, want invalid", err)
	}
}

func FuzzDecodeCursor(f *testing.F) {
	f.Add("items/0/new", market.Cursor{ID: 7}.Encode(cursorKey, "items/0/new"))
	f.Add("items/0/new", market.Cursor{Key: -1, ID: -1}.Encode(cursorKey, "items/1/new"))
	f.Add("", "")
	f.Add("x", strings.Repeat("A", 34))
	f.Fuzz(func(t *testing.T, list, s string) {
		c, err := market.DecodeCursor(cursorKey, list, s)
		if err != nil {
			if market.ReasonOf(err) != market.ReasonInvalidCursor {
				t.Errorf("error %v", err)
			}
			return
		}
		if again := c.Encode(cursorKey, list); again != s {
			t.Errorf("%q decodes to %+v, which is %q", s, c, again)
		}
	})
}
