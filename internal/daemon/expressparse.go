package daemon

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// newRoute makes what all requests for a route share.
func newRoute(base context.Context, route string) (*http.Request, error) {
	method, path, ok := strings.Cut(route, " ")
	if !ok || path == "" || path[0] != '/' || strings.ContainsAny(path, " ?#%{*") {
		return nil, fmt.Errorf("express route %q must be a method and a plain path", route)
	}
	r := &http.Request{
		Method: method, URL: &url.URL{Path: path}, RequestURI: path,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	return r.WithContext(base), nil
}

// plainRequest is the head of a request that can be understood in one way only.
type plainRequest struct {
	header http.Header
	values []string // memory of header
	host   string
	length int64
	size   int // of the head, in bytes
}

// maxPlainHeader is how many lines the header of a plain request may have.
const maxPlainHeader = 32

var (
	crlf      = []byte("\r\n")
	endOfHead = []byte("\r\n\r\n")
)

// parse reads the head of a request, and returns its route. nil means that there
// is no such route, that the head is not whole, or that it has anything in it
// that asks for more than a look: any transfer coding, a length that is given
// twice, a folded line, a line that does not end as it should, an unusual
// character, a wish for the connection (RFC 9112, sections 2, 5, 6 and 11.2).
func (p *plainRequest) parse(b []byte, routes map[string]*http.Request) *http.Request {
	line := bytes.Index(b, crlf)
	if line < 0 {
		return nil
	}
	route := routes[string(b[:line])]
	if route == nil {
		return nil
	}
	end := bytes.Index(b[line:], endOfHead)
	if end <= 0 {
		return nil
	}
	p.size = line + end + len(endOfHead)
	head := string(b[line+len(crlf) : line+end+len(crlf)])
	clear(p.header)
	p.values = p.values[:0]
	if cap(p.values) == 0 {
		p.values = make([]string, 0, maxPlainHeader)
	}
	p.host, p.length = "", -1
	for head != "" {
		var one string
		one, head, _ = strings.Cut(head, "\r\n")
		if !p.line(one) {
			return nil
		}
	}
	if p.host == "" {
		return nil
	}
	p.length = max(p.length, 0)
	return route
}

// line takes a line of the header.
func (p *plainRequest) line(s string) bool {
	name, value, ok := strings.Cut(s, ":")
	if !ok || !allOf(name, &nameBytes) || name == "" || len(p.values) == maxPlainHeader {
		return false
	}
	value = strings.Trim(value, " \t")
	if !allOf(value, &valueBytes) {
		return false
	}
	key := textproto.CanonicalMIMEHeaderKey(name)
	switch key {
	case "Host":
		// net/http takes it out of the header, too.
		ok := p.host == "" && value != "" && allOf(value, &hostBytes)
		p.host = value
		return ok
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 62)
		if err != nil || p.length >= 0 {
			return false
		}
		p.length = int64(n)
	case "Connection":
		if !strings.EqualFold(value, "keep-alive") {
			return false
		}
	case "Transfer-Encoding", "Expect", "Upgrade", "Trailer", "Te", "Http2-Settings", "Pragma":
		return false
	}
	if have := p.header[key]; have != nil {
		p.header[key] = append(have[:len(have):len(have)], value)
		return true
	}
	p.values = append(p.values, value)
	n := len(p.values)
	p.header[key] = p.values[n-1 : n : n]
	return true
}

// byteSet is a set of bytes.
type byteSet [256]bool

func newByteSet(others string) (set byteSet) {
	for c := '0'; c <= 'z'; c++ {
		set[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	for i := range len(others) {
		set[others[i]] = true
	}
	return set
}

var (
	nameBytes  = newByteSet("-")
	hostBytes  = newByteSet("-.:")
	valueBytes = newByteSet(" \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
)

func allOf(s string, set *byteSet) bool {
	for i := range len(s) {
		if !set[s[i]] {
			return false
		}
	}
	return true
}

// expressAnswer is the http.ResponseWriter of an express route.
type expressAnswer struct {
	header http.Header
	status int
	body   []byte
	raw    []byte // the last answer as it was sent; its memory is used again

	second int64 // Unix time of date
	date   []byte
}

// maxKeptAnswer is the largest answer whose memory is kept.
const maxKeptAnswer = 4 << 10

func (a *expressAnswer) reset() {
	clear(a.header)
	a.status, a.body, a.raw = 0, a.body[:0], a.raw[:0]
	if cap(a.raw) > maxKeptAnswer {
		a.body, a.raw = nil, nil
	}
}

func (a *expressAnswer) Header() http.Header { return a.header }

func (a *expressAnswer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK { // nobody asked to be told on the way
		a.status = status
	}
}

func (a *expressAnswer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if !bodyAllowed(a.status) {
		return 0, http.ErrBodyNotAllowed
	}
	a.body = append(a.body, b...)
	return len(b), nil
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// closes reports whether the handler wants the connection closed.
func (a *expressAnswer) closes() bool {
	return strings.EqualFold(a.header.Get("Connection"), "close")
}

// oneLine makes a value of a header out of any string, as net/http does.
var oneLine = strings.NewReplacer("\n", " ", "\r", " ")

// encode puts the answer together. It is valid until reset.
func (a *expressAnswer) encode(now time.Time, last bool) []byte {
	a.WriteHeader(http.StatusOK)
	b := append(a.raw, "HTTP/1.1 "...)
	b = append(strconv.AppendInt(b, int64(a.status), 10), ' ')
	b = append(append(b, http.StatusText(a.status)...), "\r\n"...)
	for name, values := range a.header {
		switch name {
		case "Connection", "Content-Length", "Transfer-Encoding", "Date":
			continue // ours to say
		}
		for _, v := range values {
			b = append(append(append(b, name...), ": "...), oneLine.Replace(v)...)
			b = append(b, "\r\n"...)
		}
	}
	if len(a.body) > 0 && a.header["Content-Type"] == nil {
		b = append(append(append(b, "Content-Type: "...), http.DetectContentType(a.body)...), "\r\n"...)
	}
	if a.second != now.Unix() {
		a.second, a.date = now.Unix(), now.UTC().AppendFormat(a.date[:0], http.TimeFormat)
	}
	b = append(append(append(b, "Date: "...), a.date...), "\r\n"...)
	if bodyAllowed(a.status) {
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(a.body)), 10)
		b = append(b, "\r\n"...)
	}
	if last {
		b = append(b, "Connection: close\r\n"...)
	}
	a.raw = append(append(b, "\r\n"...), a.body...)
	return a.raw
}
