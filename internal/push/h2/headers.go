package h2

import (
	"errors"
	"fmt"
)

// Headers is what many requests have in common: the method and fields that stay
// the same. A connection sends each such field once and refers to it by a byte
// from then on. Make one for every combination of values that is in use at a
// time and share it, keeping their number to dozens; when a value changes (a new
// token for authorization), make a new one and forget the old.
//
// Headers is immutable.
type Headers struct {
	method string
	path   string // empty if every request has its own
	fields []Field
	length bool // a content-length of 0 is sent too
}

// NewHeaders returns the headers of requests with a method. A field named
// ":path" is the path of requests that have none. The fields content-length,
// host and those that rule a connection are not allowed.
func NewHeaders(method string, fields ...Field) (*Headers, error) {
	if !isToken(method) {
		return nil, fmt.Errorf("h2: method %q is not valid", method)
	}
	h := &Headers{method: method, length: method == "POST" || method == "PUT" || method == "PATCH"}
	for _, f := range fields {
		if f.Name == ":path" {
			if err := checkPath(f.Value); err != nil {
				return nil, err
			}
			h.path = f.Value
			continue
		}
		if err := checkField(f); err != nil {
			return nil, err
		}
		h.fields = append(h.fields, f)
	}
	return h, nil
}

var (
	errNoHeaders = &Error{Reason: Invalid, Err: errors.New("the request has no Headers")}
	errPath      = &Error{Reason: Invalid, Err: errors.New("the path does not begin with / or holds a byte that is not allowed")}
)

// validate returns nil or an *Error.
func (r *Request) validate() error {
	if r.Headers == nil {
		return errNoHeaders
	}
	if r.Path != "" || r.Headers.path == "" {
		if err := checkPath(r.Path); err != nil {
			return err
		}
	}
	for _, f := range r.Fields {
		if err := checkField(f); err != nil {
			return err
		}
	}
	return nil
}

// The errors do not hold the values: a path may have a device token in it.

func checkPath(s string) error {
	if s == "" || s[0] != '/' {
		return errPath
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return errPath
		}
	}
	return nil
}

func checkField(f Field) error {
	if f.Name == "" {
		return &Error{Reason: Invalid, Err: errors.New("a field has no name")}
	}
	for i := range len(f.Name) {
		if !isTokenByte[f.Name[i]] || 'A' <= f.Name[i] && f.Name[i] <= 'Z' {
			return &Error{Reason: Invalid, Err: fmt.Errorf("the field name %q is not valid", f.Name)}
		}
	}
	if forbidden(f.Name) {
		return &Error{Reason: Invalid, Err: fmt.Errorf("the field %s is not the caller's to set", f.Name)}
	}
	for i := range len(f.Value) {
		if c := f.Value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return &Error{Reason: Invalid, Err: fmt.Errorf("the value of field %s holds a control character", f.Name)}
		}
	}
	return nil
}

// forbidden reports whether a field is set by the pool or has no place in
// HTTP/2.
func forbidden(name string) bool {
	switch name {
	case "content-length", "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te":
		return true
	}
	return false
}

// isTokenByte has the bytes of RFC 9110's tokens.
var isTokenByte = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}
