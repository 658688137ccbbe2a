package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

// public adds a read that everybody may make and that is answered from the cache: the handler
// writes bytes, and what the document says of it is said here.
func (a *API) public(path string, h func(w http.ResponseWriter, r *http.Request) error, op operation, body reflect.Type, params ...*huma.Param) {
	a.handle("GET "+path, h)
	op.method, op.path = http.MethodGet, path
	o := op.huma()
	o.Errors = sorted(append(o.Errors, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError))
	o.Parameters = append(slices.Clone(params), &huma.Param{
		Name: "If-None-Match", In: "header", Description: "ETag of the answer that the client has.", Schema: &huma.Schema{Type: huma.TypeString},
	})
	registry := a.huma.OpenAPI().Components.Schemas
	headers := map[string]*huma.Header{}
	for name, about := range map[string]string{
		"ETag": "Names these bytes.", "Age": "Seconds since the answer was made, if it was not made just now.",
		"Cache-Control": "How long others may keep it.", "Cache-Status": "Where it came from (RFC 9211).",
	} {
		headers[name] = &huma.Header{Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	if field, ok := body.FieldByName("NextCursor"); ok && field.Type.Kind() == reflect.String {
		headers["Link"] = &huma.Header{Description: "The next page, rel=next.", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	o.Responses = map[string]*huma.Response{
		"200": {
			Description: http.StatusText(http.StatusOK), Headers: headers,
			Content: map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(body, true, op.id)}},
		},
		"304": {Description: "Not Modified: the client has it", Headers: map[string]*huma.Header{"ETag": headers["ETag"]}},
	}
	a.document(o)
}

// document puts an operation that huma does not serve into the document.
func (a *API) document(o huma.Operation) {
	a.order = append(a.order, o.OperationID)
	problem := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[client.Problem](), true, "")
	for _, status := range o.Errors {
		o.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{problemType: {Schema: problem}},
		}
	}
	a.huma.OpenAPI().AddOperation(&o)
}

func typeFor[T any]() reflect.Type { return reflect.TypeFor[T]() }

func pathParameter(name, about string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Required: true, Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
}

func queryParameter(name, about string, s *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: about, Schema: s}
}

// Rows of a page.
const (
	defaultPage = 30
	maxPage     = 100
)

func pageParameters(most int) []*huma.Param {
	least, largest := 1.0, float64(most)
	return []*huma.Param{
		queryParameter("limit", "Rows of a page.", &huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &largest, Default: defaultPage}),
		queryParameter("cursor", "next_cursor of the page before.", &huma.Schema{Type: huma.TypeString}),
	}
}

// encode makes the bytes of an answer.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is JSON, and nosniff says so
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return bytes.Clone(b.Bytes()), nil // of its own size: it stays in the cache
}

// eachParameter walks a query without making a map of it. A parameter may occur once.
func eachParameter(rawQuery string, f func(name, value string) error) error {
	seen := [16]string{}
	n := 0
	for rest := rawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := unescape(name)
		if err == nil {
			value, err = unescape(value)
		}
		switch {
		case err != nil:
			return refuse(kindMalformed, "the query is not encoded properly")
		case slices.Contains(seen[:n], name):
			return invalidField("query/"+clip(name), "must not occur twice")
		case n == len(seen):
			return refuse(kindInvalid, "the query has too many parameters")
		}
		seen[n] = name
		n++
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	return url.QueryUnescape(s)
}

func unknownParameter(name string) error {
	return invalidField("query/"+clip(name), "is not known")
}

// noQuery refuses a request with parameters: they would make one answer many in every cache on the way.
func noQuery(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	return eachParameter(r.URL.RawQuery, func(name, _ string) error { return unknownParameter(name) })
}

// parseLimit reads the parameter limit.
func parseLimit(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, invalidField("query/limit", "must be a number from 1 to "+strconv.Itoa(most))
	}
	return n, nil
}

// maxCursor is longer than any cursor; what is longer is not worth a look.
const maxCursor = 128

func parseCursor(s string) (string, error) {
	if len(s) > maxCursor {
		return "", &refusal{kind: kindCursor, reason: string(market.ReasonInvalidCursor), detail: "the cursor is not of this list"}
	}
	return s, nil
}

// inQuery says of a fault of the market in which parameter it is.
func inQuery(name string, err error) error {
	if err == nil {
		return nil
	}
	for _, f := range market.Faults(err) {
		return invalidField("query/"+name, f.Message)
	}
	return err
}

// nextLink is the header that leads to the next page.
func nextLink(path string, q url.Values, cursor string) string {
	q.Set("cursor", cursor)
	return "<" + path + "?" + q.Encode() + `>; rel="next"`
}
