package dash

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// film takes snapshots of a registry at given times.
type film struct {
	t     *testing.T
	reg   *prometheus.Registry
	snaps []*snapshot
	first firstSeen
}

func newFilm(t *testing.T) *film {
	return &film{t: t, reg: prometheus.NewRegistry(), first: firstSeen{}}
}

func (f *film) at(secs float64) *window {
	f.t.Helper()
	mfs, err := f.reg.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	sn := newSnapshot(t0.Add(time.Duration(secs*float64(time.Second))), mfs)
	f.snaps = append(f.snaps, sn)
	f.first.add(sn)
	return newWindow(f.snaps, f.first)
}

func (f *film) rate(w *window, name string) float64 {
	f.t.Helper()
	fam := w.now.byName[name]
	if fam == nil {
		f.t.Fatalf("no %s", name)
	}
	return w.rate(name, fam.series)
}

func wantNumber(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestRate(t *testing.T) {
	f := newFilm(t)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "c"})
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h"})
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s"})
	f.reg.MustRegister(c, h, s)
	c.Add(1000)
	w := f.at(0)
	wantNumber(t, "rate of a single snapshot", f.rate(w, "c"), nan)

	c.Add(30)
	for range 6 {
		h.Observe(1)
		s.Observe(1)
	}
	w = f.at(1.5)
	wantNumber(t, "rate over 1.5 s", f.rate(w, "c"), 20)
	wantNumber(t, "observations of a histogram", f.rate(w, "h"), 4)
	wantNumber(t, "observations of a summary", f.rate(w, "s"), 4)

	for i := range 20 {
		c.Add(7)
		w = f.at(2.5 + float64(i))
	}
	wantNumber(t, "rate over the window", f.rate(w, "c"), 7)
	c.Add(12)
	w = f.at(24.5) // the newest within five seconds is three seconds old
	wantNumber(t, "rate after a pause", f.rate(w, "c"), (12.0+7+7)/5)
	w = f.at(54.5) // nothing within five seconds: a page that reloads itself
	wantNumber(t, "rate since the last look", f.rate(w, "c"), 0)
	c.Add(100)
	w = f.at(154.5)
	wantNumber(t, "rate since a look too long ago", f.rate(w, "c"), nan)
}

func TestRateOfSeriesThatComeAndGo(t *testing.T) {
	f := newFilm(t)
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "v"}, []string{"k"})
	steady := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
	steady.Add(5000)
	f.reg.MustRegister(vec, steady)
	f.at(0)
	vec.WithLabelValues("a").Add(3) // the vector had no series before
	w := f.at(1)
	wantNumber(t, "a new series began at zero", f.rate(w, "v"), 3)
	vec.WithLabelValues("b").Add(8)
	w = f.at(2)
	wantNumber(t, "two new series", f.rate(w, "v"), 11.0/2)

	f.reg.Unregister(steady) // a collector that fails now and then
	f.at(3)
	f.at(4)
	f.reg.MustRegister(steady)
	f.snaps = f.snaps[3:]
	w = f.at(5)
	wantNumber(t, "a series that had been missing", f.rate(w, "x"), nan)

	f.at(6)
	vec.Reset()
	vec.WithLabelValues("a").Add(2)
	w = f.at(7)
	wantNumber(t, "a counter that began again", w.rate("v", w.now.byName["v"].series), 2.0/4)
}

func TestQuantiles(t *testing.T) {
	f := newFilm(t)
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "h", Buckets: []float64{1, 2, 4}}, []string{"k"})
	f.reg.MustRegister(vec)
	ask := func(w *window, q float64) float64 {
		v, _ := w.quantiles("h", w.now.byName["h"].series, q)
		return v[0]
	}
	for range 1000 {
		vec.WithLabelValues("a").Observe(3.9) // long ago
	}
	w := f.at(0)
	wantNumber(t, "of a single snapshot", ask(w, 0.5), nan)
	w = f.at(1)
	wantNumber(t, "without observations", ask(w, 0.5), nan)

	for range 10 {
		vec.WithLabelValues("a").Observe(0.5)
		vec.WithLabelValues("b").Observe(1.5)
	}
	w = f.at(2)
	wantNumber(t, "p50 of two series together", ask(w, 0.5), 1)
	wantNumber(t, "p25, linear within a bucket", ask(w, 0.25), 0.5)
	wantNumber(t, "p75", ask(w, 0.75), 1.5)
	wantNumber(t, "p100", ask(w, 1), 2)
	wantNumber(t, "p0", ask(w, 0), 0)

	vec.WithLabelValues("b").Observe(100)
	w = f.at(3)
	v, top := w.quantiles("h", w.now.byName["h"].series, 0.5, 0.99)
	wantNumber(t, "above the highest bound", v[1], 4)
	wantNumber(t, "top", top, 4)

	for i := range 20 { // what was observed leaves the window
		w = f.at(4 + float64(i))
	}
	wantNumber(t, "when the window has passed", ask(w, 0.5), nan)
}

func TestQuantilesOfDifferentBounds(t *testing.T) {
	mk := func(bounds ...float64) *series {
		s := &series{count: 1}
		for _, u := range append(bounds, math.Inf(1)) {
			s.buckets = append(s.buckets, bucket{u, 1})
		}
		return s
	}
	sn := &snapshot{at: t0, byName: map[string]*family{}}
	w := &window{now: sn, quanBase: sn, first: firstSeen{{"h", ""}: t0.Add(time.Second)}}
	for _, list := range [][]*series{{mk(1, 2), mk(1, 3)}, {mk(1, 2), mk(1)}, {{}}} {
		v, _ := w.quantiles("h", list, 0.5)
		wantNumber(t, "quantile", v[0], nan)
	}
}

// The estimate lies in the bucket of the true quantile.
func TestQuantileProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bounds := []float64{-1, 0, 0.5, 1, 2, 5, 10}
		obs := rapid.SliceOfN(rapid.Float64Range(-3, 9.99), 1, 200).Draw(t, "obs")
		q := rapid.Float64Range(0.001, 1).Draw(t, "q")
		reg := prometheus.NewRegistry()
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: bounds})
		reg.MustRegister(h)
		for _, o := range obs {
			h.Observe(o)
		}
		mfs, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := bucketQuantile(q, newSnapshot(t0, mfs).byName["h"].series[0].buckets)
		slices.Sort(obs)
		exact := obs[max(int(math.Ceil(q*float64(len(obs))-1e-12)), 1)-1]
		i, _ := slices.BinarySearch(bounds, exact)
		lower := math.Inf(-1)
		if i > 0 {
			lower = bounds[i-1]
		}
		if got < lower || got > bounds[i] {
			t.Fatalf("estimate %v of %v is outside of (%v, %v]", got, exact, lower, bounds[i])
		}
	})
}
