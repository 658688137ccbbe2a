package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"

	"github.com/furima/furima/bench/report"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/apns"
)

// The clients alone: each sends the same notifications from a process of its
// own, with a provider token, an id and a body of about 200 bytes.

var clientNames = []struct{ key, name string }{
	{"furima", "furima (push/apns on push/h2)"},
	{"apns2", "sideshow/apns2 " + "0.25.0"},
	{"nethttp", "net/http"},
	{"xnet", "x/net/http2"},
}

// clientResult is what a client reports.
type clientResult struct {
	Sent int64
	Took time.Duration
	CPU  time.Duration
	RSS  int64
}

// underWay is how many notifications a client has in flight.
const underWay = 1000

const clientBody = `{"aps":{"alert":{"title":"Sold!","body":"Your film camera has been sold. Please send it within three days."},"badge":1,"sound":"default"},"item":"it_1234567890","t":"0000000000000000000"}`

func (m *measurement) clients(ctx context.Context) error {
	t := m.report.Table("The clients alone, each in a process of its own", "stand-in", "client", "sent/s", "CPU s / 100,000", "a CPU second sends", "furima sends", "RSS MiB")
	m.report.Text("Each has %d notifications under way. The column before the last is how many times as many furima sends in a CPU second.", underWay)
	for _, mode := range []string{modeFast, mode50ms, modeSingle} {
		if !chosen(m.o.modes, mode) {
			continue
		}
		var ours float64
		for _, c := range clientNames {
			n := 60_000
			if c.key == "furima" {
				n = 600_000
			}
			res, err := m.client(ctx, mode, c.key, max(5000, int(float64(n)*m.o.scale)))
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			each := float64(res.Sent) / res.CPU.Seconds()
			if c.key == "furima" {
				ours = each
			}
			rate := float64(res.Sent) / res.Took.Seconds()
			t.Row(modeNames[mode], c.name, report.Rate(rate), fmt.Sprintf("%.2f", 100_000/each), report.Rate(each), fmt.Sprintf("%.1f ×", ours/each), mib(res.RSS))
			progress("%s, %s: %s/s, %.2f CPU s per 100,000, furima sends %.1f ×", modeNames[mode], c.name, report.Rate(rate), 100_000/each, ours/each)
		}
	}
	return nil
}

func (m *measurement) client(ctx context.Context, mode, name string, n int) (res clientResult, err error) {
	p, err := startApple(ctx, m.dir, mode)
	if err != nil {
		return res, err
	}
	defer p.stop()
	cmd, err := self(ctx, roleClient, name, m.dir, p.addr, strconv.Itoa(n))
	if err != nil {
		return res, err
	}
	out, err := cmd.Output()
	if err != nil {
		return res, err
	}
	if err := json.Unmarshal(out, &res); err != nil {
		return res, err
	}
	stats, err := p.ask("stats")
	if err == nil && stats.Count < res.Sent {
		err = fmt.Errorf("%d of %d arrived", stats.Count, res.Sent)
	}
	return res, err
}

// runClient is the main function of a client.
func runClient(args []string) error {
	name, dir, addr := args[0], args[1], args[2]
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	send, err := newClient(name, dir, "https://"+addr)
	if err != nil {
		return err
	}
	if err := send(0, 100); err != nil { // connects
		return err
	}
	cpu, began := report.CPU(), time.Now()
	if err := send(100, n); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(clientResult{Sent: int64(n), Took: time.Since(began), CPU: report.CPU() - cpu, RSS: report.RSS()})
}

// newClient returns a function that sends n notifications, to tokens counted
// from first.
func newClient(name, dir, url string) (func(first, n int) error, error) {
	raw, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(raw)
	tlsConfig := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if name == "furima" {
		return ourClient(dir, url)
	}
	key, err := token.AuthKeyFromFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	provider := &token.Token{AuthKey: key, KeyID: "ABC123DEFG", TeamID: "DEF123GHIJ"}
	var one func(i int) error
	switch name {
	case "apns2":
		c := apns2.NewTokenClient(provider)
		c.Host = url
		c.HTTPClient = &http.Client{Transport: xnet(tlsConfig)}
		one = func(i int) error {
			res, err := c.Push(&apns2.Notification{DeviceToken: deviceToken(i), ApnsID: messageID(i), Topic: "com.example.market", PushType: apns2.PushTypeAlert, Priority: 10, Payload: []byte(clientBody)})
			if err == nil && !res.Sent() {
				err = errors.New(res.Reason)
			}
			return err
		}
	case "nethttp":
		one = overHTTP(&http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true}}, url, provider)
	case "xnet":
		one = overHTTP(&http.Client{Transport: xnet(tlsConfig)}, url, provider)
	default:
		return nil, fmt.Errorf("no client %q", name)
	}
	return func(first, n int) error { return each(first, n, one) }, nil
}

// xnet is the client that apns2 uses.
func xnet(c *tls.Config) http.RoundTripper {
	//lint:ignore SA1019 it is what is measured
	return &http2.Transport{TLSClientConfig: c}
}

func deviceToken(i int) string { return fmt.Sprintf("%064x", i) }

func messageID(i int) string { return fmt.Sprintf("00000000-0000-8000-8000-%012x", i) }

// each calls one for every number, with so many at once.
func each(first, n int, one func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range underWay {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := one(first + i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func overHTTP(c *http.Client, url string, provider *token.Token) func(i int) error {
	return func(i int) error {
		req, err := http.NewRequest(http.MethodPost, url+"/3/device/"+deviceToken(i), bytes.NewReader([]byte(clientBody)))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "bearer "+provider.GenerateIfExpired())
		req.Header.Set("Apns-Id", messageID(i))
		req.Header.Set("Apns-Topic", "com.example.market")
		req.Header.Set("Apns-Push-Type", "alert")
		req.Header.Set("Apns-Priority", "10")
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		if res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		return errors.Join(err, res.Body.Close())
	}
}

func ourClient(dir, url string) (func(first, n int) error, error) {
	s, err := apns.NewProvider(apns.Options{}).Open(push.AppConfig{Name: "market", APNS: push.APNSConfig{
		KeyFile: filepath.Join(dir, keyFile), KeyID: "ABC123DEFG", TeamID: "DEF123GHIJ", Topic: "com.example.market",
		Endpoint: strings.TrimSuffix(url, "/"), CAFile: filepath.Join(dir, rootFile), Connections: 1, MaxInFlight: underWay,
	}}, nil)
	if err != nil {
		return nil, err
	}
	rendered := &push.Rendered{Payload: []byte(clientBody), Header: []push.Header{
		{Name: "apns-topic", Value: "com.example.market"}, {Name: "apns-push-type", Value: "alert"}, {Name: "apns-priority", Value: "10"},
	}}
	return func(first, n int) error {
		const size = 1000
		var next, unsent atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				batch := make([]push.Message, 0, size)
				for from := int(next.Add(size)) - size; from < n; from = int(next.Add(size)) - size {
					batch = batch[:0]
					for i := from; i < min(from+size, n); i++ {
						m := push.Message{Token: deviceToken(first + i), Rendered: rendered}
						m.ID[6], m.ID[8] = 0x80, 0x80
						m.ID[12], m.ID[13], m.ID[14], m.ID[15] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
						batch = append(batch, m)
					}
					s.Send(context.Background(), batch, func(_ int, r push.Result) {
						if r.Outcome != push.Sent {
							unsent.Add(1)
						}
					})
				}
			})
		}
		wg.Wait()
		if n := unsent.Load(); n > 0 {
			return fmt.Errorf("%d were not sent", n)
		}
		return nil
	}, nil
}
