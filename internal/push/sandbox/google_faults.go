package sandbox

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// troubles are the faults of one surface.
type troubles struct {
	mu      sync.Mutex // guards what follows
	latency time.Duration
	faults  []*fault
	hanging int
	well    chan struct{} // closed by recover, then replaced
}

func (t *troubles) add(f Fault) {
	if f.Count == 0 {
		f.Count = 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, &fault{Fault: f})
}

// next returns the fault that this request meets, if any, and uses it up.
func (t *troubles) next(token string) (Fault, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, f := range t.faults {
		if f.Token != "" && f.Token != token {
			continue
		}
		f.seen++
		if n := f.seen - f.Skip; n <= 0 || f.Every > 1 && n%f.Every != 0 {
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				t.faults = append(t.faults[:i:i], t.faults[i+1:]...)
			}
		}
		return f.Fault, true
	}
	return Fault{}, false
}

func (t *troubles) setLatency(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latency = d
}

// delay waits for the latency and reports whether ctx lasted.
func (t *troubles) delay(ctx context.Context) bool {
	t.mu.Lock()
	d := t.latency
	t.mu.Unlock()
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *troubles) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hanging
}

func (t *troubles) recover() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults, t.latency = nil, 0
	if t.well != nil {
		close(t.well)
		t.well = nil
	}
}

// hang keeps a request without an answer until its client gives up.
func (t *troubles) hang(ctx context.Context) {
	t.mu.Lock()
	t.hanging++
	if t.well == nil {
		t.well = make(chan struct{})
	}
	well := t.well
	t.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-well:
	}
	t.mu.Lock()
	t.hanging--
	t.mu.Unlock()
}

// googleRefusal is an error of Google's APIs.
type googleRefusal struct {
	status     int
	code       string // FCM's if it has one for it, else that of the status
	message    string
	details    []map[string]any
	retryAfter int
}

// body is the refusal as Google writes it.
func (r *googleRefusal) body() any {
	type failure struct {
		Code    int              `json:"code"`
		Message string           `json:"message"`
		Status  string           `json:"status"`
		Details []map[string]any `json:"details,omitempty"`
	}
	return map[string]failure{"error": {r.status, r.message, rpcStatus(r.status, r.code), r.details}}
}

// fcmCodes are the codes that FCM has of its own.
var fcmCodes = map[string]bool{
	"UNSPECIFIED_ERROR": true, "INVALID_ARGUMENT": true, "UNREGISTERED": true, "SENDER_ID_MISMATCH": true,
	"QUOTA_EXCEEDED": true, "UNAVAILABLE": true, "INTERNAL": true, "THIRD_PARTY_AUTH_ERROR": true,
}

// rpcStatus is the status that goes with a status of HTTP.
func rpcStatus(status int, code string) string {
	switch status {
	case http.StatusBadRequest:
		return "INVALID_ARGUMENT"
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusInternalServerError:
		return "INTERNAL"
	case http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	}
	return code
}

// fcmError is the detail that FCM's own errors have.
func fcmError(code string) map[string]any {
	return map[string]any{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}
}

// badRequest is the detail that names a field.
func badRequest(field, description string) map[string]any {
	return map[string]any{
		"@type":           "type.googleapis.com/google.rpc.BadRequest",
		"fieldViolations": []map[string]string{{"field": field, "description": description}},
	}
}

// errorInfo is the detail of Google's front end.
func errorInfo(reason string) map[string]any {
	return map[string]any{
		"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
		"metadata": map[string]string{"service": "fcm.googleapis.com"},
	}
}

// faultOf makes the refusal that a fault asks for.
func faultOf(f Fault) *googleRefusal {
	no := &googleRefusal{status: f.Status, code: f.Reason, message: "The sandbox was asked to fail.", retryAfter: f.RetryAfter}
	switch {
	case fcmCodes[f.Reason]:
		no.details = append(no.details, fcmError(f.Reason))
	case f.Reason == "RESOURCE_EXHAUSTED":
		no.details = append(no.details, errorInfo("RATE_LIMIT_EXCEEDED"))
	case f.Reason == "UNAUTHENTICATED":
		no.details = append(no.details, errorInfo("ACCESS_TOKEN_EXPIRED"))
	}
	if f.Reason == "THIRD_PARTY_AUTH_ERROR" {
		no.details = append(no.details, map[string]any{
			"@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError", "statusCode": 403, "reason": "InvalidProviderToken",
		})
	}
	return no
}
