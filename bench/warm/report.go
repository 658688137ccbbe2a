package main

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/furima/furima/bench/report"
)

func makeReport(o options, contestants []contestant) *report.Report {
	r := report.New("Warming once")
	r.Note("curl: %s", version(o.curl))
	r.Text("%d combinations, an origin on the same machine that sleeps %s and answers %d bytes, %d requests at once. "+
		"Medians of %d interleaved runs, each a process of its own. CPU is user and system time of the whole process, its start included. "+
		"Connections is how many the origin accepted, at once how many it had open together. Memory is the proportional set size in runs of their own, "+
		"since reading it costs the process time: its median over a run, and the largest value, which is that of the start.",
		o.n, o.latency, o.body, o.workers, o.runs)
	t := r.Table("Results", "", "wall s", "CPU s", "connections", "at once", "PSS MiB", "largest")
	for _, c := range contestants {
		t.Row(c.name,
			fmt.Sprintf("%.3f", median(c.runs, func(m measurement) float64 { return m.wall })),
			fmt.Sprintf("%.3f", median(c.runs, func(m measurement) float64 { return m.cpu })),
			median(c.runs, func(m measurement) float64 { return float64(m.Accepted) }),
			median(c.runs, func(m measurement) float64 { return float64(m.Peak) }),
			fmt.Sprintf("%.1f", median(c.memory, func(m measurement) float64 { return m.pss })),
			fmt.Sprintf("%.1f", median(c.memory, func(m measurement) float64 { return m.peak })))
	}
	all := r.Table("Every run, wall s / CPU s", "", "runs")
	for _, c := range contestants {
		var runs []string
		for _, m := range c.runs {
			runs = append(runs, fmt.Sprintf("%.3f / %.3f", m.wall, m.cpu))
		}
		all.Row(c.name, strings.Join(runs, ", "))
	}
	return r
}

func median(runs []measurement, of func(measurement) float64) float64 {
	values := make([]float64, len(runs))
	for i, m := range runs {
		values[i] = of(m)
	}
	return report.Median(values)
}

func version(program string) string {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return program
	}
	fields := strings.Fields(first(string(out)))
	return strings.Join(fields[:min(2, len(fields))], " ")
}
