// Package search is the language side of finding items by words: how a title and
// what somebody types are brought to one form, which words a query has, and
// the grams that an index keeps of a text.
//
//	text := search.Fold("ＮＩＫＥ　スニーカー 27cm")      // "nike すにーかー 27cm"
//	q, err := search.Parse("スニーカー nike")
//	q.Match(text)                                        // true: every word occurs
//	for _, g := range q.Grams() { … }                    // rows that an index has of every text that matches
//
// A word is found wherever it is a part of a title: "機" has no use for word
// boundaries that Japanese does not write. Spaces in a query mean AND; their order
// means nothing. There is no stemming, no dictionary and no synonym.
//
// The package knows nothing of items, of SQL or of HTTP. Everything in it is a
// pure function of its arguments and safe for concurrent use.
package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold brings a text to the form in which texts are compared: words of
// letters, digits and signs with one space between them. Fold of a folded text
// is the text.
//
//   - Width and shape (NFKD): ＡＢＣ, ｱｲｳ, ㌔, ①, ﬁ are abc, あいう, きろ, 1, fi.
//   - Case: lower.
//   - Kana: katakana is hiragana, so that いす and イス are one word. Small kana,
//     ー and voicing marks stay: they tell words apart.
//   - Accents of Latin, Greek and Cyrillic letters are gone: café is cafe.
//   - Apostrophes are gone: levi's is levis. All other punctuation, and signs of
//     currency and mathematics, are a space: wi-fi is two words.
//   - An emoji is a word. Its skin colour and its joiners are gone.
func Fold(s string) string {
	// The normaliser leaves alone what comes after bytes that are no UTF-8.
	s = norm.NFKD.String(strings.ToValidUTF8(s, "\ufffd"))
	var b strings.Builder
	b.Grow(len(s))
	space, alone := false, false // a space is due; the last rune was a word of its own
	for _, r := range s {
		r = unicode.ToLower(r)
		switch classOf(r) {
		case classGone:
			continue
		case classSpace:
			space = true
			continue
		case classSign:
			space, alone = true, true
		case classWord:
			space, alone = space || alone, false
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(hiragana(r))
	}
	return norm.NFC.String(b.String())
}

// class is what Fold makes of a rune.
type class uint8

const (
	classSpace class = iota
	classGone
	classWord // a part of a word
	classSign // a word by itself
)

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return classWord
		case r == '\'':
			return classGone
		}
		return classSpace
	case r >= 0x300 && r <= 0x36f: // accents
		return classGone
	case r == '\u2018', r == '\u2019', r == '\u02bc', r == '\u200b', r == '\u200c', r == '\u200d', r == '\u2060', r == '\u00ad', r == '\ufeff':
		return classGone
	case r >= 0xfe00 && r <= 0xfe0f, r >= 0x1f3fb && r <= 0x1f3ff, r >= 0xe0000 && r <= 0xe01ef: // variation selectors, skin colours, tags
		return classGone
	case unicode.In(r, unicode.L, unicode.N, unicode.M):
		return classWord
	case unicode.Is(unicode.So, r):
		return classSign
	}
	return classSpace
}

// hiragana turns a katakana letter into the hiragana one.
func hiragana(r rune) rune {
	if (r >= 'ァ' && r <= 'ヶ') || r == 'ヽ' || r == 'ヾ' {
		return r - 'ァ' + 'ぁ'
	}
	return r
}

// single reports whether a word of this one rune is looked for inside of words
// too: a Chinese character is a word in itself wherever it stands, a letter is not.
func single(r rune) bool { return unicode.Is(unicode.Han, r) }

// contains reports whether a folded text holds a folded word.
func contains(text, word string) bool {
	if r, size := utf8.DecodeRuneInString(word); size < len(word) || single(r) {
		return strings.Contains(text, word)
	}
	for rest := range strings.SplitSeq(text, " ") {
		if rest == word {
			return true
		}
	}
	return false
}
