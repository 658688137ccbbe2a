package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// A POST with an Idempotency-Key has its effect once, however often it is
// repeated within a day (draft-ietf-httpapi-idempotency-key-header-07). The key
// belongs to the user and the operation. A repetition gets the first one's
// answer; while that is not known, 409; with another body, 422. A request that
// was refused had no effect, and its repetition is tried anew.

const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotency-Replayed"
	maxKey         = 255
	// maxAnswer is the largest answer that is kept; ours are far smaller.
	maxAnswer = 256 << 10
)

// keptHeaders are what a repetition gets beside the body.
var keptHeaders = []string{"Content-Type", "Location", "Cache-Control"}

// lostAfter is how long a request may be under way before its answer is taken
// for lost with its process.
const lostAfter = 2 * time.Minute

// once runs next for a request that may be a repetition. The body is what makes
// it the same request; it has been read.
func (a *API) once(x *exchange, r *http.Request, who caller, body []byte, next func(ctx context.Context)) error {
	keys := r.Header.Values(headerKey)
	if len(keys) == 0 {
		next(r.Context())
		return nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey || !printable(keys[0]) {
		return invalidField("header/"+headerKey, "must be one of 1 to 255 printable ASCII characters")
	}
	o := &store.Once{Scope: scopeOf(who.user, r, keys[0]), Fingerprint: sha256.Sum256(body)}
	switch known, err := a.store.Answered(r.Context(), o.Scope); {
	case err == nil:
		return a.replay(x, o, known)
	case market.CodeOf(err) != market.CodeNotFound:
		return err
	}
	x.capture = &bytes.Buffer{}
	next(store.WithOnce(r.Context(), o))
	if o.Claimed() {
		a.keep(r.Context(), x, o)
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// scopeOf tells the keys of different users and operations apart.
func scopeOf(user market.UserID, r *http.Request, key string) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range []string{user.String(), r.Method, r.URL.EscapedPath(), key} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part))) // a hash takes everything
		_, _ = io.WriteString(h, part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// replay answers a repetition.
func (a *API) replay(x *exchange, o *store.Once, known store.Answer) error {
	switch {
	case known.Fingerprint != o.Fingerprint:
		return invalidField("header/"+headerKey, "was used for another request")
	case known.Status == 0 && a.now().Sub(known.At) < lostAfter:
		return &refusal{kind: kindConflict, reason: string(market.ReasonRepeated), detail: "the first request with this key is still being carried out", retryAfter: retryAfter}
	case known.Status == 0:
		return &refusal{kind: kindConflict, reason: string(market.ReasonRepeated), detail: "the request was carried out and its answer is lost; read what it has made"}
	}
	var header map[string]string
	if err := json.Unmarshal([]byte(known.Header), &header); err != nil {
		return err
	}
	for name, value := range header {
		x.Header().Set(name, value)
	}
	x.Header().Set(headerReplayed, "true")
	x.ours = true
	x.WriteHeader(known.Status)
	_, _ = x.Write(known.Body)
	return nil
}

// keep writes down what a request was answered. If that cannot be done a
// repetition is told that the answer is lost, which is true.
func (a *API) keep(ctx context.Context, x *exchange, o *store.Once) {
	ctx, cancel := detached(ctx, settleTimeout)
	defer cancel()
	header := map[string]string{}
	for _, name := range keptHeaders {
		if v := x.Header().Get(name); v != "" {
			header[name] = v
		}
	}
	encoded, err := json.Marshal(header)
	switch {
	case err != nil:
	case x.capture.Len() > maxAnswer:
		err = errors.New("the answer is too large to be kept")
	default:
		err = a.store.SaveAnswer(ctx, o.Scope, x.status, string(encoded), x.capture.Bytes())
	}
	if err != nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "answer not kept for repetitions", slog.String("request_id", x.requestID), slog.Any("error", err))
	}
}
