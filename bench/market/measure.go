package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/bench/report"
	"github.com/furima/furima/client"
)

// kind is a kind of read: its URLs are asked for in turn.
type kind struct {
	name  string
	paths []string
}

// The words of the sample market: in many titles, in some, in few; of one, two
// and more characters; in Japanese and English; alone and together.
var words = []string{
	"椅子", "木製", "本", "棚", "スニーカー", "ジャケット", "デニム", "美品", "いす", "マグカップ", "新品未使用",
	"wooden", "jacket", "coffee", "size M", "like new", "本棚 木製", "チェア 木製", "Komorebi", "送料込み",
}

// kinds returns what is read of a market: the same questions for each size.
func (p *place) kinds(ctx context.Context) ([]kind, error) {
	catalog, err := p.client.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	path := func(q client.ItemQuery) string {
		q.Limit = 30
		return "/v1/items?" + q.Values().Encode()
	}
	all := []kind{{name: "newest"}, {name: "category"}, {name: "category by price"}, {name: "search"}, {name: "search by price"}, {name: "search in a category"}, {name: "brand and condition"}, {name: "detail"}}
	q := client.ItemQuery{Limit: 30}
	for range 20 { // pages of the list of everything, and the items on them
		all[0].paths = append(all[0].paths, path(q))
		page, err := p.client.Items(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			all[7].paths = append(all[7].paths, "/v1/items/"+item.ID)
		}
		q.Cursor = page.NextCursor
	}
	var walk func([]client.Category)
	walk = func(categories []client.Category) {
		for _, c := range categories {
			all[1].paths = append(all[1].paths, path(client.ItemQuery{Category: c.ID}))
			all[2].paths = append(all[2].paths, path(client.ItemQuery{Category: c.ID, Sort: client.SortPriceAsc}))
			walk(c.Children)
		}
	}
	walk(catalog.Categories)
	for i, w := range words {
		all[3].paths = append(all[3].paths, path(client.ItemQuery{Text: w}))
		all[4].paths = append(all[4].paths, path(client.ItemQuery{Text: w, Sort: client.SortPriceAsc}))
		all[5].paths = append(all[5].paths, path(client.ItemQuery{Text: w, Category: catalog.Categories[i%len(catalog.Categories)].ID}))
	}
	for i, b := range catalog.Brands {
		all[6].paths = append(all[6].paths, path(client.ItemQuery{Brand: b.ID, Condition: catalog.Conditions[i%3].ID}))
	}
	return all, nil
}

// measured is what the rounds of one kind at one place have found.
type measured struct {
	rates, cpu []float64 // a second; µs each
	latencies  []time.Duration
}

func (m *measured) add(n int, took, cpu time.Duration, latencies []time.Duration) {
	m.rates = append(m.rates, float64(n)/took.Seconds())
	m.cpu = append(m.cpu, float64(cpu.Microseconds())/float64(max(n, 1)))
	m.latencies = append(m.latencies, latencies...)
}

func (m *measured) percentile(p float64) time.Duration {
	slices.Sort(m.latencies)
	return report.Percentile(m.latencies, p)
}

// reads measures every kind of read at every place, in turn.
func reads(ctx context.Context, f flags, t tables, e engine, all []*place) error {
	kinds := make([][]kind, len(all))
	for i, p := range all {
		var err error
		if kinds[i], err = p.kinds(ctx); err != nil {
			return err
		}
	}
	for k := range kinds[0] {
		found := make([]measured, len(all))
		for round := range f.rounds + 1 { // the first fills the memory of the engine
			for i, p := range all {
				m := &found[i]
				if round == 0 {
					m = &measured{}
				}
				if err := p.read(ctx, kinds[i][k].paths, f.seconds, m); err != nil {
					return fmt.Errorf("%s, %s of %d items: %w", e.name, kinds[i][k].name, p.items, err)
				}
			}
		}
		for i, p := range all {
			m, name := &found[i], kinds[i][k].name
			p50, p99 := m.percentile(50), m.percentile(99)
			t.reads.Row(e.name, p.items, name, report.Rate(report.Median(m.rates)), report.Ms(p50), report.Ms(p99), fmt.Sprintf("%.0f", report.Median(m.cpu)))
			if i > 0 {
				t.growth.Row(e.name, p.items, name, ratio(p50, found[0].percentile(50)), ratio(p99, found[0].percentile(99)))
			}
			fmt.Fprintf(os.Stderr, "%s, %d items, %s: %s/s, p50 %s ms, p99 %s ms\n", e.name, p.items, name, report.Rate(report.Median(m.rates)), report.Ms(p50), report.Ms(p99))
		}
	}
	return nil
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", float64(a)/float64(max(b, 1))) }

// read asks for the paths in turn, for the time of a measurement.
func (p *place) read(ctx context.Context, paths []string, seconds float64, m *measured) error {
	var next atomic.Int64
	latencies, errs := make([][]time.Duration, p.f.clients), make([]error, p.f.clients)
	cpu, began := p.cpu(), time.Now()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	var wg sync.WaitGroup
	for c := range p.f.clients {
		wg.Go(func() {
			for t := time.Now(); t.Before(end) && errs[c] == nil; {
				errs[c] = p.get(ctx, paths[int(next.Add(1))%len(paths)])
				now := time.Now()
				latencies[c] = append(latencies[c], now.Sub(t))
				t = now
			}
		})
	}
	wg.Wait()
	all := slices.Concat(latencies...)
	m.add(len(all), time.Since(began), p.cpu()-cpu, all)
	return errors.Join(errs...)
}

func (p *place) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Furima-Refresh", secret)
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return nil
}

// purchases has people buy what is newest, each another item.
func purchases(ctx context.Context, f flags, t tables, e engine, p *place) error {
	buyers := make([]*client.Client, f.buyers)
	for i := range buyers {
		session, err := p.client.Register(ctx, client.Registration{
			Email: fmt.Sprintf("bench%d@example.com", i), Password: "a bench's long password", Name: fmt.Sprint("Bench ", i),
		})
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		buyers[i] = p.client.WithToken(session.Token)
	}
	var stock []client.ItemSummary
	for item, err := range p.client.AllItems(ctx, client.ItemQuery{Limit: client.MaxItems}) {
		if err != nil {
			return err
		}
		if stock = append(stock, item); len(stock) == 6000 {
			break
		}
	}
	var next atomic.Int64
	var m measured
	for range f.rounds {
		latencies, errs := make([][]time.Duration, f.buyers), make([]error, f.buyers)
		cpu, began := p.cpu(), time.Now()
		end := began.Add(time.Duration(f.seconds * float64(time.Second)))
		var wg sync.WaitGroup
		for b, buyer := range buyers {
			wg.Go(func() {
				for t := time.Now(); t.Before(end) && errs[b] == nil; {
					i := int(next.Add(1)) - 1
					if i >= len(stock) {
						return
					}
					_, errs[b] = buyer.Buy(ctx, client.NewOrder{ItemID: stock[i].ID, ExpectedPrice: stock[i].Price, PaymentToken: "tok_ok"})
					now := time.Now()
					latencies[b] = append(latencies[b], now.Sub(t))
					t = now
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("buy: %w", err)
		}
		if all := slices.Concat(latencies...); len(all) > 0 {
			m.add(len(all), time.Since(began), p.cpu()-cpu, all)
		}
	}
	t.purchases.Row(e.name, p.items, report.Rate(report.Median(m.rates)), report.Ms(m.percentile(50)), report.Ms(m.percentile(99)), fmt.Sprintf("%.0f", report.Median(m.cpu)))
	return nil
}
