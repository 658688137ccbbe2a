// Package report is what the load programs of bench have in common: what they
// say about the machine, CPU seconds, percentiles and Markdown tables.
//
//	r := report.New("job", "the durable queue")
//	t := r.Table("Enqueue", "engine", "jobs/s")
//	t.Row("sqlite", report.Rate(12345))
//	err := r.Write("results/job.md")
//
// A Report belongs to one goroutine.
package report

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Report collects what a load program has measured.
type Report struct {
	title string
	notes []string
	body  []fmt.Stringer
}

// New begins a report. Its head names the machine, the versions and the command.
func New(title string) *Report {
	return &Report{title: title}
}

// Note adds a line to the head.
func (r *Report) Note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

type paragraph string

func (p paragraph) String() string { return string(p) + "\n" }

// Text adds a paragraph.
func (r *Report) Text(format string, args ...any) {
	r.body = append(r.body, paragraph(fmt.Sprintf(format, args...)))
}

// Table adds a table. Rows may be added to it until the report is written.
func (r *Report) Table(title string, columns ...string) *Table {
	t := &Table{title: title, rows: [][]string{columns}}
	r.body = append(r.body, t)
	return t
}

// Table is a table of a report.
type Table struct {
	title string
	rows  [][]string
}

// Row adds a row.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

func (t *Table) String() string {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c), 3)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", t.title)
	line := func(row []string) {
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if i == 0 {
				fmt.Fprintf(&b, "| %s%s |", c, pad)
			} else {
				fmt.Fprintf(&b, " %s%s |", pad, c)
			}
		}
		b.WriteByte('\n')
	}
	line(t.rows[0])
	for i, w := range widths {
		if i == 0 {
			fmt.Fprintf(&b, "|%s|", strings.Repeat("-", w+2))
		} else {
			fmt.Fprintf(&b, "%s:|", strings.Repeat("-", w+1))
		}
	}
	b.WriteByte('\n')
	for _, row := range t.rows[1:] {
		line(row)
	}
	return b.String()
}

// String is the report in Markdown.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", r.title)
	for _, n := range append(machine(), r.notes...) {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	for _, part := range r.body {
		fmt.Fprintf(&b, "\n%s", part)
	}
	return b.String()
}

// Write writes the report to a file, whole or not at all.
func (r *Report) Write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(r.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// machine says where and how something was measured.
func machine() []string {
	var u syscall.Utsname
	kernel := ""
	if syscall.Uname(&u) == nil {
		var b []byte
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			b = append(b, byte(c))
		}
		kernel = ", Linux " + string(b)
	}
	lines := []string{
		"date: " + time.Now().UTC().Format("2006-01-02"),
		fmt.Sprintf("machine: %d × %s, %s of memory%s", runtime.NumCPU(), cpuModel(), memory(), kernel),
		"Go: " + runtime.Version(),
	}
	if load := firstField("/proc/loadavg"); load != "" {
		lines = append(lines, "load of the machine when this was written: "+load)
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		lines = append(lines, "commit: "+strings.TrimSpace(string(out)))
	}
	return append(lines, "command: go run ./"+filepath.Base(os.Args[0])+" "+strings.Join(os.Args[1:], " "))
}

func cpuModel() string {
	for name, value := range fields("/proc/cpuinfo") {
		if name == "model name" {
			return value
		}
	}
	return runtime.GOARCH
}

func memory() string {
	for name, value := range fields("/proc/meminfo") {
		if name == "MemTotal" {
			if kib, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64); err == nil {
				return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
			}
		}
	}
	return "?"
}

// fields yields the "name: value" lines of a file of /proc.
func fields(path string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		data, _ := os.ReadFile(path)
		for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
			name, value, ok := strings.Cut(s.Text(), ":")
			if ok && !yield(strings.TrimSpace(name), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

func firstField(path string) string {
	data, _ := os.ReadFile(path)
	first, _, _ := strings.Cut(string(data), " ")
	return first
}

// CPU returns the user and system time of this process.
func CPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// CPUOf returns the user and system time of another process; 0 if there is none.
func CPUOf(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in brackets may hold spaces; what follows it is fields from the third on.
	_, rest, _ := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ
}

// RSS returns the resident memory of this process in bytes.
func RSS() int64 {
	for name, value := range fields("/proc/self/status") {
		if name == "VmRSS" {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// Median returns the middle one of some values.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Percentile returns the value below which p percent of the sorted ones lie.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(float64(len(sorted))*p/100), len(sorted)-1)]
}

// Rate formats a number a second.
func Rate(v float64) string {
	s := strconv.FormatInt(int64(v), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Ms formats a duration in milliseconds.
func Ms(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 2, 64)
}

// Print writes the report for people to read.
func (r *Report) Print(w io.Writer) { _, _ = io.WriteString(w, r.String()) }
