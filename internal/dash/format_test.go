package dash

import "testing"

// FormatCases hold for format here and for its twin in app.js.
var FormatCases = []struct {
	V    float64
	Unit unit
	Top  float64
	Want string
}{
	{0, unitNone, 0, "0"},
	{7, unitNone, 0, "7"},
	{999, unitNone, 0, "999"},
	{1234, unitNone, 0, "1,234"},
	{9999, unitNone, 0, "9,999"},
	{12345, unitNone, 0, "12.3k"},
	{1234567, unitNone, 0, "1.23M"},
	{9.99e9, unitNone, 0, "9.99G"},
	{5e12, unitNone, 0, "5.00T"},
	{0.25, unitNone, 0, "0.25"},
	{0.001, unitNone, 0, "< 0.01"},
	{-12, unitNone, 0, "−12"},
	{nan, unitNone, 0, "–"},
	{0, unitPerSecond, 0, "0/s"},
	{0.2, unitPerSecond, 0, "0.20/s"},
	{12, unitPerSecond, 0, "12.0/s"},
	{99.96, unitPerSecond, 0, "100/s"},
	{123456, unitPerSecond, 0, "123k/s"},
	{0, unitSeconds, 0, "0 s"},
	{45e-9, unitSeconds, 0, "45.0 ns"},
	{450e-6, unitSeconds, 0, "450 µs"},
	{0.9996e-3, unitSeconds, 0, "1.00 ms"},
	{12.34e-3, unitSeconds, 0, "12.3 ms"},
	{1.234, unitSeconds, 0, "1.23 s"},
	{99.96, unitSeconds, 0, "1 min 40 s"},
	{250, unitSeconds, 0, "4 min 10 s"},
	{3 * 3600, unitSeconds, 0, "3 h 0 min"},
	{50 * 3600, unitSeconds, 0, "2 d 2 h"},
	{10, unitSeconds, 10, "≥ 10.0 s"},
	{9.5, unitSeconds, 10, "9.50 s"},
	{0, unitBytes, 0, "0 B"},
	{512, unitBytes, 0, "512 B"},
	{1000, unitBytes, 0, "1.00 kB"},
	{41234567, unitBytes, 0, "41.2 MB"},
	{7.3e12, unitBytes, 0, "7.30 TB"},
	{5300, unitBytesRate, 0, "5.30 kB/s"},
	{0.123, unitRatio, 0, "12.3 %"},
	{1, unitRatio, 0, "100 %"},
	{0, unitRatio, 0, "0 %"},
}

func TestFormat(t *testing.T) {
	for _, tt := range FormatCases {
		f := format(tt.V, tt.Unit, tt.Top)
		if got := f.text + f.suffix; got != tt.Want {
			t.Errorf("format(%v, %q, %v) = %q, want %q", tt.V, tt.Unit, tt.Top, got, tt.Want)
		}
	}
}

func TestUnitOf(t *testing.T) {
	for name, want := range map[string]unit{
		"furima_api_requests_total": unitNone, "furima_api_request_duration_seconds": unitSeconds,
		"process_cpu_seconds_total": unitSeconds, "furima_cache_bytes": unitBytes,
		"process_network_receive_bytes_total": unitBytes, "furima_warm_coverage_ratio": unitRatio, "go_goroutines": unitNone,
	} {
		if got := unitOf(name); got != want {
			t.Errorf("unitOf(%s) = %q, want %q", name, got, want)
		}
	}
	for u, want := range map[unit]unit{unitNone: unitPerSecond, unitSeconds: unitRatio, unitBytes: unitBytesRate} {
		if got := perSecond(u); got != want {
			t.Errorf("perSecond(%q) = %q, want %q", u, got, want)
		}
	}
}
