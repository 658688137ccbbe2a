package store_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
	"github.com/furima/furima/internal/store"
	"github.com/furima/furima/internal/store/storetest"
)

// Variables by which TestBuyerProcess is told what to buy where.
const (
	envURL   = "FURIMA_STORE_TEST_URL"
	envItem  = "FURIMA_STORE_TEST_ITEM"
	envFirst = "FURIMA_STORE_TEST_FIRST_BUYER"
)

const buyersEach = 60

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// TestTwoProcesses lets the buyers of two processes go for one item: the
// database alone stands between them.
func TestTwoProcesses(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		w := storetest.NewWorld(t, url)
		item := w.Item(w.User(), 12, 3000)
		var outputs [2]bytes.Buffer
		var children [2]*exec.Cmd
		for i := range children {
			c := exec.Command(os.Args[0], "-test.run=^TestBuyerProcess$", "-test.v")
			c.Env = append(os.Environ(), envURL+"="+url, envItem+"="+item.ID.String(), fmt.Sprintf("%s=%d", envFirst, 1000*(i+1)))
			c.Stdout, c.Stderr = &outputs[i], &outputs[i]
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			children[i] = c
		}
		got := map[string]int{}
		for i, c := range children {
			if err := c.Wait(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, &outputs[i])
			}
			for s := bufio.NewScanner(&outputs[i]); s.Scan(); {
				if outcome, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "outcome: "); ok {
					got[outcome]++
				}
			}
		}
		if got["bought"] != 1 || got["item_sold"] != 2*buyersEach-1 {
			t.Errorf("outcomes %v, want one bought and %d item_sold", got, 2*buyersEach-1)
		}
		if after, err := w.Store.Item(t.Context(), item.ID); err != nil || after.State != market.ItemReserved || after.Version != 2 {
			t.Errorf("the item is %s at version %d, %v", after.State, after.Version, err)
		}
	})
}

// TestBuyerProcess is what TestTwoProcesses runs in each process.
func TestBuyerProcess(t *testing.T) {
	url := os.Getenv(envURL)
	if url == "" {
		t.Skip("it is a process of TestTwoProcesses")
	}
	item, err := market.ParseItemID(os.Getenv(envItem))
	if err != nil {
		t.Fatal(err)
	}
	var first market.UserID
	if _, err := fmt.Sscan(os.Getenv(envFirst), (*int64)(&first)); err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := store.New(db, job.NewQueue(db, job.Options{}), store.Options{})
	var wg sync.WaitGroup
	begin := make(chan struct{})
	outcomes := make(chan string, buyersEach)
	for i := range buyersEach {
		wg.Go(func() {
			<-begin
			_, _, err := s.ReserveItem(t.Context(), market.Purchase{Item: item, Buyer: first + market.UserID(i), ExpectedPrice: 3000})
			switch {
			case err == nil:
				outcomes <- "bought"
			case market.ReasonOf(err) != "":
				outcomes <- string(market.ReasonOf(err))
			default:
				outcomes <- err.Error()
			}
		})
	}
	close(begin)
	wg.Wait()
	close(outcomes)
	for o := range outcomes {
		fmt.Println("outcome: " + o)
	}
}
