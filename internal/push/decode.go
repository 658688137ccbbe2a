package push

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/furima/furima/client"
)

// wireBody is the body of POST /v1/push: a list, or the fields of a single
// notification beside "app".
type wireBody struct {
	App           string          `json:"app"`
	Notifications *[]Notification `json:"notifications"`
	Notification  `json:",inline"`
}

var strict = json.JoinOptions(json.RejectUnknownMembers(true))

// decodeBody reads a request strictly. Its errors name fields and never repeat
// what is in them.
func decodeBody(raw []byte) (Request, *client.Problem) {
	if req, ok := new(scanner).body(string(raw)); ok {
		return req, nil
	}
	return decodeAny(raw)
}

// decodeAny reads a request of any kind.
func decodeAny(raw []byte) (Request, *client.Problem) {
	var b wireBody
	if err := json.Unmarshal(raw, &b, strict); err != nil {
		return Request{}, decodeProblem(err)
	}
	single := !reflect.ValueOf(b.Notification).IsZero()
	switch {
	case b.Notifications == nil:
		if !single {
			return Request{}, invalid(FieldError{Pointer: "/notifications", Message: "is required, or the fields of one notification"})
		}
		return Request{App: b.App, Notifications: []Notification{b.Notification}, single: true}, nil
	case single:
		return Request{}, invalid(FieldError{Pointer: "/notifications", Message: "excludes the fields of a single notification beside it"})
	}
	return Request{App: b.App, Notifications: *b.Notifications}, nil
}

// decodeProblem says what is wrong with a body.
func decodeProblem(err error) *client.Problem {
	var se *json.SemanticError
	if errors.As(err, &se) && se.Err != nil && errors.As(se.Err, new(*jsontext.SyntacticError)) {
		se = nil // a broken body inside of a type's own decoding
	}
	var syntax *jsontext.SyntacticError
	switch {
	case se != nil:
		return invalid(FieldError{Pointer: string(se.JSONPointer), Message: semanticMessage(se)})
	case errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName):
		return invalid(FieldError{Pointer: string(syntax.JSONPointer), Message: "is given twice"})
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return problem(http.StatusBadRequest, client.Invalid, "malformed_json", "the body is empty or cut off")
	case errors.As(err, &syntax):
		return problem(http.StatusBadRequest, client.Invalid, "malformed_json", fmt.Sprintf("the body is not JSON from byte %d on", syntax.ByteOffset))
	}
	return problem(http.StatusBadRequest, client.Invalid, "malformed_json", "the body is not JSON")
}

func semanticMessage(e *json.SemanticError) string {
	if errors.Is(e.Err, json.ErrUnknownName) {
		return "is not a known field"
	}
	switch e.GoType {
	case reflect.TypeFor[client.Duration]():
		return `must be a duration, as "90s", or a number of seconds`
	case reflect.TypeFor[time.Time]():
		return "must be a time, as 2026-01-31T09:00:00Z"
	}
	if e.GoType == nil {
		return "is of the wrong type"
	}
	switch t := e.GoType; t.Kind() {
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int, reflect.Int64:
		return "must be a whole number"
	case reflect.Float64:
		return "must be a number"
	case reflect.Slice:
		return "must be a list"
	case reflect.Map, reflect.Struct:
		return "must be an object"
	default:
		return "is of the wrong type"
	}
}

// reading is the memory that a request is read into: the body, and what is found in
// it.
type reading struct {
	body bytes.Buffer
	scan scanner
}

// readings are used again, since a request is all that most requests allocate.
var readings = sync.Pool{New: func() any { return new(reading) }}

// maxPooledBody is the largest buffer that is kept for later requests.
const maxPooledBody = 256 << 10

// readBody reads a body of at most limit bytes into memory that the caller gives
// back with release, when nothing of the request is needed any more.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) (*reading, *client.Problem) {
	b := readings.Get().(*reading)
	b.body.Reset()
	if n := r.ContentLength; n > 0 && n <= min(limit, maxPooledBody) {
		b.body.Grow(int(n) + bytes.MinRead) // or it would be read in pieces
	}
	_, err := b.body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		b.release()
		return nil, problem(http.StatusRequestEntityTooLarge, client.Invalid, "body_too_large", fmt.Sprintf("the body is larger than %d bytes", limit))
	case err != nil:
		b.release()
		return nil, problem(http.StatusBadRequest, client.Invalid, "body_cut_off", "the body could not be read to its end")
	}
	return b, nil
}

func (b *reading) release() {
	if b.body.Cap() <= maxPooledBody {
		b.scan.reset()
		readings.Put(b)
	}
}

// decode is decodeBody of what has been read. The request is valid until release.
func (b *reading) decode() (Request, *client.Problem) {
	raw := b.body.Bytes()
	if req, ok := b.scan.body(unsafe.String(unsafe.SliceData(raw), len(raw))); ok {
		return req, nil
	}
	return decodeAny(raw)
}
