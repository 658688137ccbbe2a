package client

import (
	"encoding/json"
	"errors"
	"time"
)

// Time is a moment. JSON writes it in RFC 3339, in UTC, always with three
// digits of a second: some phones' parsers refuse a form that varies.
type Time struct{ time.Time }

// TimeOf returns t as the wire shows it.
func TimeOf(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

const timeLayout = "2006-01-02T15:04:05.000Z"

// AppendText appends the wire form.
func (t Time) AppendText(b []byte) ([]byte, error) {
	return t.Time.UTC().AppendFormat(b, timeLayout), nil
}

// MarshalText returns the wire form.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// MarshalJSON returns the wire form as a JSON string.
func (t Time) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, len(timeLayout)+2), '"')
	b, _ = t.AppendText(b)
	return append(b, '"'), nil
}

// UnmarshalText reads any RFC 3339 time.
func (t *Time) UnmarshalText(b []byte) error {
	v, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return errTime
	}
	t.Time = v.UTC()
	return nil
}

var errTime = errors.New("time must be in RFC 3339")

// UnmarshalJSON reads any RFC 3339 time; null is no time.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errTime
	}
	return t.UnmarshalText([]byte(s))
}
