package dash

import (
	"slices"
	"sort"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

const (
	// maxRows is how many rows a table under "Now" has; the rest is under "All
	// metrics".
	maxRows = 12
	// maxSeries is how many label sets of one metric are drawn.
	maxSeries = 40
)

// layout is the page's content: what panel.html renders.
type layout struct {
	Boot    string
	Version int
	Tiles   []tile
	Tables  []table
	Groups  []group

	Columns int // of tiles, where the page is wide

	always []string // keys of what is on the page: others make another version
	ranked []string // keys of rows that were picked by size
}

// tile is one figure with its chart.
type tile struct {
	Title string
	Main  cell
	Subs  []cell
	Chart chart
}

// chart names the lines to draw, over one another.
type chart struct {
	Title string
	Unit  unit
	Max   float64 // the scale reaches at least this far; 0 means none
	Lines []line
}

type line struct {
	ID    int
	Name  string
	Class string // how it is drawn: "main", "p50", "p95", "p99", "bad", "other"
}

// table is a list of rows under common headings.
type table struct {
	Title string
	Note  string
	Wide  bool     // takes the whole width
	Code  bool     // the rows' names are code
	Head  []string // of the cells; the row's name comes before
	Rows  []row
}

type row struct {
	Name  string
	Cells []cell
	Chart chart
}

// cell is one number. Bad ones are marked when they are above zero.
type cell struct {
	Name string
	ID   int
	Unit unit
	Top  float64
	Bad  bool
	V    float64
}

// Text is the number, and Suffix its unit.
func (c cell) Text() string   { return format(c.V, c.Unit, c.Top).text }
func (c cell) Suffix() string { return format(c.V, c.Unit, c.Top).suffix }

// Alarm reports whether the number is one that should be zero and is not.
func (c cell) Alarm() bool { return c.Bad && c.V > 0 }

// group is a subsystem under "All metrics".
type group struct {
	ID, Title string
	Families  []famView
}

// famView is one metric with all its label sets.
type famView struct {
	Name, Help, Kind string
	Find             string // what the search looks in
	Table            table
	Omitted          int // label sets that are not drawn
}

// builder lays the page out and writes the newest point of each line on the
// way.
type builder struct {
	*window
	rec  *record
	slot int
	keep map[string]bool // rows picked by size that must stay; nil picks anew
	l    *layout
}

func (b *builder) build() *layout {
	b.l = &layout{}
	b.buildNow()
	b.l.Columns = columns(len(b.l.Tiles))
	b.buildAll()
	return b.l
}

// columns is how many tiles go beside one another, so that as few places as
// possible stay empty in the last row.
func columns(n int) int {
	best := min(n, 6)
	for c := best; c >= 4; c-- {
		if (c-n%c)%c < (best-n%best)%best {
			best = c
		}
	}
	return best
}

// cell puts a number on the page and a point on the line with this key.
func (b *builder) cell(key, name string, u unit, v float64) cell {
	return cell{Name: name, ID: b.rec.track(key, b.slot, v), Unit: u, V: v}
}

func (c cell) bad() cell { c.Bad = true; return c }

// line draws the numbers of c.
func (c cell) line(class string) line { return line{ID: c.ID, Name: c.Name, Class: class} }

// buildAll lists every metric there is, by subsystem.
func (b *builder) buildAll() {
	groups := map[string]*group{}
	for _, f := range b.now.families {
		if len(f.series) == 0 {
			continue
		}
		id, title := subsystem(f.name)
		g := groups[id]
		if g == nil {
			g = &group{ID: id, Title: title}
			groups[id] = g
		}
		g.Families = append(g.Families, b.family(f))
	}
	for _, g := range groups {
		b.l.Groups = append(b.l.Groups, *g)
	}
	sort.Slice(b.l.Groups, func(i, j int) bool {
		a, c := b.l.Groups[i], b.l.Groups[j]
		if ra, rc := runtimeRank(a.ID), runtimeRank(c.ID); ra != rc {
			return ra < rc
		}
		return a.ID < c.ID
	})
}

// subsystem is the second word of our own metrics and the first of others.
func subsystem(name string) (id, title string) {
	words := strings.Split(name, "_")
	switch {
	case words[0] == "furima" && len(words) > 1:
		return words[1], words[1]
	case words[0] == "go":
		return "go", "Go runtime"
	case words[0] == "promhttp":
		return "promhttp", "metrics endpoint"
	}
	return words[0], words[0]
}

// runtimeRank puts what every Go program has after what is ours.
func runtimeRank(id string) int {
	switch id {
	case "go", "process", "promhttp":
		return 1
	}
	return 0
}

func (b *builder) family(f *family) famView {
	v := famView{Name: f.name, Help: f.help, Kind: strings.ToLower(f.kind.String()), Table: table{Code: true}}
	list := f.series
	if len(list) > maxSeries {
		v.Omitted = len(list) - maxSeries
		// What has never happened is left out first.
		list = slices.Clone(list)
		slices.SortStableFunc(list, func(x, y *series) int { return boolRank(total(y) > 0) - boolRank(total(x) > 0) })
		list = list[:maxSeries]
	}
	var find strings.Builder
	find.WriteString(f.name + " " + f.help)
	for _, s := range list {
		find.WriteString(" " + s.key)
		key := "all/" + f.name + "/" + s.key + "/"
		b.l.always = append(b.l.always, key)
		r := b.seriesRow(key, f, s)
		r.Name = s.key
		r.Chart.Title = f.name
		if s.key != "" {
			r.Chart.Title += "{" + s.key + "}"
		}
		v.Table.Rows = append(v.Table.Rows, r)
	}
	for _, c := range v.Table.Rows[0].Cells {
		v.Table.Head = append(v.Table.Head, c.Name)
	}
	v.Find = strings.ToLower(find.String())
	return v
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// seriesRow shows one label set by the kind of its metric.
func (b *builder) seriesRow(key string, f *family, s *series) row {
	u := unitOf(f.name)
	one := []*series{s}
	switch f.kind {
	case dto.MetricType_COUNTER:
		rate := b.cell(key+"rate", "rate", perSecond(u), b.rate(f.name, one))
		total := b.cell(key+"total", "total", u, s.value)
		return row{Cells: []cell{rate, total}, Chart: chart{Unit: rate.Unit, Lines: []line{rate.line("main")}}}
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		rate := b.cell(key+"rate", "rate", unitPerSecond, b.rate(f.name, one))
		qs := b.quantileCells(key, f.name, one)
		return row{Cells: append([]cell{rate}, qs...), Chart: quantileChart(qs)}
	case dto.MetricType_SUMMARY:
		r := row{Cells: []cell{b.cell(key+"rate", "rate", unitPerSecond, b.rate(f.name, one))}, Chart: chart{Unit: u}}
		for _, q := range s.quantiles {
			name := "p" + strings.TrimSuffix(format(q.q*100, unitNone, 0).text, ".0")
			c := b.cell(key+name, name, u, q.value)
			r.Cells = append(r.Cells, c)
			r.Chart.Lines = append(r.Chart.Lines, c.line("main"))
		}
		if len(r.Chart.Lines) == 0 {
			r.Chart = chart{Unit: unitPerSecond, Lines: []line{r.Cells[0].line("main")}}
		}
		return r
	}
	v := s.value
	name := "value"
	if isTimestamp(f.name) && v > 0 {
		name, v = "age", float64(b.now.at.UnixMilli())/1000-v
	}
	c := b.cell(key+"value", name, u, v)
	return row{Cells: []cell{c}, Chart: chart{Unit: u, Lines: []line{c.line("main")}}}
}

// quantileCells are p50, p95 and p99 of some label sets of a histogram.
func (b *builder) quantileCells(key, name string, list []*series) []cell {
	values, top := b.quantiles(name, list, 0.5, 0.95, 0.99)
	cells := make([]cell, 0, 3)
	for i, q := range []string{"p50", "p95", "p99"} {
		c := b.cell(key+q, q, unitOf(name), values[i])
		c.Top = top
		cells = append(cells, c)
	}
	return cells
}

func quantileChart(qs []cell) chart {
	c := chart{Unit: qs[0].Unit}
	for i := len(qs) - 1; i >= 0; i-- { // p99 under p50
		c.Lines = append(c.Lines, qs[i].line(qs[i].Name))
	}
	return c
}
