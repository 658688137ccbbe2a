package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/furima/furima/client"
)

const password = "correct horse battery"

// market is a running furima api.
type market struct {
	*process
	addr string
	env  []string
	dir  string
}

// startMarket migrates store and starts furima api on it.
func startMarket(t *testing.T, dir, store, pushURL string) *market {
	t.Helper()
	m := &market{addr: freeAddr(t), dir: dir}
	m.env = []string{
		"FURIMA_STORE_URL=" + store,
		"FURIMA_API_LISTEN=" + m.addr,
		"FURIMA_API_PUSH_URL=" + pushURL,
		"FURIMA_OPS_LISTEN=127.0.0.1:0",
		"FURIMA_PHOTO_DIR=" + filepath.Join(dir, "photos"),
		"FURIMA_PAY_SANDBOX_FILE=" + filepath.Join(dir, "charges.jsonl"),
		"FURIMA_PAY_ALLOW_SANDBOX=true",
		"FURIMA_API_FEEDBACK_INTERVAL=300ms",
	}
	if status, _, stderr := runFurima(t, dir, m.env, "migrate"); status != 0 {
		t.Fatalf("furima migrate: exit status %d\n%s", status, stderr)
	}
	m.restart(t)
	return m
}

func (m *market) restart(t *testing.T) {
	t.Helper()
	m.process = start(t, m.dir, m.env, "api").ready()
}

func (m *market) client() *client.Client {
	return client.New(client.Options{BaseURL: "http://" + m.addr})
}

// person registers somebody and returns a client that acts for them.
func (m *market) person(t *testing.T, name string) *client.Client {
	t.Helper()
	c := m.client()
	s, err := c.Register(t.Context(), client.Registration{Email: name + "@example.com", Password: password, Name: name, Locale: "en"})
	if err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
	return c.WithToken(s.Token)
}

// item lists something for sale in a category that takes items.
func (m *market) item(t *testing.T, seller *client.Client, title string, price int64) client.Item {
	t.Helper()
	item, err := seller.ListItem(t.Context(), client.NewItem{
		Title: title, Description: "as new", Price: price, CategoryID: m.leaf(t), Condition: m.condition(t),
	})
	if err != nil {
		t.Fatalf("list %q: %v", title, err)
	}
	return item
}

func photo(t *testing.T) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7)
	}
	img.Set(1, 1, color.White)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestTwoHundredBuyers: one 201, 199 × 409, one charge.
func TestTwoHundredBuyers(t *testing.T) {
	stores(t, func(t *testing.T, dir string, url func(string) string) {
		m := startMarket(t, dir, url("market"), "http://127.0.0.1:1")
		item := m.item(t, m.person(t, "seller"), "the only one", 1200)
		// Hashing 200 passwords is not what this is about: ten people, each
		// from twenty devices.
		var buyers []*client.Client
		for i := range 10 {
			buyers = append(buyers, m.person(t, fmt.Sprint("buyer", i)))
		}
		var bought, refused int
		var mu sync.Mutex
		var all sync.WaitGroup
		begin := make(chan struct{})
		for i := range 200 {
			all.Go(func() {
				<-begin
				_, err := buyers[i%len(buyers)].Buy(t.Context(), client.NewOrder{ItemID: item.ID, ExpectedPrice: 1200, PaymentToken: "tok_ok"})
				mu.Lock()
				defer mu.Unlock()
				var problem *client.Problem
				switch {
				case err == nil:
					bought++
				case errors.As(err, &problem) && problem.Status == http.StatusConflict:
					refused++
				default:
					t.Errorf("buy: %v", err)
				}
			})
		}
		close(begin)
		all.Wait()
		if bought != 1 || refused != 199 {
			t.Errorf("%d bought and %d were refused, want 1 and 199", bought, refused)
		}
		if n := m.charges(t); n != 1 {
			t.Errorf("%d charges, want 1", n)
		}
	})
}

// TestBuyingUnderKill buys under kill -9 at random instants. Whatever was
// answered 201 stays; nothing is sold twice; every charge belongs to one order.
func TestBuyingUnderKill(t *testing.T) {
	stores(t, func(t *testing.T, dir string, url func(string) string) {
		m := startMarket(t, dir, url("market"), "http://127.0.0.1:1")
		seller := m.person(t, "seller")
		buyers := []*client.Client{m.person(t, "ann"), m.person(t, "bob")}
		const items = 24
		var all []client.Item
		for i := range items {
			all = append(all, m.item(t, seller, fmt.Sprint("thing ", i), 500))
		}
		won := make([]map[string]bool, len(buyers)) // item ids answered 201
		for i := range won {
			won[i] = map[string]bool{}
		}
		for range 3 {
			var racing sync.WaitGroup
			for b, buyer := range buyers {
				racing.Go(func() {
					for _, item := range all {
						_, err := buyer.Buy(t.Context(), client.NewOrder{ItemID: item.ID, ExpectedPrice: 500, PaymentToken: "tok_ok"})
						if err == nil {
							won[b][item.ID] = true
						}
						if _, refused := errors.AsType[*client.Problem](err); err != nil && !refused {
							return // killed under it
						}
					}
				})
			}
			<-time.After(time.Duration(20+rand.IntN(200)) * time.Millisecond) // the random instant
			m.kill()
			racing.Wait()
			m.restart(t)
		}
		for b, buyer := range buyers {
			orders := map[string]int{}
			for o, err := range buyer.AllOrders(t.Context(), client.Buyer) {
				if err != nil {
					t.Fatal(err)
				}
				if o.State == client.AwaitingShipment {
					orders[o.ItemID]++
				}
			}
			for id := range won[b] {
				if orders[id] != 1 {
					t.Errorf("buyer %d was told that %s is theirs, and has %d orders of it", b, id, orders[id])
				}
				if won[1-b][id] {
					t.Errorf("%s was sold twice", id)
				}
			}
		}
	})
}

// TestReadsFollowWrites: a second read of a list is a hit, and after a new
// listing, an edit and a sale the next read shows it.
func TestReadsFollowWrites(t *testing.T) {
	dir := t.TempDir()
	m := startMarket(t, dir, "sqlite:"+filepath.Join(dir, "market.db"), "http://127.0.0.1:1")
	seller, buyer := m.person(t, "seller"), m.person(t, "buyer")
	list := "http://" + m.addr + "/v1/items?limit=10"
	read := func() (status, body string) {
		res, body := get(t, list)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("GET items: %d %s", res.StatusCode, body)
		}
		return res.Header.Get("Cache-Status"), body
	}
	shows := func(after, text string, want bool) {
		t.Helper()
		if _, body := read(); strings.Contains(body, text) != want {
			t.Errorf("after %s: list has %q: %v, want %v", after, text, !want, want)
		}
		if status, _ := read(); !strings.Contains(status, "hit") {
			t.Errorf("after %s: second read says %q, want a hit", after, status)
		}
	}
	shows("nothing", "First title", false)
	item := m.item(t, seller, "First title", 700)
	shows("a listing", "First title", true)
	title := "Second title"
	if _, err := seller.ChangeItem(t.Context(), item.ID, client.ItemPatch{Title: &title}); err != nil {
		t.Fatal(err)
	}
	shows("an edit", "Second title", true)
	if _, err := buyer.Buy(t.Context(), client.NewOrder{ItemID: item.ID, ExpectedPrice: 700, PaymentToken: "tok_ok"}); err != nil {
		t.Fatal(err)
	}
	shows("a sale", "Second title", false)
	sold, err := m.client().Item(t.Context(), item.ID)
	if err != nil || sold.State != client.Sold {
		t.Errorf("after a sale the item is %q (%v), want sold", sold.State, err)
	}
}

// leaf returns a category that takes items.
func (m *market) leaf(t *testing.T) int {
	t.Helper()
	catalog, err := m.client().Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(catalog.Categories) == 0 {
		t.Fatal("a fresh market has no categories")
	}
	c := catalog.Categories[0]
	for len(c.Children) > 0 {
		c = c.Children[0]
	}
	return c.ID
}

// condition returns a condition of the catalog.
func (m *market) condition(t *testing.T) string {
	t.Helper()
	catalog, err := m.client().Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return catalog.Conditions[0].ID
}

// charges returns how often the sandbox provider took money.
func (m *market) charges(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, "charges.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(b) {
		var charge struct{ Status string }
		if json.Unmarshal(line, &charge) == nil && charge.Status == "succeeded" {
			n++
		}
	}
	return n
}
