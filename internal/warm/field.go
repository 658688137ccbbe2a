package warm

import (
	"bytes"
	"net/http"
	"strings"
)

// fold reports whether b is the lower-case text s in any case.
func fold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// hasToken reports whether a comma-separated list holds a token.
func hasToken(list []byte, token string) bool {
	for part := range bytes.SplitSeq(list, []byte{','}) {
		if fold(bytes.Trim(part, " \t"), token) {
			return true
		}
	}
	return false
}

// split cuts s at the first sep that is not inside a quoted string.
func split(s []byte, sep byte) (before, after []byte, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && c == sep:
			return s[:i], s[i+1:], true
		}
	}
	return s, nil, false
}

// outcome is what a cache said about one answer, in the header Cache-Status
// (RFC 9211).
type outcome uint8

const (
	outcomeNone    outcome = iota // no such header
	outcomeHit                    // served from a cache
	outcomeStale                  // the stored answer was too old, a new one was made
	outcomeMiss                   // nothing was stored
	outcomeRefresh                // made anew because the request asked for it
	outcomeBypass                 // the cache did not look
	outcomeOther
	outcomes
)

// outcomeNames are the names in summaries and metrics.
var outcomeNames = [outcomes]string{"none", "hit", "stale", "miss", "refresh", "bypass", "other"}

// or joins what two caches said: a hit anywhere is a hit, and otherwise the
// cache that is nearer to the origin decides, which comes first.
func (o outcome) or(other outcome) outcome {
	if o == outcomeNone || other == outcomeHit {
		return other
	}
	return o
}

// parseCacheStatus reads the caches of one Cache-Status line.
func parseCacheStatus(v []byte) outcome {
	all := outcomeNone
	for more := true; more; {
		var member []byte
		member, v, more = split(v, ',')
		all = all.or(parseCacheMember(member))
	}
	return all
}

func parseCacheMember(m []byte) outcome {
	_, params, found := split(m, ';')
	if !found {
		return outcomeOther
	}
	out := outcomeOther
	for more := true; more; {
		var p []byte
		p, params, more = split(params, ';')
		p = bytes.Trim(p, " \t")
		switch {
		case string(p) == "hit":
			return outcomeHit
		case bytes.HasPrefix(p, []byte("fwd=")):
			out = forwarded(string(p[len("fwd="):]))
		}
	}
	return out
}

func forwarded(reason string) outcome {
	switch reason {
	case "stale":
		return outcomeStale
	case "miss", "uri-miss", "vary-miss", "partial":
		return outcomeMiss
	case "request":
		return outcomeRefresh
	case "bypass", "method":
		return outcomeBypass
	}
	return outcomeOther
}

// appendNext adds the target with rel="next" of a Link line (RFC 8288).
func appendNext(dst, v []byte) []byte {
	for len(v) > 0 {
		v = bytes.TrimLeft(v, " \t,")
		if len(v) == 0 || v[0] != '<' {
			return dst
		}
		end := bytes.IndexByte(v, '>')
		if end < 0 {
			return dst
		}
		target := v[1:end]
		var params []byte
		params, v, _ = split(v[end+1:], ',')
		if isNext(params) {
			return append(dst, target...)
		}
	}
	return dst
}

func isNext(params []byte) bool {
	for more := true; more; {
		var p []byte
		p, params, more = split(params, ';')
		name, value, found := bytes.Cut(p, []byte{'='})
		if !found || !fold(bytes.Trim(name, " \t"), "rel") {
			continue
		}
		value = bytes.Trim(bytes.Trim(value, " \t"), `"`)
		for rel := range bytes.FieldsSeq(value) {
			if fold(rel, "next") {
				return true
			}
		}
		return false // the first rel counts
	}
	return false
}

// validFieldName reports whether s can be a header's name.
func validFieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// validFieldValue reports whether s can be a header's value.
func validFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// reservedField reports whether the client decides about a header by itself.
func reservedField(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Connection", "Content-Length", "Transfer-Encoding", "Te", "Upgrade", "Expect", "Keep-Alive", "Trailer":
		return true
	}
	return false
}
