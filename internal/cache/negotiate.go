package cache

import "strings"

// acceptsGzip reports whether a client with these Accept-Encoding headers is best
// served with gzip: it takes it, and does not like plain bytes better. What cannot be read is
// taken for a coding that we do not have.
func acceptsGzip(headers []string) bool {
	if len(headers) == 0 {
		return false
	}
	if len(headers) == 1 {
		switch headers[0] { // what most clients send
		case "gzip", "gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd":
			return true
		case "identity", "":
			return false
		}
	}
	const unsaid = -1
	gzip, plain, rest := unsaid, unsaid, unsaid
	for _, h := range headers {
		for more := true; more; {
			var part string
			part, h, more = strings.Cut(h, ",")
			coding, params, _ := strings.Cut(part, ";")
			coding = strings.Trim(coding, " \t")
			switch {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				gzip = max(gzip, quality(params))
			case strings.EqualFold(coding, "identity"):
				plain = max(plain, quality(params))
			case coding == "*":
				rest = max(rest, quality(params))
			}
		}
	}
	if gzip == unsaid {
		gzip = rest
	}
	return gzip > 0 && gzip >= plain
}

// quality reads the weight in the parameters of a coding, in thousandths. Without
// one it is 1000; one that cannot be read counts as 0, since it was meant to say less.
func quality(params string) int {
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		p = strings.Trim(p, " \t")
		if len(p) < 2 || (p[0] != 'q' && p[0] != 'Q') || p[1] != '=' {
			continue
		}
		return thousandths(p[2:])
	}
	return 1000
}

// thousandths reads "0", "1", "0.123": RFC 9110 section 12.4.2.
func thousandths(s string) int {
	if s == "" || len(s) > 5 || (s[0] != '0' && s[0] != '1') || (len(s) > 1 && s[1] != '.') {
		return 0
	}
	n, unit := int(s[0]-'0')*1000, 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n += int(s[i]-'0') * unit
		unit /= 10
	}
	return min(n, 1000)
}

// matchesTag reports whether If-None-Match headers name the strong entity tag,
// by weak comparison: W/"a" matches "a". A list that goes wrong counts up to there.
func matchesTag(headers []string, tag string) bool {
	for _, h := range headers {
		h = strings.Trim(h, " \t")
		if h == "*" {
			return true
		}
		for h != "" {
			h = strings.TrimLeft(h, " \t,")
			h = strings.TrimPrefix(h, "W/")
			if h == "" || h[0] != '"' {
				break
			}
			end := strings.IndexByte(h[1:], '"')
			if end < 0 {
				break
			}
			if h[:end+2] == tag {
				return true
			}
			h = strings.TrimLeft(h[end+2:], " \t")
			if h != "" && h[0] != ',' {
				break
			}
		}
	}
	return false
}
