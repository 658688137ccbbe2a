package push

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/furima/furima/client"
)

// problem makes a problem document. The reason is finer than the code and
// names the kind of problem.
func problem(status int, code client.Code, reason, detail string) *client.Problem {
	return &client.Problem{
		Type:   "/problems/" + reason,
		Title:  http.StatusText(status),
		Status: status,
		Code:   code,
		Reason: reason,
		Detail: detail,
	}
}

func invalid(errs ...FieldError) *client.Problem {
	p := problem(http.StatusUnprocessableEntity, client.Invalid, "invalid_request", "")
	p.Errors = errs
	return p
}

// writeProblem answers with a problem.
func writeProblem(w http.ResponseWriter, p *client.Problem) {
	h := w.Header()
	p.RequestID = h.Get("X-Request-Id")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	writeAs(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeAs(w, "application/json", status, v) }

func writeAs(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // what is answered here always encodes
		panic(err)
	}
	writeBody(w, contentType, status, body)
}

func writeBody(w http.ResponseWriter, contentType string, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// Values of header fields that every answer has. They are only read.
var noStore, noSniff = []string{"no-store"}, []string{"nosniff"}

// writeAccepted answers with a client.PushAccepted: by hand, because it is nearly
// every answer. The id needs no escaping.
func writeAccepted(w http.ResponseWriter, a Accepted) {
	b := make([]byte, 0, len(a.ID)+40)
	b = append(append(append(b, `{"id":"`...), a.ID...), `","accepted":`...)
	b = append(strconv.AppendInt(b, int64(a.Accepted), 10), '}')
	writeBody(w, "application/json", http.StatusAccepted, b)
}
