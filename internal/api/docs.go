package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// The documentation page is drawn here from the OpenAPI document, once, at the
// start: it needs no script, so its policy allows none, and nothing of it comes
// from another host.

//go:embed page
var pageFiles embed.FS

// static is an answer that never changes while the program runs.
type static struct {
	contentType string
	policy      string // Content-Security-Policy
	etag        string
	body        []byte
}

func newStatic(contentType, policy string, body []byte) static {
	sum := sha256.Sum256(body)
	return static{contentType, policy, `"` + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`, body}
}

func (s static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=60")
	h.Set("Etag", s.etag)
	h.Set("Referrer-Policy", "no-referrer")
	if s.policy != "" {
		h.Set("Content-Security-Policy", s.policy)
	}
	if r.Header.Get("If-None-Match") == s.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", s.contentType)
	h.Set("Content-Length", strconv.Itoa(len(s.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(s.body)
	}
}

// pagePolicy allows the style sheet and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docPage is what the template draws.
type docPage struct {
	Title, About, Version string
	Groups                []docGroup
	Kinds                 []docKind
}

type docGroup struct {
	Name, About string
	Operations  []docOperation
}

type docOperation struct {
	ID, Method, Path, Summary, About string
	Session                          bool
	Parameters                       []docField
	Body                             []docField
	BodyType                         string
	Curl                             string
	Answers                          []docAnswer
}

type docAnswer struct {
	Status, About, Type string
	Headers             []docField
	Fields              []docField
	Example             string
	Refusal             bool
}

// docField is a parameter, a header or a property; Depth is how deep a property lies.
type docField struct {
	Name, In, Type, About string
	Required              bool
	Depth                 int
}

type docKind struct {
	Slug, Title, About, Code string
	Status                   int
}

// documentation draws the page from the document, its operations in the order of their ids in order.
func documentation(doc *huma.OpenAPI, order []string, version string) (page, style static, err error) {
	p := docPage{Title: doc.Info.Title, About: doc.Info.Description, Version: version}
	for _, tag := range doc.Tags {
		g := docGroup{Name: tag.Name, About: tag.Description}
		for path, item := range doc.Paths {
			for _, op := range operationsOf(item) {
				if slices.Contains(op.Tags, tag.Name) {
					g.Operations = append(g.Operations, drawOperation(doc, path, op))
				}
			}
		}
		slices.SortFunc(g.Operations, func(a, b docOperation) int {
			return cmp.Compare(slices.Index(order, a.ID), slices.Index(order, b.ID))
		})
		p.Groups = append(p.Groups, g)
	}
	for _, k := range kinds {
		p.Kinds = append(p.Kinds, docKind{k.slug, k.title, k.about, string(k.code), k.status})
	}
	t, err := template.New("").Funcs(template.FuncMap{"lower": strings.ToLower}).ParseFS(pageFiles, "page/*.html")
	if err != nil {
		return static{}, static{}, fmt.Errorf("parse documentation page: %w", err)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "docs.html", p); err != nil {
		return static{}, static{}, fmt.Errorf("draw documentation page: %w", err)
	}
	css, err := pageFiles.ReadFile("page/docs.css")
	if err != nil {
		return static{}, static{}, fmt.Errorf("read style of documentation page: %w", err)
	}
	return newStatic("text/html; charset=utf-8", pagePolicy, b.Bytes()),
		newStatic("text/css; charset=utf-8", "", css), nil
}

// problemPage draws the page of a kind of problem.
func problemPage(k *kind) (static, error) {
	t, err := template.ParseFS(pageFiles, "page/problem.html")
	if err != nil {
		return static{}, fmt.Errorf("parse problem page: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, docKind{k.slug, k.title, k.about, string(k.code), k.status})
	if err != nil {
		return static{}, fmt.Errorf("draw problem page: %w", err)
	}
	return newStatic("text/html; charset=utf-8", pagePolicy, b.Bytes()), nil
}

func operationsOf(item *huma.PathItem) []*huma.Operation {
	var ops []*huma.Operation
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil {
			ops = append(ops, op)
		}
	}
	return ops
}

func drawOperation(doc *huma.OpenAPI, path string, op *huma.Operation) docOperation {
	d := docOperation{
		ID: op.OperationID, Method: op.Method, Path: path, Summary: op.Summary, About: op.Description,
		Session: len(op.Security) > 0,
	}
	for _, p := range op.Parameters {
		d.Parameters = append(d.Parameters, docField{Name: p.Name, In: p.In, Type: typeOf(p.Schema), About: p.Description, Required: p.Required})
	}
	var example any
	if op.RequestBody != nil {
		for contentType, media := range op.RequestBody.Content {
			d.BodyType = contentType
			d.Body = fieldsOf(doc, media.Schema, 0, nil)
			example = exampleOf(doc, media.Schema, nil)
		}
	}
	d.Curl = curl(d, example)
	statuses := make([]string, 0, len(op.Responses))
	for status := range op.Responses {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	for _, status := range statuses {
		d.Answers = append(d.Answers, drawAnswer(doc, status, op.Responses[status]))
	}
	return d
}

func drawAnswer(doc *huma.OpenAPI, status string, r *huma.Response) docAnswer {
	a := docAnswer{Status: status, About: r.Description, Refusal: status >= "4"}
	names := make([]string, 0, len(r.Headers))
	for name := range r.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h := r.Headers[name]
		about := h.Description
		if about == "" && h.Schema != nil {
			about = h.Schema.Description
		}
		a.Headers = append(a.Headers, docField{Name: name, In: "header", Type: typeOf(h.Schema), About: about})
	}
	if a.Refusal {
		return a // all the same document, explained once
	}
	for contentType, media := range r.Content {
		a.Type = contentType
		a.Fields = fieldsOf(doc, media.Schema, 0, nil)
		for i := range a.Fields {
			a.Fields[i].Required = false // of interest to whoever sends
		}
		if e := exampleOf(doc, media.Schema, nil); e != nil {
			b, err := json.MarshalIndent(e, "", "  ")
			if err == nil {
				a.Example = string(b)
			}
		}
	}
	return a
}

// resolve follows a reference.
func resolve(doc *huma.OpenAPI, s *huma.Schema) (*huma.Schema, string) {
	if s == nil || s.Ref == "" {
		return s, ""
	}
	return doc.Components.Schemas.SchemaFromRef(s.Ref), s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
}

// fieldsOf lists the properties of a schema with those below them. The names of the types
// around it are in within, so that a tree ends.
func fieldsOf(doc *huma.OpenAPI, s *huma.Schema, depth int, within []string) []docField {
	s, name := resolve(doc, s)
	for s != nil && s.Type == huma.TypeArray {
		s, name = resolve(doc, s.Items)
	}
	if s == nil || s.Type != huma.TypeObject || (name != "" && slices.Contains(within, name)) {
		return nil
	}
	within = append(within, name)
	var fields []docField
	for _, prop := range propertiesOf(s) {
		p := s.Properties[prop]
		about := p.Description
		if target, _ := resolve(doc, p); about == "" && target != nil {
			about = target.Description
		}
		fields = append(fields, docField{
			Name: prop, Type: typeOf(p), About: about, Required: slices.Contains(s.Required, prop), Depth: depth,
		})
		fields = append(fields, fieldsOf(doc, p, depth+1, within)...)
	}
	return fields
}

// propertiesOf returns a schema's properties: the required ones first, by name.
func propertiesOf(s *huma.Schema) []string {
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		ra, rb := slices.Contains(s.Required, a), slices.Contains(s.Required, b)
		switch {
		case ra && !rb:
			return -1
		case rb && !ra:
			return 1
		}
		return strings.Compare(a, b)
	})
	return names
}

// typeOf says in a few words what a value may be.
func typeOf(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Type == huma.TypeArray:
		return "list of " + typeOf(s.Items) + limits(s.MinItems, s.MaxItems, "")
	case len(s.Enum) > 0:
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = fmt.Sprint(v)
		}
		return strings.Join(values, " | ")
	}
	t := s.Type
	if s.Format != "" && s.Format != "int64" {
		t += ", " + s.Format
	}
	t += limits(s.MinLength, s.MaxLength, " characters")
	if s.Minimum != nil {
		t += ", from " + strconv.FormatFloat(*s.Minimum, 'f', -1, 64)
	}
	if s.Maximum != nil {
		t += ", to " + strconv.FormatFloat(*s.Maximum, 'f', -1, 64)
	}
	return t
}

func limits(least, most *int, unit string) string {
	switch {
	case least != nil && *least > 0 && most != nil:
		return fmt.Sprintf(", %d to %d%s", *least, *most, unit)
	case most != nil:
		return fmt.Sprintf(", at most %d%s", *most, unit)
	case least != nil && *least > 0:
		return fmt.Sprintf(", at least %d%s", *least, unit)
	}
	return ""
}

// exampleOf makes a value that a schema allows, of the examples in it as far as there are any.
func exampleOf(doc *huma.OpenAPI, s *huma.Schema, within []string) any {
	s, name := resolve(doc, s)
	switch {
	case s == nil || (name != "" && slices.Contains(within, name)):
		return nil
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.Type {
	case huma.TypeObject:
		o := orderedObject{}
		for _, prop := range propertiesOf(s) {
			if v := exampleOf(doc, s.Properties[prop], append(within, name)); v != nil {
				o = append(o, property{prop, v})
			}
		}
		return o
	case huma.TypeArray:
		if v := exampleOf(doc, s.Items, within); v != nil {
			return []any{v}
		}
		return nil
	case huma.TypeInteger, huma.TypeNumber:
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case huma.TypeBoolean:
		return true
	}
	if s.Format == "date-time" {
		return "2026-01-31T09:30:00.000Z"
	}
	if s.Format == "binary" {
		return nil
	}
	return "…"
}

// orderedObject is a JSON object whose properties stay in order.
type orderedObject []property

type property struct {
	name  string
	value any
}

// MarshalJSON writes the object.
func (o orderedObject) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, p := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(p.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

// curl is a line to try an operation with.
func curl(d docOperation, body any) string {
	var b strings.Builder
	b.WriteString("curl")
	if d.Method != http.MethodGet {
		b.WriteString(" -X " + d.Method)
	}
	b.WriteString(" http://127.0.0.1:8080" + placeholder.ReplaceAllStringFunc(d.Path, func(p string) string {
		return "$" + strings.ToUpper(strings.Trim(p, "{}"))
	}))
	if d.Session {
		b.WriteString(" \\\n  -H \"Authorization: Bearer $TOKEN\"")
	}
	switch {
	case d.BodyType == "multipart/form-data":
		b.WriteString(" \\\n  -F file=@photo.jpg")
	case body != nil:
		j, err := json.Marshal(body)
		if err == nil {
			b.WriteString(" \\\n  -H 'Content-Type: application/json' \\\n  -d '" + strings.ReplaceAll(string(j), "'", `'\''`) + "'")
		}
	}
	return b.String()
}
