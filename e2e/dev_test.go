package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/furima/furima/client"
)

// dev is a running furima dev.
type dev struct {
	*process
	api, push, ops, https string // addresses
	dir                   string
}

// startDev runs furima dev with a small market on its data folder.
func startDev(t *testing.T, dir string) *dev {
	t.Helper()
	d := &dev{api: freeAddr(t), push: freeAddr(t), ops: freeAddr(t), https: freeAddr(t), dir: dir}
	d.process = start(t, dir, []string{
		"FURIMA_API_LISTEN=" + d.api, "FURIMA_PUSH_LISTEN=" + d.push, "FURIMA_OPS_LISTEN=" + d.ops,
		"FURIMA_LOG_LEVEL=info",
	}, "dev", "--data", filepath.Join(dir, "data"), "--https", d.https, "--items", "300", "--photo-side", "64").ready()
	d.await("the lines to try", func() bool { return len(d.curls()) >= 3 })
	return d
}

// curls returns the lines that furima dev printed for trying.
func (d *dev) curls() []string {
	var lines []string
	for line := range strings.Lines(d.output()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestDev is the newcomer's first minutes: the printed lines work, buying an
// item shows the notification on the seller's phone, Ctrl-C stops it cleanly,
// starting again keeps everything.
func TestDev(t *testing.T) {
	needs(t, "curl")
	dir := t.TempDir()
	d := startDev(t, dir)
	var orderID string
	for _, line := range d.curls() {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line+" --fail-with-body --silent --show-error --max-time 30")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", line, err, out)
		}
		var order struct{ ID, State string }
		if strings.Contains(line, "/v1/orders") {
			if err := json.Unmarshal(out, &order); err != nil || order.State != string(client.AwaitingShipment) {
				t.Fatalf("the line that buys answered %s (%v)", out, err)
			}
			orderID = order.ID
		}
	}
	if orderID == "" {
		t.Fatal("none of the printed lines buys an item")
	}
	poll(t, "the notification at the sandbox phone", func() bool {
		_, body := get(t, "http://"+d.ops+"/sandbox/deliveries?after=0")
		return strings.Contains(body, "apns_id")
	})
	_, page := get(t, "http://"+d.api+"/v1/items?limit=5")
	if status := d.stop(); status != 0 {
		t.Errorf("SIGTERM: exit status %d", status)
	}
	again := startDev(t, dir)
	var before, after client.ItemPage
	_, pageAgain := get(t, "http://"+again.api+"/v1/items?limit=5")
	if json.Unmarshal([]byte(page), &before) != nil || json.Unmarshal([]byte(pageAgain), &after) != nil {
		t.Fatalf("lists: %s\n%s", page, pageAgain)
	}
	if len(before.Items) != 5 || len(after.Items) != 5 || before.Items[0].ID != after.Items[0].ID {
		t.Errorf("after a restart the newest items are %v, were %v", after.Items, before.Items)
	}
}

// browser returns a Chromium tab.
func browser(t *testing.T) context.Context {
	t.Helper()
	needs(t, "chromium")
	// Not t.TempDir: Chromium still writes there while it ends.
	dir, err := os.MkdirTemp("", "furima-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.UserDataDir(dir))
	for _, flag := range []string{"disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// shows waits until the page at url shows a text.
func shows(t *testing.T, tab context.Context, url, text string) {
	t.Helper()
	if url != "" {
		if err := chromedp.Do(tab, chromedp.Navigate(url)); err != nil {
			t.Fatal(err)
		}
	}
	expression := `document.body !== null && document.body.innerText.includes(` + quote(text) + `)`
	if _, err := chromedp.Run(tab, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(time.Minute))); err != nil {
		t.Fatalf("the page does not show %q: %v", text, err)
	}
}

// TestPagesOfDev opens the phones' and the operator's page in a real browser:
// a sale made while the phones' page is open shows on the seller's phone.
func TestPagesOfDev(t *testing.T) {
	tab := browser(t)
	d := startDev(t, t.TempDir())
	shows(t, tab, "http://"+d.ops+"/phones/", "Sandbox phones")
	c := client.New(client.Options{BaseURL: "http://" + d.api})
	session, err := c.LogIn(t.Context(), client.Credentials{Email: "hanako@example.com", Password: "furima-demo-1"})
	if err != nil {
		t.Fatal(err)
	}
	buyer, title := c.WithToken(session.Token), ""
	for item, err := range c.AllItems(t.Context(), client.ItemQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := buyer.Buy(t.Context(), client.NewOrder{ItemID: item.ID, ExpectedPrice: item.Price, PaymentToken: "tok_ok"}); err == nil {
			title = item.Title
			break
		}
	}
	if title == "" {
		t.Fatal("nothing could be bought")
	}
	shows(t, tab, "", title)
	shows(t, tab, "http://"+d.ops+"/", "Requests")
}

// quote makes a JavaScript string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(bytes.TrimSpace(b))
}
