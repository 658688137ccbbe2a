package search

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a query may have at most, after folding.
const (
	MaxQueryRunes = 100
	MaxQueryWords = 10
)

// Query is a folded query: its words, each once, in alphabetical order, so
// that one question has one spelling. The zero value asks for nothing.
type Query struct {
	words []string
}

// The errors of Parse. They are for people.
var (
	ErrNoWord  = errors.New("has no word to look for")
	ErrTooLong = errors.New("has too many words or characters")
)

// Parse reads what somebody has typed.
func Parse(s string) (Query, error) {
	if len(s) > 16*MaxQueryRunes { // before any work; no folding makes a text that much shorter
		return Query{}, ErrTooLong
	}
	folded := Fold(s)
	words := strings.Fields(folded)
	slices.Sort(words)
	words = slices.Compact(words)
	switch {
	case len(words) == 0:
		return Query{}, ErrNoWord
	case len(words) > MaxQueryWords, utf8.RuneCountInString(folded) > MaxQueryRunes:
		return Query{}, ErrTooLong
	}
	return Query{words}, nil
}

// IsZero reports whether the query asks for nothing.
func (q Query) IsZero() bool { return len(q.words) == 0 }

// Equal reports whether two queries ask for the same.
func (q Query) Equal(o Query) bool { return slices.Equal(q.words, o.words) }

// String returns the words with a space between them. Parse of it is the query.
func (q Query) String() string { return strings.Join(q.words, " ") }

// Match reports whether a folded text has every word.
func (q Query) Match(text string) bool {
	for _, w := range q.words {
		if !contains(text, w) {
			return false
		}
	}
	return true
}

// Grams returns grams that an index has of every text which Match takes, each
// once. There is at least one unless the query is zero.
func (q Query) Grams() []Gram {
	var all []Gram
	for _, w := range q.words {
		first, size := utf8.DecodeRuneInString(w)
		if size == len(w) {
			all = append(all, unigram(first))
			continue
		}
		before := first
		for _, r := range w[size:] {
			all = append(all, bigram(before, r))
			before = r
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
