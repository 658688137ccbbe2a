package search

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Gram is one or two runes of a text, as a number that an index can keep: it is
// not a hash, no two grams share one.
type Gram int64

const runeBits = 21

func unigram(r rune) Gram         { return Gram(r) }
func bigram(first, r rune) Gram   { return Gram(first)<<runeBits | Gram(r) }
func (g Gram) runes() (a, b rune) { return rune(g >> runeBits), rune(g & (1<<runeBits - 1)) }

// String returns the runes.
func (g Gram) String() string {
	a, b := g.runes()
	if a == 0 {
		return string(b)
	}
	return string([]rune{a, b})
}

// MaxGrams is how many grams a text has at most: more than any title has.
const MaxGrams = 400

// Grams returns the grams of a folded text, each once, in ascending order: two
// neighbours within a word, every Chinese character, and every word of one rune.
// What comes after MaxGrams is not found.
func Grams(text string) []Gram {
	all := make([]Gram, 0, 48)
	for word := range strings.SplitSeq(text, " ") {
		if word == "" {
			continue
		}
		first, size := utf8.DecodeRuneInString(word)
		if size == len(word) || single(first) {
			all = append(all, unigram(first))
		}
		before := first
		for _, r := range word[size:] {
			all = append(all, bigram(before, r))
			if single(r) {
				all = append(all, unigram(r))
			}
			before = r
		}
		if len(all) >= MaxGrams {
			all = all[:MaxGrams]
			break
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
