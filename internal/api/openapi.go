package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/furima/furima/client"
)

// access is who may call an operation.
type access uint8

const (
	accessPublic access = iota // everybody; a token makes no difference
	accessUser                 // a session
)

// operation is what the page of routes says of one. The rest of its
// documentation comes from the types of its handler.
type operation struct {
	id      string // operationId
	method  string
	path    string
	access  access
	tag     string
	summary string
	about   string
	status  int   // of success; 0: 200, or 204 without a body
	errors  []int // statuses of refusals beside those that follow from the rest
	maxBody int64 // bytes; 0: Config.MaxBodyBytes, which bounds it in any case
	timeout time.Duration
	etag    bool // a read that may be answered 304
}

const problemType = "application/problem+json"

// newHuma makes the part of huma that serves operations with bodies. Its
// defaults are taken one by one: its documentation page would load scripts from
// another host, its schema links would rewrite our types, and its errors would
// repeat rejected values, passwords among them.
func (a *API) newHuma(router humago.Mux) huma.API {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[client.Problem]())
	registry.RegisterTypeAlias(reflect.TypeFor[client.Time](), reflect.TypeFor[time.Time]())
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "furima market API",
				Version:     "1",
				Description: "The API of a flea-market app: people sell their things to each other.",
				License:     &huma.License{Name: "MIT", Identifier: "MIT"},
			},
			Servers: []*huma.Server{{URL: "/", Description: "This server"}},
			Tags:    tags,
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"session": {Type: "http", Scheme: "bearer", Description: "The token of a session: POST /v1/sessions."},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{a.transform},
	}
	return humago.New(router, config)
}

var tags = []*huma.Tag{
	{Name: "accounts", Description: "Registering, logging in, devices."},
	{Name: "items", Description: "What is for sale."},
	{Name: "photos", Description: "Pictures of items."},
	{Name: "comments", Description: "What people say about items."},
	{Name: "orders", Description: "Buying, from the payment to the reviews."},
	{Name: "balance", Description: "What a seller has earned."},
	{Name: "people", Description: "Who sells and buys."},
}

// register adds an operation. The handler's input and output types describe its
// parameters and bodies, as huma says.
func register[I, O any](a *API, op operation, handler func(ctx context.Context, in *I) (*O, error)) {
	a.order = append(a.order, op.id)
	h := op.huma()
	hasBody := hasField[I]("Body")
	if hasBody {
		h.Errors = append(h.Errors, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	h.Errors = sorted(append(h.Errors, http.StatusUnprocessableEntity))
	limit := a.cfg.MaxBodyBytes
	if op.maxBody > 0 {
		limit = min(limit, op.maxBody)
	}
	// The body has been read by the time huma sees it. Its own limit refuses the limit itself, and
	// its own deadline would go on while the answer is made.
	h.MaxBodyBytes = limit + 1
	h.BodyReadTimeout = -1
	timeout := op.timeout
	if timeout == 0 {
		timeout = a.cfg.RequestTimeout
	}
	h.Middlewares = huma.Middlewares{func(c huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(c)
		ctx, cancel := context.WithTimeout(c.Context(), timeout)
		defer cancel()
		class := classOf(op)
		if err := a.limits.takeIP(class, r); err != nil {
			a.refuse(w, r, err)
			return
		}
		var who caller
		if op.access == accessUser {
			var err error
			if who, err = a.authenticate(r); err == nil {
				err = a.limits.take(class, ofUser, keyOfUser(who.user))
			}
			if err != nil {
				a.refuse(w, r, err)
				return
			}
			defer a.uncount(exchangeOf(w), class, who)
			exchangeOf(w).user = who.user.String()
			ctx = context.WithValue(ctx, callerKey{}, who)
		}
		var body []byte
		if hasBody {
			var err error
			if body, err = readBody(w, r, limit, a.cfg.BodyTimeout); err != nil {
				a.refuse(w, r, err)
				return
			}
		}
		if !op.repeatable() {
			next(huma.WithContext(c, ctx))
			return
		}
		if err := a.once(exchangeOf(w), r.WithContext(ctx), who, body, func(ctx context.Context) { next(huma.WithContext(c, ctx)) }); err != nil {
			a.refuse(w, r, err)
		}
	}}
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, refusalOf(err)
		}
		return out, nil
	})
}

// uncount makes an answer 304 one that does not count.
func (a *API) uncount(x *exchange, c class, who caller) {
	if x.status == http.StatusNotModified {
		a.limits.giveBack(c, ofUser, keyOfUser(who.user))
	}
}

// repeatable reports whether the operation knows an Idempotency-Key: what a
// user makes happen. To register and to log in are not of a user yet, and give
// out a secret, which is not kept.
func (op operation) repeatable() bool { return op.method == http.MethodPost && op.access == accessUser }

func hasField[T any](name string) bool {
	_, ok := reflect.TypeFor[T]().FieldByName(name)
	return ok
}

func (op operation) huma() huma.Operation {
	h := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Description: op.about,
		Tags: []string{op.tag}, DefaultStatus: op.status,
		Errors: append(slices.Clone(op.errors), http.StatusTooManyRequests, http.StatusServiceUnavailable),
	}
	if op.repeatable() {
		most := maxKey
		h.Parameters = append(h.Parameters, &huma.Param{
			Name: headerKey, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most},
			Description: "Chosen by the client, new for each thing that it wants to happen. A repetition with the same key has no effect and gets the same answer, for a day.",
		})
		h.Errors = append(h.Errors, http.StatusConflict)
	}
	if op.access == accessUser {
		h.Security = []map[string][]string{{"session": {}}}
		h.Errors = append(h.Errors, http.StatusUnauthorized, http.StatusForbidden) // a session of somebody who is suspended
	}
	if op.etag {
		h.Responses = map[string]*huma.Response{"304": {Description: "Not Modified: the client has it"}}
	}
	return h
}

func sorted(statuses []int) []int {
	slices.Sort(statuses)
	return slices.Compact(statuses)
}

// readBody reads a JSON body of at most limit bytes within a time, and puts it
// back as a body that can no longer fail.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration) ([]byte, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, refuse(kindMediaType, "the body must be application/json")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, refuse(kindMediaType, "the body must not be compressed")
	}
	r.Header.Set("Content-Type", "application/json")
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body, err := readAll(w, r, limit, within)
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return nil, refuse(kindMalformed, "the body is empty")
	case !utf8.Valid(body):
		return nil, refuse(kindMalformed, "the body is not UTF-8")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

func readAll(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration) ([]byte, error) {
	done := readDeadline(w, within)
	size := int64(512)
	if r.ContentLength > 0 {
		size = r.ContentLength + bytes.MinRead
	}
	buf := bytes.NewBuffer(make([]byte, 0, size))
	_, err := buf.ReadFrom(http.MaxBytesReader(exchangeOf(w).ResponseWriter, r.Body, limit))
	if err != nil {
		// The deadline stays: the server reads on for a while before it answers.
		return nil, bodyRefusal(err, limit)
	}
	done()
	return buf.Bytes(), nil
}

// readDeadline gives the client a time to send its body. The function that it
// returns ends that: a deadline that passes later, while the answer is made,
// would look to the server like a client that has gone away.
func readDeadline(w http.ResponseWriter, within time.Duration) (done func()) {
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return func() {} // a test's recorder
	}
	return func() { _ = c.SetReadDeadline(time.Time{}) }
}

func tooLarge(limit int64) *refusal {
	return refuse(kindTooLarge, "the body may have %d bytes", limit)
}

// bodyRefusal says what went wrong while a body was read.
func bodyRefusal(err error, limit int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(limit)
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return refuse(kindSlow, "the body did not arrive in time")
	}
	return refuse(kindMalformed, "the body ended too early")
}

// unmarshal reads JSON. Its errors tell where the fault is and never what is
// there.
func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return errors.New("is not JSON, at byte " + strconv.FormatInt(e.Offset, 10))
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		what := "is not of the right type or size"
		if e.Field != "" {
			what = "has a field that " + what + ": " + clip(e.Field)
		}
		return errors.New(what)
	}
	return errors.New("cannot be read")
}

// clip keeps what a client names a field from filling an answer.
func clip(s string) string {
	const limit = 64
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// transform turns every error that huma writes, its own and our refusals, into
// a problem document. It is the only way out for them.
func (a *API) transform(c huma.Context, _ string, v any) (any, error) {
	var e *refusal
	switch v := v.(type) {
	case *refusal:
		e = v
	case *huma.ErrorModel:
		e = fromHuma(v)
	default:
		return v, nil
	}
	_, w := humago.Unwrap(c)
	x := exchangeOf(w)
	a.report(c.Context(), x, e)
	e.setHeader(w.Header())
	return e.document(x.requestID), nil
}

// GetStatus and ContentType are what huma asks an error for.
func (e *refusal) GetStatus() int            { return e.kind.status }
func (e *refusal) ContentType(string) string { return problemType }

// fromHuma makes a refusal of huma's validation. The status has been chosen by
// then, so the kind follows it. Values are dropped; so is what is not known to
// be free of them.
func fromHuma(m *huma.ErrorModel) *refusal {
	e := &refusal{kind: kindInternal}
	switch m.Status {
	case http.StatusBadRequest:
		e.kind = kindMalformed
	case http.StatusRequestTimeout:
		e.kind = kindSlow
	case http.StatusRequestEntityTooLarge:
		e.kind = kindTooLarge
	case http.StatusUnsupportedMediaType:
		e.kind = kindMediaType
	case http.StatusUnprocessableEntity:
		e.kind = kindInvalid
	default:
		e.err = errors.New(m.Detail)
		return e
	}
	for _, d := range m.Errors {
		if d != nil {
			e.fields = append(e.fields, client.FieldError{Pointer: pointer(d.Location), Message: d.Message})
		}
	}
	if len(e.fields) > maxFieldErrors {
		e.fields = e.fields[:maxFieldErrors]
	}
	return e
}

// maxFieldErrors bounds an answer: a body can be wrong in many thousand places.
const maxFieldErrors = 32

// pointer turns huma's "body.photos[2].name" into a JSON pointer, and
// "query.limit" into "query/limit".
func pointer(location string) string {
	place, rest, _ := strings.Cut(location, ".")
	rest = clip(rest)
	if place != "body" {
		return place + "/" + rest
	}
	if rest == "" {
		return ""
	}
	rest = strings.NewReplacer("~", "~0", "/", "~1", ".", "/", "[", "/", "]", "").Replace(rest)
	return "/" + rest
}
