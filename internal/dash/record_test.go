package dash

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// roll adds a snapshot of reg to r.
func roll(t *testing.T, r *record, reg prometheus.Gatherer, at time.Time) {
	t.Helper()
	mfs, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	r.add(newSnapshot(at, mfs))
}

type historyJSON struct {
	T []int64
	S []json.RawMessage
}

func readHistory(t *testing.T, r *record) historyJSON {
	t.Helper()
	var h historyJSON
	b := append([]byte(`{"t":`), r.appendTimes(nil)...)
	b = append(append(append(b, `,"s":`...), r.appendHistory(nil)...), '}')
	if err := json.Unmarshal(b, &h); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return h
}

func TestRecordRing(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
	flat := prometheus.NewGauge(prometheus.GaugeOpts{Name: "flat"})
	flat.Set(5)
	reg.MustRegister(g, flat)
	r := newRecord()
	for _, n := range []int{1, 2, maxTicks - 1, maxTicks, maxTicks + 1, 2*maxTicks + 7} {
		for r.ticks < n {
			g.Set(float64(r.ticks))
			roll(t, r, reg, t0.Add(time.Duration(r.ticks)*time.Second))
		}
		h := readHistory(t, r)
		want := min(n, maxTicks)
		if len(h.T) != want || h.T[0] != t0.Add(time.Duration(n-want)*time.Second).UnixMilli() ||
			h.T[want-1] != t0.Add(time.Duration(n-1)*time.Second).UnixMilli() {
			t.Errorf("after %d ticks: %d times from %d to %d", n, len(h.T), h.T[0], h.T[len(h.T)-1])
		}
		if got := string(h.S[r.ids["all/flat//value"]]); got != "5" {
			t.Errorf("after %d ticks a line that never moves is %.40s", n, got)
		}
		if n == 1 {
			continue
		}
		var vs []float64
		if err := json.Unmarshal(h.S[r.ids["all/g//value"]], &vs); err != nil {
			t.Fatal(err)
		}
		for k, v := range vs {
			if v != float64(n-want+k) {
				t.Fatalf("after %d ticks point %d is %v", n, k, v)
			}
		}
	}
}

func TestRecordLateLine(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRecord()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"})
	roll(t, r, reg, t0)
	reg.MustRegister(g)
	roll(t, r, reg, t0.Add(time.Second))
	g.Set(1.23456)
	roll(t, r, reg, t0.Add(2*time.Second))
	reg.Unregister(g)
	roll(t, r, reg, t0.Add(3*time.Second))
	if got, want := string(readHistory(t, r).S[r.ids["all/g//value"]]), "[null,0,1.235,null]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(r.appendFrame(nil)); got != "[null]" {
		t.Errorf("frame %s", got)
	}
}

func TestRecordVersions(t *testing.T) {
	reg := prometheus.NewRegistry()
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_api_requests_total"}, []string{"route", "status"})
	reg.MustRegister(vec)
	for i := range maxRows + 3 {
		vec.WithLabelValues(fmt.Sprintf("GET /%02d", i), "2xx").Add(float64(100 - i))
	}
	r := newRecord()
	at := t0
	next := func() int {
		roll(t, r, reg, at)
		at = at.Add(time.Second)
		return r.version
	}
	if v := next(); v != 1 {
		t.Fatalf("first version %d", v)
	}
	for range 40 {
		vec.WithLabelValues("GET /03", "2xx").Inc() // the order of the rows changes, the rows do not
		if v := next(); v != 1 {
			t.Fatalf("version %d although only values changed", v)
		}
	}
	vec.WithLabelValues("GET /03", "5xx").Inc()
	if v := next(); v != 2 {
		t.Errorf("version %d after a new series", v)
	}
	vec.WithLabelValues("GET /14", "2xx").Add(1000) // now among the busiest
	changed := 0
	for next() == 2 {
		if changed++; changed > 60 {
			t.Fatal("a route that has become busy never appears")
		}
	}
	if rows := r.layout.Tables[0].Rows; rows[0].Name != "GET /14" || len(rows) != maxRows {
		t.Errorf("%d rows, first %s", len(rows), rows[0].Name)
	}
	if note := r.layout.Tables[0].Note; note != "the 12 busiest of 15" {
		t.Errorf("note %q", note)
	}
}

func TestRecordBounds(t *testing.T) {
	reg := prometheus.NewRegistry()
	for i := range 300 {
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: fmt.Sprintf("g%03d", i)}, []string{"k"})
		reg.MustRegister(vec)
		for k := range maxSeries + 10 {
			vec.WithLabelValues(fmt.Sprint(k)).Set(1)
		}
	}
	r := newRecord()
	roll(t, r, reg, t0)
	if len(r.tracks) != maxTracks {
		t.Errorf("%d lines", len(r.tracks))
	}
	fam := r.layout.Groups[0].Families[0]
	if len(fam.Table.Rows) != maxSeries || fam.Omitted != 10 {
		t.Errorf("%d rows, %d omitted", len(fam.Table.Rows), fam.Omitted)
	}
	last := r.layout.Groups[len(r.layout.Groups)-1].Families[0].Table.Rows[0].Cells[0]
	if last.ID != -1 {
		t.Errorf("a line beyond the bound has the id %d", last.ID)
	}
}

// Where not all can be drawn, those are that something happens to.
func TestBusySeriesAreDrawnFirst(t *testing.T) {
	reg := prometheus.NewRegistry()
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c"}, []string{"k"})
	reg.MustRegister(vec)
	for i := range maxSeries + 20 {
		vec.WithLabelValues(fmt.Sprintf("%03d", i))
	}
	r := newRecord()
	roll(t, r, reg, t0)
	vec.WithLabelValues(fmt.Sprintf("%03d", maxSeries+7)).Inc()
	roll(t, r, reg, t0.Add(time.Second))
	fam := r.layout.Groups[0].Families[0]
	if got, want := fam.Table.Rows[0].Name, fmt.Sprintf("k=\"%03d\"", maxSeries+7); got != want || r.version != 2 {
		t.Errorf("first row %s in version %d, want %s in version 2", got, r.version, want)
	}
}

func TestLayout(t *testing.T) {
	reg := prometheus.NewRegistry()
	start := prometheus.NewGauge(prometheus.GaugeOpts{Name: "process_start_time_seconds"})
	start.Set(float64(t0.Add(-90 * time.Minute).Unix()))
	sum := prometheus.NewSummary(prometheus.SummaryOpts{Name: "go_gc_duration_seconds", Objectives: map[float64]float64{0.5: 0, 0.999: 0}})
	sum.Observe(0.002)
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_push_sent_bytes_total", Help: "Sent."}, []string{"a", "b"})
	vec.WithLabelValues("x", `q"<`).Add(2048)
	hist := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "http_seconds", Buckets: []float64{1}})
	reg.MustRegister(start, sum, vec, hist)
	r := newRecord()
	roll(t, r, reg, t0)
	vec.WithLabelValues("x", `q"<`).Add(1000)
	hist.Observe(0.5)
	roll(t, r, reg, t0.Add(time.Second))

	var got []string
	for _, g := range r.layout.Groups {
		for _, f := range g.Families {
			for _, row := range f.Table.Rows {
				var cells []string
				for _, c := range row.Cells {
					cells = append(cells, c.Name+" "+c.Text()+c.Suffix())
				}
				got = append(got, strings.Join([]string{g.Title, f.Name, f.Kind, row.Name, strings.Join(cells, ", ")}, " | "))
			}
		}
	}
	want := []string{
		`http | http_seconds | histogram |  | rate 1.00/s, p50 500 ms, p95 950 ms, p99 990 ms`,
		`push | furima_push_sent_bytes_total | counter | a="x", b="q\"<" | rate 1.00 kB/s, total 3.05 kB`,
		`Go runtime | go_gc_duration_seconds | summary |  | rate 0/s, p50 2.00 ms, p99.9 2.00 ms`,
		`process | process_start_time_seconds | gauge |  | age 1 h 30 min`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// BenchmarkSample is what one second of being looked at costs a process with
// as many metrics as an API of 60 routes.
func BenchmarkSample(b *testing.B) {
	reg := prometheus.NewRegistry()
	labels := []string{"route", "status"}
	count := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "furima_api_requests_total"}, labels)
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "furima_api_request_duration_seconds", Buckets: prometheus.ExponentialBuckets(1e-4, 2, 17)}, labels)
	reg.MustRegister(count, took)
	for i := range 60 {
		for _, status := range []string{"2xx", "3xx", "4xx", "5xx"} {
			count.WithLabelValues(fmt.Sprintf("GET /v1/%d", i), status).Inc()
			took.WithLabelValues(fmt.Sprintf("GET /v1/%d", i), status).Observe(0.001)
		}
	}
	r, at := newRecord(), t0
	b.ReportAllocs()
	for b.Loop() {
		mfs, err := reg.Gather()
		if err != nil {
			b.Fatal(err)
		}
		r.add(newSnapshot(at, mfs))
		r.appendFrame(nil)
		at = at.Add(time.Second)
	}
}
