package warm

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxFailures bounds the list of failures in a Summary.
const maxFailures = 20

// Summary is what came of warming once; it marshals to the JSON that furima
// warm --once --json prints.
type Summary struct {
	// Combinations is the size of the plan: OK + Failed + Skipped.
	Combinations int64 `json:"combinations"`
	// OK counts answers 2xx and 304.
	OK int64 `json:"ok"`
	// Failed counts every other answer, redirects included since they are not
	// followed, and requests without an answer.
	Failed int64 `json:"failed"`
	// Skipped counts what was not requested because the context ended.
	Skipped int64 `json:"skipped"`
	Workers int   `json:"workers"`
	// Connections is how many were opened over all; at no moment were there
	// more than workers.
	Connections int64   `json:"connections"`
	WallSeconds float64 `json:"wall_seconds"`
	// PerSecond is OK and failed requests over WallSeconds.
	PerSecond float64 `json:"requests_per_second"`
	// BodyBytes is the size of all bodies as sent, chunk sizes not counted.
	BodyBytes int64   `json:"body_bytes"`
	Latency   Latency `json:"latency"`
	// Statuses counts answers by HTTP status.
	Statuses map[int]int64 `json:"statuses"`
	// Cache counts answers by what their header Cache-Status says: hit, stale,
	// miss, refresh, bypass, other; none without the header.
	Cache map[string]int64 `json:"cache"`
	// Failures are the first failures, at most 20.
	Failures []Failure `json:"failures"`
}

// Latency is the time from sending a request to the end of its answer, in
// milliseconds. Quantiles are at most 3 % too high.
type Latency struct {
	MeanMS float64 `json:"mean_ms"`
	P50MS  float64 `json:"p50_ms"`
	P95MS  float64 `json:"p95_ms"`
	P99MS  float64 `json:"p99_ms"`
	MaxMS  float64 `json:"max_ms"`
}

// Failure is one combination that was not warmed.
type Failure struct {
	URL    string `json:"url"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error"`
}

// Progress is how far Once has come.
type Progress struct {
	Done, Total, Failed int64
	Elapsed             time.Duration
	// PerSecond is the mean rate since the start.
	PerSecond float64
}

// tally is what the workers count together.
type tally struct {
	start    time.Time
	total    int64
	ok       atomic.Int64
	failed   atomic.Int64
	bytes    atomic.Int64
	latency  histogram
	statuses [600]atomic.Int64
	caches   [outcomes]atomic.Int64

	mu       sync.Mutex
	failures []Failure
}

// isOK reports whether an answer means that the combination is warm.
func isOK(status int) bool { return status >= 200 && status < 300 || status == http.StatusNotModified }

// answered counts one answer; url is called only if it is a failure to keep.
func (t *tally) answered(a *answer, took time.Duration, url func() string) {
	t.latency.add(took)
	t.bytes.Add(a.bytes)
	t.statuses[a.status].Add(1)
	t.caches[a.cache].Add(1)
	if isOK(a.status) {
		t.ok.Add(1)
		return
	}
	t.fail(a.status, statusProblem(a.status), url)
}

func (t *tally) fail(status int, problem string, url func() string) {
	t.failed.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failures) < maxFailures {
		t.failures = append(t.failures, Failure{URL: url(), Status: status, Error: problem})
	}
}

func statusProblem(status int) string {
	text := fmt.Sprintf("status %d", status)
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	if status >= 300 && status < 400 {
		text += ", redirects are not followed"
	}
	return text
}

func (t *tally) progress() Progress {
	p := Progress{Failed: t.failed.Load(), Total: t.total, Elapsed: time.Since(t.start)}
	p.Done = t.ok.Load() + p.Failed
	if s := p.Elapsed.Seconds(); s > 0 {
		p.PerSecond = float64(p.Done) / s
	}
	return p
}

func (t *tally) summary(workers int, connections int64) Summary {
	p := t.progress()
	s := Summary{
		Combinations: t.total,
		OK:           t.ok.Load(),
		Failed:       p.Failed,
		Skipped:      t.total - p.Done,
		Workers:      workers,
		Connections:  connections,
		WallSeconds:  round(p.Elapsed.Seconds(), 1e6),
		PerSecond:    round(p.PerSecond, 10),
		BodyBytes:    t.bytes.Load(),
		Latency: Latency{
			MeanMS: ms(t.latency.mean()),
			P50MS:  ms(t.latency.quantile(0.50)),
			P95MS:  ms(t.latency.quantile(0.95)),
			P99MS:  ms(t.latency.quantile(0.99)),
			MaxMS:  ms(t.latency.quantile(1)),
		},
		Statuses: map[int]int64{},
		Cache:    map[string]int64{},
		Failures: t.failures,
	}
	if s.Failures == nil {
		s.Failures = []Failure{} // [] and not null in JSON
	}
	for status := range t.statuses {
		if n := t.statuses[status].Load(); n > 0 {
			s.Statuses[status] = n
		}
	}
	for o := range t.caches {
		if n := t.caches[o].Load(); n > 0 {
			s.Cache[outcomeNames[o]] = n
		}
	}
	return s
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func round(x, to float64) float64 { return float64(int64(x*to+0.5)) / to }
