package dash

import (
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// snapshot is what the registry held at one instant.
type snapshot struct {
	at       time.Time
	families []*family // by name
	byName   map[string]*family
}

// family is one metric with all its label sets.
type family struct {
	name, help string
	kind       dto.MetricType
	series     []*series // by labels
	byKey      map[string]*series
}

// series is one metric with one label set.
type series struct {
	key    string // the labels in Prometheus' notation; "" without labels
	labels []label

	value     float64    // counter, gauge, untyped
	count     float64    // histogram, summary
	sum       float64    // histogram, summary
	buckets   []bucket   // histogram, ascending; the last is +Inf
	quantiles []quantile // summary
}

type label struct{ name, value string }

// bucket counts the observations up to and including upper.
type bucket struct{ upper, count float64 }

type quantile struct{ q, value float64 }

func (s *series) label(name string) string {
	for _, l := range s.labels {
		if l.name == name {
			return l.value
		}
	}
	return ""
}

func newSnapshot(at time.Time, mfs []*dto.MetricFamily) *snapshot {
	sn := &snapshot{at: at, byName: make(map[string]*family, len(mfs))}
	for _, mf := range mfs {
		f := &family{name: mf.GetName(), help: mf.GetHelp(), kind: mf.GetType(), byKey: make(map[string]*series, len(mf.Metric))}
		for _, m := range mf.Metric {
			s := newSeries(m)
			f.series = append(f.series, s)
			f.byKey[s.key] = s
		}
		sort.Slice(f.series, func(i, j int) bool { return f.series[i].key < f.series[j].key })
		sn.families = append(sn.families, f)
		sn.byName[f.name] = f
	}
	sort.Slice(sn.families, func(i, j int) bool { return sn.families[i].name < sn.families[j].name })
	return sn
}

func newSeries(m *dto.Metric) *series {
	s := &series{}
	for _, l := range m.Label {
		s.labels = append(s.labels, label{l.GetName(), l.GetValue()})
	}
	s.key = labelText(s.labels)
	switch {
	case m.Counter != nil:
		s.value = m.Counter.GetValue()
	case m.Gauge != nil:
		s.value = m.Gauge.GetValue()
	case m.Untyped != nil:
		s.value = m.Untyped.GetValue()
	case m.Summary != nil:
		s.count, s.sum = float64(m.Summary.GetSampleCount()), m.Summary.GetSampleSum()
		for _, q := range m.Summary.Quantile {
			s.quantiles = append(s.quantiles, quantile{q.GetQuantile(), q.GetValue()})
		}
	case m.Histogram != nil:
		s.count, s.sum = float64(m.Histogram.GetSampleCount()), m.Histogram.GetSampleSum()
		for _, b := range m.Histogram.Bucket {
			s.buckets = append(s.buckets, bucket{b.GetUpperBound(), float64(b.GetCumulativeCount())})
		}
		// The last bucket is implied when it is not there.
		if n := len(s.buckets); n > 0 && !math.IsInf(s.buckets[n-1].upper, 1) {
			s.buckets = append(s.buckets, bucket{math.Inf(1), s.count})
		}
	}
	return s
}

func labelText(labels []label) string {
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.name)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(l.value))
	}
	return b.String()
}
