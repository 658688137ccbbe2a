package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

func median(runs []measurement, of func(measurement) float64) float64 {
	values := make([]float64, len(runs))
	for i, m := range runs {
		values[i] = of(m)
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 0 {
		return (values[mid-1] + values[mid]) / 2
	}
	return values[mid]
}

func report(o options, contestants []contestant) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Warming once\n\n")
	fmt.Fprintf(&b, "%d combinations, origin on the same machine that sleeps %s and answers %d bytes, %d at once. Medians of %d interleaved runs; "+
		"memory is the largest proportional set size of extra runs. CPU is user and system time of the whole process, start included. "+
		"Connections is how many the origin accepted, peak how many were open at once.\n\n",
		o.n, o.latency, o.body, o.workers, o.runs)
	fmt.Fprintf(&b, "| | wall s | CPU s | PSS MiB | connections | peak |\n|---|---|---|---|---|---|\n")
	for _, c := range contestants {
		fmt.Fprintf(&b, "| %s | %.3f | %.3f | %.1f | %.0f | %.0f |\n", c.name,
			median(c.runs, func(m measurement) float64 { return m.wall }),
			median(c.runs, func(m measurement) float64 { return m.cpu }),
			median(c.memory, func(m measurement) float64 { return m.pss }),
			median(c.runs, func(m measurement) float64 { return float64(m.Accepted) }),
			median(c.runs, func(m measurement) float64 { return float64(m.Peak) }))
	}
	b.WriteString("\nEvery run, wall s / CPU s:\n\n")
	for _, c := range contestants {
		fmt.Fprintf(&b, "- %s:", c.name)
		for _, m := range c.runs {
			fmt.Fprintf(&b, " %.3f/%.3f", m.wall, m.cpu)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\nCommand, in the folder bench: `%s`\n\n", command())
	fmt.Fprintf(&b, "%s, %s, %d processors (%s), %s, %s\n", time.Now().UTC().Format(time.DateOnly),
		runtime.Version(), runtime.NumCPU(), processor(), kernel(), version(o.curl))
	return b.String()
}

// command is what was typed, without where the program was built.
func command() string {
	return strings.TrimSpace("go run ./warm " + strings.Join(os.Args[1:], " "))
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(text))
}

func version(program string) string {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return program
	}
	fields := strings.Fields(first(string(out)))
	return strings.Join(fields[:min(2, len(fields))], " ")
}
