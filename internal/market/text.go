package market

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text from people is stored as it was meant: line ends as \n, without control
// characters, without the marks that turn the reading direction (they can make
// a line read as what it is not), without space around it. It is never escaped
// here: that is the business of whoever puts it into JSON or HTML. Nothing is
// composed or folded either; search normalises for itself.

// cleanLine returns s as one line: every run of white space becomes one space.
func cleanLine(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case dropped(r):
			continue
		}
		if space {
			// An ideographic space between words is as good as any other.
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cleanText returns s with its lines: line ends are \n, at most two of them
// follow each other, and spaces at the ends of lines are gone.
func cleanText(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case r == '\r', r == '\u2028', r == '\u2029', r == '\u0085', r == '\v', r == '\f':
			return '\n'
		case dropped(r):
			return -1
		}
		return r
	}, s)
	lines := strings.Split(s, "\n")
	kept := lines[:0]
	for _, line := range lines {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if line == "" && (len(kept) == 0 || kept[len(kept)-1] == "") {
			continue
		}
		kept = append(kept, line)
	}
	return strings.TrimSpace(strings.Join(kept, "\n"))
}

// dropped reports whether a rune has no place in anybody's text.
func dropped(r rune) bool {
	switch {
	case unicode.IsControl(r):
		return true
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069': // embeddings, overrides, isolates
		return true
	case r == '\ufeff', r == '\u00ad': // byte order mark, soft hyphen
		return true
	case r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe0fff && !tagRune(r):
		return true
	}
	return unicode.Is(unicode.Noncharacter_Code_Point, r)
}

// tagRune reports whether r spells a flag such as Scotland's inside an emoji.
func tagRune(r rune) bool { return r >= 0xe0020 && r <= 0xe007f }

// visible reports whether s has anything to see.
func visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && r != '\u3164' && r != '\uffa0' && r != '\u2800'
	})
}

// line checks and cleans a text of one line of at most limit runes.
func line(field, s string, limit int) (string, error) {
	return text(field, s, limit, true, cleanLine)
}

// text checks and cleans a text. It refuses one that is not UTF-8: guessing
// would store something else than what was sent.
func text(field, s string, limit int, required bool, clean func(string) string) (string, error) {
	if !utf8.ValidString(s) {
		return "", Fieldf(field, ReasonMalformed, "must be UTF-8")
	}
	s = clean(s)
	switch {
	case required && !visible(s):
		return "", Fieldf(field, ReasonRequired, "must not be empty")
	case utf8.RuneCountInString(s) > limit:
		return "", Fieldf(field, ReasonTooLong, "must have at most %d characters", limit)
	}
	return s, nil
}
