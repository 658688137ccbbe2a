package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/furima/furima/internal/api"
)

var (
	fuzzRequests = flag.Int("requests", 3000, "how many requests TestFuzzTheDocument makes")
	fuzzSeed     = flag.Uint64("seed", 1, "what TestFuzzTheDocument draws them from")
)

// TestFuzzTheDocument makes requests of all kinds from the OpenAPI document,
// right ones and ones with one thing wrong, and holds that every answer is one
// that the document tells of, that it is JSON, and that nothing fails inside.
// go test -run FuzzTheDocument -requests 100000 takes a few minutes.
func TestFuzzTheDocument(t *testing.T) {
	f := newFuzzer(t)
	statuses := map[int]int{}
	for i := range *fuzzRequests {
		if i%500 == 0 {
			f.people()
		}
		f.request(statuses)
		if t.Failed() && f.faults > 10 {
			t.Fatal("too many faults")
		}
	}
	if n := f.metric("furima_api_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	t.Logf("answers by status: %v", statuses)
	// The requests reach what they are to test: successes and every usual refusal.
	for _, status := range []int{200, 201, 204, 400, 401, 403, 404, 409, 415, 422} {
		if statuses[status] == 0 {
			t.Errorf("no answer with status %d among %v", status, statuses)
		}
	}
	// A few operations need more luck than the others.
	var missed []string
	for _, op := range f.ops {
		if !f.succeeded[op.id] && !slices.Contains([]string{"deleteMe", "getPhoto", "addPhoto", "getPayout", "requestPayout", "changePassword", "reportProblem", "logIn", "register"}, op.id) {
			missed = append(missed, op.id)
		}
	}
	if *fuzzRequests >= 3000 && len(missed) > 6 {
		t.Errorf("no request succeeded of %v", missed)
	}
}

// fuzzOp is an operation of the document.
type fuzzOp struct {
	id, method, path string
	parameters       []any
	body             map[string]any // schema of a JSON body, or nil
	multipart        bool
	responses        map[string]any
	rare             bool // hashes a password, which takes long, or ends the session
}

type fuzzer struct {
	*bench
	rand      *rand.Rand
	handler   http.Handler
	schemas   map[string]any
	ops       []fuzzOp
	tokens    []string
	pool      map[string][]string // ids that answers named, by prefix
	succeeded map[string]bool
	faults    int
}

func newFuzzer(t *testing.T) *fuzzer {
	f := &fuzzer{
		bench: newBench(t, options{noQueue: true, noPush: true, config: func(c *api.Config) {
			c.Limits = api.LimitConfig{Reads: -1, ReadsIP: -1, Writes: -1, WritesIP: -1, Purchases: -1, LogIns: -1, LogInsIP: -1, RegistrationsIP: -1}
		}}),
		rand: rand.New(rand.NewPCG(*fuzzSeed, 2)), pool: map[string][]string{}, succeeded: map[string]bool{},
	}
	f.handler = f.api.Handler()
	b, err := f.api.OpenAPI()
	must(t, err)
	var doc map[string]any
	must(t, json.Unmarshal(b, &doc))
	f.schemas = doc["components"].(map[string]any)["schemas"].(map[string]any)
	paths := doc["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(map[string]any)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			o := item[method].(map[string]any)
			op := fuzzOp{id: o["operationId"].(string), method: strings.ToUpper(method), path: path, responses: o["responses"].(map[string]any)}
			op.parameters, _ = o["parameters"].([]any)
			if body, ok := o["requestBody"].(map[string]any); ok {
				content := body["content"].(map[string]any)
				if media, ok := content["application/json"].(map[string]any); ok {
					op.body = media["schema"].(map[string]any)
				}
				op.multipart = content["multipart/form-data"] != nil
			}
			op.rare = slices.Contains([]string{"register", "logIn", "logOut", "changePassword", "deleteMe"}, op.id)
			f.ops = append(f.ops, op)
		}
	}
	return f
}

// people makes fresh sessions, since log-outs and the like end the others, and
// something to trade with.
func (f *fuzzer) people() {
	f.t.Helper()
	f.tokens = nil
	for _, name := range []string{"Ken", "Eve", "Mal"} {
		c, me := f.person(name)
		f.tokens = append(f.tokens, tokenOf(c))
		f.learn(me.ID)
		for range 3 {
			item := f.item(c, "Oak chair", 900)
			f.learn(item.ID)
		}
	}
}

var anID = regexp.MustCompile(`\b(it|us|or|ph|cm|nt|po|rp|ms|rv)_[0-9a-z]{13}\b`)

// learn remembers the ids in a text; the latest of each kind.
func (f *fuzzer) learn(text string) {
	for _, id := range anID.FindAllString(text, -1) {
		known := f.pool[id[:3]]
		if slices.Contains(known, id) {
			continue
		}
		if len(known) >= 32 {
			known = known[1:]
		}
		f.pool[id[:3]] = append(known, id)
	}
}

// pick returns a known id with a prefix, mostly a recent one.
func (f *fuzzer) pick(prefix string) string {
	known := f.pool[prefix]
	if len(known) == 0 {
		return prefix + "0000000000001"
	}
	if f.rand.IntN(3) > 0 {
		known = known[max(0, len(known)-6):]
	}
	return known[f.rand.IntN(len(known))]
}

// odd are texts that programs stumble over.
var odd = []string{
	"", " ", "0", "-1", "null", "true", "\x00", "\u202e", "'; DROP TABLE users; --", "%", "%00", "a/b", "🪑", "ÿ", strings.Repeat("x", 300),
	"9223372036854775808", "1e999", "NaN", "it_0000000000000", "it_zzzzzzzzzzzzz", "us_0000000000001", "{}", "[]", "\"", "..%2f", "*", "\ufeff", "=cmd", "W/\"1\"",
}

func (f *fuzzer) oddText() string { return odd[f.rand.IntN(len(odd))] }

// idFor returns an id that fits a name, or "".
func (f *fuzzer) idFor(op fuzzOp, name string) string {
	switch {
	case name == "item_id", name == "id" && strings.HasPrefix(op.path, "/v1/items"):
		return f.pick("it_")
	case name == "user_id", name == "seller", name == "id" && strings.HasPrefix(op.path, "/v1/users"):
		return f.pick("us_")
	case name == "id" && strings.HasPrefix(op.path, "/v1/orders"):
		return f.pick("or_")
	case name == "comment_id":
		return f.pick("cm_")
	case name == "up_to":
		return f.pick("nt_")
	case name == "id" && strings.Contains(op.path, "payouts"):
		return f.pick("po_")
	case name == "subject_id":
		return f.pick([]string{"it_", "us_", "cm_", "or_"}[f.rand.IntN(4)])
	case name == "photo_ids":
		return f.pick("ph_")
	case name == "device_id":
		return []string{"phone", "tablet"}[f.rand.IntN(2)]
	}
	return ""
}

// resolve follows a reference.
func (f *fuzzer) resolve(s map[string]any) map[string]any {
	if ref, ok := s["$ref"].(string); ok {
		return f.schemas[ref[strings.LastIndexByte(ref, '/')+1:]].(map[string]any)
	}
	return s
}

// typeOf returns a schema's type, which may be one of several.
func typeOf(s map[string]any) string {
	switch v := s["type"].(type) {
	case string:
		return v
	case []any:
		for _, one := range v {
			if one != "null" {
				return one.(string)
			}
		}
	}
	return ""
}

// value makes a value that a schema allows.
func (f *fuzzer) value(op fuzzOp, name string, s map[string]any) any {
	s = f.resolve(s)
	if enum, ok := s["enum"].([]any); ok {
		return enum[f.rand.IntN(len(enum))]
	}
	switch typeOf(s) {
	case "object":
		o := map[string]any{}
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, prop := range slices.Sorted(maps.Keys(properties)) {
			if slices.Contains(required, any(prop)) || f.rand.IntN(3) == 0 {
				o[prop] = f.value(op, prop, properties[prop].(map[string]any))
			}
		}
		return o
	case "array":
		list := []any{}
		for range f.rand.IntN(3) {
			list = append(list, f.value(op, name, s["items"].(map[string]any)))
		}
		return list
	case "integer", "number":
		return f.number(name, s)
	case "boolean":
		return f.rand.IntN(2) == 0
	}
	return f.text(op, name, s)
}

func (f *fuzzer) number(name string, s map[string]any) any {
	low, _ := s["minimum"].(float64)
	switch {
	case strings.HasSuffix(name, "price") && f.rand.IntN(4) > 0:
		return 900
	case name == "category_id" || name == "category":
		return 1 + f.rand.IntN(4)
	}
	if high, ok := s["maximum"].(float64); ok {
		return int64(low) + f.rand.Int64N(int64(high)-int64(low)+1)
	}
	return int64(low) + f.rand.Int64N(10_000)
}

func (f *fuzzer) text(op fuzzOp, name string, s map[string]any) string {
	if id := f.idFor(op, name); id != "" {
		return id
	}
	switch name {
	case "email":
		return fmt.Sprintf("fuzz%d@example.com", f.rand.IntN(1000))
	case "condition":
		return "good"
	case "payment_token":
		return []string{"tok_ok", "tok_ok", "tok_declined", "tok_insufficient", "x"}[f.rand.IntN(5)]
	}
	n := 12
	if least, ok := s["minLength"].(float64); ok {
		n = max(n, int(least))
	}
	if most, ok := s["maxLength"].(float64); ok {
		n = min(n, int(most))
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghij klmnop"[f.rand.IntN(17)]
	}
	return string(b)
}

// broken makes one thing wrong somewhere in a value.
func (f *fuzzer) broken(v any) any {
	if o, ok := v.(map[string]any); ok && len(o) > 0 {
		keys := slices.Sorted(maps.Keys(o))
		key := keys[f.rand.IntN(len(keys))]
		switch f.rand.IntN(4) {
		case 0:
			delete(o, key)
		case 1:
			o[[]string{"seller_id", "state", "", key + "_", "🪑", strings.Repeat("k", 200)}[f.rand.IntN(6)]] = f.scalar()
		default:
			o[key] = f.broken(o[key])
		}
		return o
	}
	if list, ok := v.([]any); ok && len(list) > 0 && f.rand.IntN(2) == 0 {
		for len(list) < 40 {
			list = append(list, list[0])
		}
		return list
	}
	return f.scalar()
}

func (f *fuzzer) scalar() any {
	switch f.rand.IntN(8) {
	case 0:
		return nil
	case 1:
		return -1
	case 2:
		return json.Number([]string{"9223372036854775807", "1e400", "0.5", "-9223372036854775809", "3000000"}[f.rand.IntN(5)])
	case 3:
		return []any{map[string]any{"x": []any{nil}}}
	case 4:
		return map[string]any{"$ref": "x"}
	case 5:
		return f.rand.IntN(2) == 0
	}
	return f.oddText()
}

// request makes a request and looks at the answer.
func (f *fuzzer) request(statuses map[int]int) {
	op := f.ops[f.rand.IntN(len(f.ops))]
	for op.rare && f.rand.IntN(10) > 0 {
		op = f.ops[f.rand.IntN(len(f.ops))]
	}
	r, text := f.build(op)
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	statuses[w.Code]++
	if w.Code < 300 {
		f.succeeded[op.id] = true
		if op.id == "logOut" {
			f.people()
		}
		f.learn(w.Body.String())
	}
	if wrong := wrongWith(op, w); wrong != "" {
		f.faults++
		f.t.Errorf("%s: %s\n%s %s %v\n%.500q\n→ %d %v %.500s", op.id, wrong, r.Method, r.URL, r.Header, text, w.Code, w.Header(), w.Body)
	}
}

// wrongWith says what an answer has that the document does not tell of.
func wrongWith(op fuzzOp, w *httptest.ResponseRecorder) string {
	if w.Code >= 500 {
		return "it fails"
	}
	response, ok := op.responses[strconv.Itoa(w.Code)].(map[string]any)
	if !ok {
		return "the status is not in the document"
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if w.Body.Len() > 0 {
			return "a body that is not in the document"
		}
		return ""
	}
	media, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil || content[media] == nil {
		return "a type that is not in the document"
	}
	if !strings.HasSuffix(media, "json") {
		return ""
	}
	var v map[string]any
	if json.Unmarshal(w.Body.Bytes(), &v) != nil {
		return "no JSON object"
	}
	if w.Code >= 400 && (v["status"] != float64(w.Code) || v["code"] == nil || v["type"] == nil) {
		return "no problem document"
	}
	return ""
}

// build makes a request: right in half of the cases, else with something wrong.
func (f *fuzzer) build(op fuzzOp) (r *http.Request, text string) {
	wrong := 0 // nothing
	if f.rand.IntN(2) == 0 {
		wrong = 1 + f.rand.IntN(6)
	}
	path, query, header := f.parameters(op, wrong == 1)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if wrong == 2 {
		separator := "?"
		if len(query) > 0 {
			separator = "&"
		}
		path += separator + []string{"x=1", "limit=1&limit=2", "%zz", "cursor=" + url.QueryEscape(f.oddText())}[f.rand.IntN(4)]
	}
	if op.body != nil {
		text = f.json(op, wrong)
		header.Set("Content-Type", "application/json")
		if wrong == 6 && f.rand.IntN(2) == 0 {
			header.Set("Content-Type", []string{"text/plain", "", "application/json; charset=x", "multipart/form-data"}[f.rand.IntN(4)])
		}
	}
	if op.multipart {
		text, header = f.form(header)
	}
	r = httptest.NewRequest(op.method, path, strings.NewReader(text))
	maps.Copy(r.Header, header)
	switch token := f.tokens[f.rand.IntN(len(f.tokens))]; {
	case wrong != 5:
		r.Header.Set("Authorization", "Bearer "+token)
	case f.rand.IntN(2) == 0:
		r.Header.Set("Authorization", []string{"Bearer", "Basic x", "Bearer " + token[1:], f.oddText()}[f.rand.IntN(4)])
	}
	return r, text
}

func (f *fuzzer) parameters(op fuzzOp, wrong bool) (path string, query url.Values, header http.Header) {
	path, query, header = op.path, url.Values{}, http.Header{}
	for _, p := range op.parameters {
		p := p.(map[string]any)
		name, schema := p["name"].(string), p["schema"].(map[string]any)
		value := fmt.Sprint(f.value(op, name, schema))
		if wrong && f.rand.IntN(2) == 0 {
			value = f.oddText()
		}
		switch p["in"] {
		case "path":
			if value == "" {
				value = "x" // another route
			}
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
		case "query":
			if f.rand.IntN(3) == 0 && (name != "cursor" || wrong) {
				query.Set(name, value)
			}
		case "header":
			if f.rand.IntN(4) == 0 {
				header.Set(name, []string{value, `"1"`, `"1-x"`, "*", "k-" + strconv.Itoa(f.rand.IntN(50))}[f.rand.IntN(5)])
			}
		}
	}
	return path, query, header
}

// json makes a body; 3 and 4 make it wrong in a field, 6 as a whole.
func (f *fuzzer) json(op fuzzOp, wrong int) string {
	v := f.value(op, "", op.body)
	if wrong == 3 || wrong == 4 {
		v = f.broken(v)
	}
	b, err := json.Marshal(v)
	must(f.t, err)
	text := string(b)
	if wrong == 6 {
		return []string{
			"", text[:len(text)/2], text + text, "[" + text + "]", "null", "\xff" + text, strings.Repeat("[", 5000), `{"x":"` + strings.Repeat("y", 70_000) + `"}`, text,
		}[f.rand.IntN(9)]
	}
	return text
}

// form makes the body of an upload.
func (f *fuzzer) form(header http.Header) (string, http.Header) {
	header.Set("Content-Type", "multipart/form-data; boundary=b")
	content := []string{string(picture(f.t, 20, 10)), "no picture", "", "\xff\xd8\xff" + f.oddText()}[f.rand.IntN(4)]
	name := []string{"file", "file", "file", "other"}[f.rand.IntN(4)]
	return "--b\r\nContent-Disposition: form-data; name=" + name + "; filename=x.jpg\r\n\r\n" + content + []string{"\r\n--b--\r\n", ""}[f.rand.IntN(2)], header
}
