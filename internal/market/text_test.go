package market_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
)

// draft is an item that every rule likes.
func draft() market.ItemDraft {
	return market.ItemDraft{ID: 7, Seller: 1, Category: 12, Title: "Oak chair", Description: "Solid.", Price: 4500, Condition: market.ConditionGood}
}

func TestTitles(t *testing.T) {
	rules := market.DefaultRules()
	for name, c := range map[string]struct {
		in, want string
		reason   market.Reason
	}{
		"plain":                {in: "Oak chair", want: "Oak chair"},
		"japanese":             {in: "木製の椅子", want: "木製の椅子"},
		"space around":         {in: " \t Oak chair \n", want: "Oak chair"},
		"ideographic space":    {in: "　木製　椅子　", want: "木製 椅子"},
		"runs of space":        {in: "Oak  \r\n chair", want: "Oak chair"},
		"control characters":   {in: "Oak\x00 ch\x1bair\x7f", want: "Oak chair"},
		"direction marks":      {in: "Oak \u202eriahc\u202c", want: "Oak riahc"},
		"byte order mark":      {in: "\ufeffOak", want: "Oak"},
		"emoji family":         {in: "👩‍👩‍👧 chair", want: "👩‍👩‍👧 chair"},
		"flag of Scotland":     {in: "🏴󠁧󠁢󠁳󠁣󠁴󠁿", want: "🏴󠁧󠁢󠁳󠁣󠁴󠁿"},
		"markup stays text":    {in: "<b>&amp;'\"", want: "<b>&amp;'\""},
		"combining":            {in: "か\u3099", want: "か\u3099"},
		"80 characters":        {in: strings.Repeat("椅", 80), want: strings.Repeat("椅", 80)},
		"81 characters":        {in: strings.Repeat("椅", 81), reason: market.ReasonTooLong},
		"empty":                {in: "", reason: market.ReasonRequired},
		"only space":           {in: " 　\n", reason: market.ReasonRequired},
		"nothing to see":       {in: "\u200b\u200d\u2060", reason: market.ReasonRequired},
		"blank letters":        {in: "\u3164\u2800", reason: market.ReasonRequired},
		"not UTF-8":            {in: "Oak\xff", reason: market.ReasonMalformed},
		"half a surrogate":     {in: "\xed\xa0\x80", reason: market.ReasonMalformed},
		"noncharacter":         {in: "Oak\uffff", want: "Oak"},
		"long only when dirty": {in: strings.Repeat("a", 80) + strings.Repeat("\x00", 100), want: strings.Repeat("a", 80)},
	} {
		t.Run(name, func(t *testing.T) {
			d := draft()
			d.Title = c.in
			item, err := rules.NewItem(d, noon)
			if market.ReasonOf(err) != c.reason {
				t.Fatalf("error %v, want reason %q", err, c.reason)
			}
			if err != nil {
				if f := market.Faults(err); len(f) != 1 || f[0].Field != "title" || f[0].Code != market.CodeInvalid {
					t.Errorf("faults %v, want one of title", f)
				}
			} else if item.Title != c.want {
				t.Errorf("title %q, want %q", item.Title, c.want)
			}
		})
	}
}

func TestDescriptionsKeepTheirLines(t *testing.T) {
	rules := market.DefaultRules()
	for in, want := range map[string]string{
		"":                                 "",
		"one":                              "one",
		"one\ntwo":                         "one\ntwo",
		"one\r\ntwo\rthree\u2028four":      "one\ntwo\nthree\nfour",
		"one\n\n\n\n\ntwo":                 "one\n\ntwo",
		"  indented\n\tmore  \n\n":         "indented\n\tmore",
		"one\x00\x07two":                   "onetwo",
		"\n\n　前　\n後\n":                     "前\n後",
		strings.Repeat("\n", 5000) + "end": "end",
	} {
		d := draft()
		d.Description = in
		item, err := rules.NewItem(d, noon)
		if err != nil || item.Description != want {
			t.Errorf("%q became %q, %v; want %q", in, item.Description, err, want)
		}
	}
	d := draft()
	d.Description = strings.Repeat("長", 3001)
	if _, err := rules.NewItem(d, noon); market.ReasonOf(err) != market.ReasonTooLong {
		t.Errorf("3001 characters: %v, want too_long", err)
	}
}

// TestCleanTextIsStable holds that cleaning twice is cleaning once, and that
// what a rule lets through is what it promises.
func TestCleanTextIsStable(t *testing.T) {
	rules := market.DefaultRules()
	rapid.Check(t, func(t *rapid.T) {
		d := draft()
		d.Title = rapid.StringOfN(rapid.Rune(), 0, 60, -1).Draw(t, "title")
		d.Description = rapid.String().Draw(t, "description")
		item, err := rules.NewItem(d, noon)
		if err != nil {
			return
		}
		for _, s := range []string{item.Title, item.Description} {
			if !utf8.ValidString(s) || s != strings.TrimSpace(s) ||
				strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
				t.Fatalf("%q got through", s)
			}
		}
		if strings.ContainsAny(item.Title, "\n\t") || item.Title == "" {
			t.Fatalf("title %q got through", item.Title)
		}
		d.Title, d.Description = item.Title, item.Description
		again, err := rules.NewItem(d, noon)
		if err != nil || again.Title != item.Title || again.Description != item.Description {
			t.Fatalf("a clean item became %+v, %v", again, err)
		}
	})
}
