package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/furima/furima/bench/report"
)

type measurement struct {
	o      options
	dir    string
	report *report.Report
}

// deliver measures the way from the request to the provider.
func (m *measurement) deliver(ctx context.Context) error {
	t := m.report.Table("Delivered", "stand-in", "a request holds", "delivered/s", "CPU s / 100,000", "peak RSS MiB", "at /s", "p50 ms", "p99 ms")
	m.report.Text("Delivered/s: all requests at once, from the first request to the last delivery. CPU: of the gateway, for that. "+
		"p50 and p99: from handing the request to the gateway to the provider's reading the notification, at the steady rate in the column before, about %d %% of the highest.", steadyShare)
	m.report.Text("The load and the stand-in share the machine with the gateway and take most of the rest of its CPU.")
	for _, mode := range []string{modeFast, mode50ms, modeSingle} {
		for _, s := range shapes {
			if !chosen(m.o.modes, mode) || !chosen(m.o.shapes, s.key) {
				continue
			}
			d, err := m.deliverOne(ctx, mode, s)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", modeNames[mode], s.name, err)
			}
			t.Row(modeNames[mode], s.name, report.Rate(d.rate), fmt.Sprintf("%.2f", d.cpu), mib(d.peak), report.Rate(d.steady), report.Ms(d.p50), report.Ms(d.p99))
			progress("%s, %s: %s/s, %.2f CPU s per 100,000 (load %.2f, stand-in %.2f), peak %s MiB; at %s/s p50 %s ms, p99 %s ms",
				modeNames[mode], s.name, report.Rate(d.rate), d.cpu, d.loadCPU, d.appleCPU, mib(d.peak), report.Rate(d.steady), report.Ms(d.p50), report.Ms(d.p99))
		}
	}
	return nil
}

// steadyShare is the share of the highest rate at which latency is measured.
const steadyShare = 50

type delivered struct {
	rate, cpu         float64 // a second; seconds per 100,000
	loadCPU, appleCPU float64
	peak              int64
	steady            float64
	p50, p99          time.Duration
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f", float64(bytes)/(1<<20)) }

// stage starts a stand-in and a gateway, and lets the first messages pass, for
// which Apple's clients must go slowly.
func (m *measurement) stage(ctx context.Context, mode string) (*provider, *gateway, error) {
	p, err := startApple(ctx, m.dir, mode)
	if err != nil {
		return nil, nil, err
	}
	g, err := startGateway(ctx, m.o, m.dir, p.addr)
	if err != nil {
		p.stop()
		return nil, nil, err
	}
	if mode == modeSilent {
		return p, g, nil
	}
	warm := shape{notifications: 100, tokens: 1, conns: 4}
	const requests = 50
	_, err = load(ctx, g.addr, warm, requests, 0, 0)
	if err == nil {
		_, err = m.drained(ctx, p, requests*int64(warm.messages()))
	}
	if err == nil {
		_, err = p.ask("reset")
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, g.lastLines())
		g.stop()
		p.stop()
		return nil, nil, err
	}
	return p, g, nil
}

// drained waits until the stand-in has received n messages.
func (m *measurement) drained(ctx context.Context, p *provider, n int64) (appleStats, error) {
	last, since := int64(-1), time.Now()
	for {
		s, err := p.ask("stats")
		if err != nil || s.Count >= n {
			return s, err
		}
		if s.Count != last {
			last, since = s.Count, time.Now()
		}
		if time.Since(since) > 20*time.Second {
			return s, fmt.Errorf("%d of %d arrived, and then no more", s.Count, n)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

func (m *measurement) deliverOne(ctx context.Context, mode string, s shape) (d delivered, err error) {
	p, g, err := m.stage(ctx, mode)
	if err != nil {
		return d, err
	}
	defer p.stop()
	defer g.stop()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, g.lastLines())
		}
	}()
	requests := max(1, int64(float64(s.total)*m.o.scale)/int64(s.messages()))
	total := requests * int64(s.messages())
	profiled := g.profile(m.o.pprof, mode+"-"+s.key, time.Duration(float64(5*time.Second)*m.o.scale))
	apple0, err := p.ask("reset")
	if err != nil {
		return d, err
	}
	cpu, own, began := g.cpu(), report.CPU(), time.Now()
	if _, err := load(ctx, g.addr, s, requests, 0, 0); err != nil {
		return d, err
	}
	own = report.CPU() - own
	stats, err := m.drained(ctx, p, total)
	if err != nil {
		return d, err
	}
	if stats.Count != total {
		return d, fmt.Errorf("%d messages arrived of %d", stats.Count, total)
	}
	took := time.Unix(0, stats.Last).Sub(began)
	settle(ctx, g)
	each := 100_000 / float64(total)
	d.rate = float64(total) / took.Seconds()
	d.cpu = (g.cpu() - cpu).Seconds() * each
	d.loadCPU, d.appleCPU = own.Seconds()*each, (stats.CPU-apple0.CPU).Seconds()*each
	_, d.peak = g.memory()
	profiled()
	return d, m.steady(ctx, p, g, s, &d)
}

// settle waits until a gateway has written down what it has done.
func settle(ctx context.Context, g *gateway) {
	for last := time.Duration(-1); ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		now := g.cpu()
		if now-last <= 10*time.Millisecond {
			return
		}
		last = now
	}
}

// steady measures latency at a rate that can be kept up.
func (m *measurement) steady(ctx context.Context, p *provider, g *gateway, s shape, d *delivered) error {
	rate := d.rate * steadyShare / 100 / float64(s.messages())
	requests := int64(rate * m.o.seconds.Seconds())
	if _, err := p.ask("reset"); err != nil {
		return err
	}
	got, err := load(ctx, g.addr, s, requests, rate, 0)
	if err != nil {
		return err
	}
	stats, err := m.drained(ctx, p, got.requests*int64(s.messages()))
	if err != nil {
		return err
	}
	d.steady = float64(got.requests) / got.took.Seconds() * float64(s.messages())
	d.p50, d.p99 = stats.Latency.percentile(50), stats.Latency.percentile(99)
	return nil
}

// intake measures how fast single notifications are taken, while the provider
// answers nothing.
func (m *measurement) intake(ctx context.Context) error {
	t := m.report.Table("Intake: requests of one notification, on disk when answered; nothing is delivered meanwhile", "connections", "asked for", "requests/s", "p50 ms", "p99 ms", "CPU s / 100,000")
	m.report.Text("Asked for: as many as there can be, one after the other on each connection, or so many a second, where a request that is late counts from when it was due.")
	for _, in := range []struct {
		conns int
		rate  float64
	}{{conns: 16}, {conns: 64}, {conns: 96}, {conns: 128}, {conns: 256}, {conns: 128, rate: 20_000}, {conns: 128, rate: 10_000}} {
		conns := in.conns
		p, g, err := m.stage(ctx, modeSilent)
		if err != nil {
			return err
		}
		s := shape{notifications: 1, tokens: 1, conns: conns}
		err = func() error {
			defer p.stop()
			defer g.stop()
			if _, err := load(ctx, g.addr, s, 10_000, 0, 0); err != nil {
				return err
			}
			profiled := g.profile(m.o.pprof, fmt.Sprint("intake-", conns), m.o.seconds)
			cpu := g.cpu()
			got, err := load(ctx, g.addr, s, 0, in.rate, m.o.seconds)
			if err != nil {
				return err
			}
			used := (g.cpu() - cpu).Seconds() * 100_000 / float64(got.requests)
			profiled()
			rate := float64(got.requests) / got.took.Seconds()
			asked := "most"
			if in.rate > 0 {
				asked = report.Rate(in.rate) + "/s"
			}
			t.Row(conns, asked, report.Rate(rate), report.Ms(got.latency.percentile(50)), report.Ms(got.latency.percentile(99)), fmt.Sprintf("%.2f", used))
			progress("intake, %d connections, %s: %s requests/s, p50 %s ms, p99 %s ms, %.2f CPU s per 100,000",
				conns, asked, report.Rate(rate), report.Ms(got.latency.percentile(50)), report.Ms(got.latency.percentile(99)), used)
			return nil
		}()
		if err != nil {
			return err
		}
	}
	return nil
}

// waitingMemory measures what a backlog costs in memory.
func (m *measurement) waitingMemory(ctx context.Context) error {
	t := m.report.Table(fmt.Sprintf("Memory with %s waiting, the provider silent", report.Rate(float64(m.o.waiting))), "a request holds", "accepted/s", "RSS MiB", "peak RSS MiB")
	for _, s := range shapes {
		if !chosen(m.o.shapes, s.key) || s.key == "one" && m.o.quick {
			continue
		}
		p, g, err := m.stage(ctx, modeSilent)
		if err != nil {
			return err
		}
		got, err := load(ctx, g.addr, s, int64(m.o.waiting/s.messages()), 0, 0)
		if err == nil {
			// What is left is what stays; the provider has been silent all the time.
			settle(ctx, g)
			now, peak := g.memory()
			rate := float64(m.o.waiting) / got.took.Seconds()
			t.Row(s.name, report.Rate(rate), mib(now), mib(peak))
			progress("%d waiting, %s: accepted %s/s, RSS %s MiB, peak %s MiB", m.o.waiting, s.name, report.Rate(rate), mib(now), mib(peak))
			if ctx.Err() != nil {
				err = ctx.Err()
			}
		} else {
			err = errors.Join(err, errors.New(g.lastLines()))
		}
		g.stop()
		p.stop()
		if err != nil {
			return err
		}
	}
	return nil
}
