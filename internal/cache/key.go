package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// maxKey bounds the length of a key, whatever a client puts into its query.
const maxKey = 512

// Key returns the key of a route, such as the path of a request, with a query. The
// order in which a client wrote the parameters does not matter, that of several
// values of one parameter does. Different requests have different keys. The caller
// drops first what has no meaning: parameters that it does not know, and those that say
// the default.
func Key(route string, q url.Values) string {
	if strings.ContainsAny(route, "?%") {
		// A path may hold a decoded "?"; it must not pass for the start of the query.
		route = strings.NewReplacer("%", "%25", "?", "%3F").Replace(route)
	}
	key := route
	if len(q) > 0 {
		key = withQuery(route, q)
	}
	if len(key) <= maxKey {
		return key
	}
	// "?#" starts no query, so that this is not the key of anything else.
	sum := sha256.Sum256([]byte(key))
	return key[:min(len(route), maxKey/2)] + "?#" + hex.EncodeToString(sum[:])
}

func withQuery(route string, q url.Values) string {
	var room [8]string
	names := room[:0]
	for name, values := range q {
		if len(values) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.Grow(len(route) + 24*len(names))
	b.WriteString(route)
	sep := byte('?')
	for _, name := range names {
		for _, value := range q[name] {
			b.WriteByte(sep)
			b.WriteString(url.QueryEscape(name))
			b.WriteByte('=')
			b.WriteString(url.QueryEscape(value))
			sep = '&'
		}
	}
	return b.String()
}
