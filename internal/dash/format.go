package dash

import (
	"math"
	"strconv"
	"strings"
)

// unit says how a number is written. app.js knows the same units.
type unit string

const (
	unitNone      unit = ""    // 1,234  12.3k
	unitPerSecond unit = "/s"  // 12.3/s
	unitSeconds   unit = "s"   // 450 µs  12.3 ms  1.23 s  4 min 10 s  3 h 2 min
	unitBytes     unit = "B"   // 12.3 MB
	unitBytesRate unit = "B/s" // 12.3 MB/s
	unitRatio     unit = "%"   // 0.123 is 12.3 %
)

// unitOf guesses the unit of a metric from its name, by the conventions that
// Prometheus has for names.
func unitOf(name string) unit {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return unitSeconds
	case strings.HasSuffix(name, "_bytes"):
		return unitBytes
	case strings.HasSuffix(name, "_ratio"):
		return unitRatio
	}
	return unitNone
}

// isTimestamp reports whether a gauge holds a time in Unix seconds, which is
// shown as its age.
func isTimestamp(name string) bool {
	return strings.HasSuffix(name, "_timestamp_seconds") || strings.HasSuffix(name, "_start_time_seconds") ||
		strings.HasSuffix(name, "_last_gc_time_seconds")
}

// perSecond is the unit of the rate of a counter of u. Seconds a second are
// the share of time that something was busy.
func perSecond(u unit) unit {
	switch u {
	case unitSeconds:
		return unitRatio
	case unitBytes:
		return unitBytesRate
	}
	return unitPerSecond
}

// formatted is a number as people read it, in two parts, so that the unit can
// be set smaller: "12.3" and " ms".
type formatted struct{ text, suffix string }

// format writes v for people. A quantile at top, the highest bound of its
// histogram, is only known to be at least that; 0 means no bound.
func format(v float64, u unit, top float64) formatted {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return formatted{text: "–"}
	}
	prefix := ""
	if top > 0 && v >= top {
		prefix = "≥ "
	}
	if v < 0 {
		prefix, v = "−", -v
	}
	f := formatPositive(v, u)
	f.text = prefix + f.text
	return f
}

func formatPositive(v float64, u unit) formatted {
	switch u {
	case unitPerSecond:
		f := scaled(v, false)
		f.suffix += "/s"
		return f
	case unitSeconds:
		return formatSeconds(v)
	case unitBytes:
		return formatBytes(v)
	case unitBytesRate:
		f := formatBytes(v)
		f.suffix += "/s"
		return f
	case unitRatio:
		return formatted{digits(v * 100), " %"}
	}
	return scaled(v, true)
}

func formatSeconds(v float64) formatted {
	switch {
	case v == 0:
		return formatted{"0", " s"}
	case v < 0.9995e-6:
		return formatted{digits(v * 1e9), " ns"}
	case v < 0.9995e-3:
		return formatted{digits(v * 1e6), " µs"}
	case v < 0.9995:
		return formatted{digits(v * 1e3), " ms"}
	case v < 99.95:
		return formatted{digits(v), " s"}
	}
	s := int64(math.Round(v))
	switch {
	case s < 3600:
		return twoPart(s/60, " min ", s%60, " s")
	case s < 48*3600:
		return twoPart(s/3600, " h ", s%3600/60, " min")
	}
	return twoPart(s/86400, " d ", s%86400/3600, " h")
}

func twoPart(a int64, ua string, b int64, ub string) formatted {
	return formatted{strconv.FormatInt(a, 10) + ua + strconv.FormatInt(b, 10), ub}
}

func formatBytes(v float64) formatted {
	if v == math.Trunc(v) && v < 1000 {
		return formatted{strconv.FormatFloat(v, 'f', 0, 64), " B"}
	}
	for _, p := range []string{" B", " kB", " MB", " GB"} {
		if v < 999.5 {
			return formatted{digits(v), p}
		}
		v /= 1000
	}
	return formatted{digits(v), " TB"}
}

// scaled writes 1,234 or 12.3k. Whole numbers stay whole if asked to.
func scaled(v float64, whole bool) formatted {
	switch {
	case whole && v == math.Trunc(v) && v < 1000:
		return formatted{text: strconv.FormatFloat(v, 'f', 0, 64)}
	case v < 999.5:
		return formatted{text: digits(v)}
	case v < 9999.5:
		n := strconv.FormatFloat(v, 'f', 0, 64)
		return formatted{text: n[:1] + "," + n[1:]}
	}
	for _, p := range []string{"k", "M", "G"} {
		v /= 1000
		if v < 999.5 {
			return formatted{digits(v), p}
		}
	}
	return formatted{digits(v / 1000), "T"}
}

// digits writes three significant digits, at most two of them decimals, so
// that a number that moves keeps its width.
func digits(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.005:
		return "< 0.01"
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
