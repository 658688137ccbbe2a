package market_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

// TestItemStates is the table once more, written by hand: a change of it is a
// change of two places.
func TestItemStates(t *testing.T) {
	var got []string
	for _, tr := range market.ItemTransitions() {
		got = append(got, fmt.Sprintf("%s --%s--> %s", tr.From, tr.Event, tr.To))
		if to, ok := tr.From.After(tr.Event); !ok || to != tr.To {
			t.Errorf("%s.After(%s) = %s, %v", tr.From, tr.Event, to, ok)
		}
		if !tr.From.Valid() || !tr.To.Valid() {
			t.Errorf("%v names a state that is none", tr)
		}
	}
	want := []string{
		"on_sale --pause--> paused", "paused --resume--> on_sale",
		"on_sale --withdraw--> withdrawn", "paused --withdraw--> withdrawn",
		"on_sale --reserve--> reserved", "reserved --settle--> sold", "reserved --release--> on_sale", "sold --return--> paused",
		"on_sale --hide--> hidden", "paused --hide--> hidden", "withdrawn --hide--> hidden", "sold --hide--> hidden",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if to, ok := market.ItemSold.After(market.ItemReserve); ok || to != market.ItemSold {
		t.Errorf("a sold item can be reserved: %s", to)
	}
	if market.ItemState("lost").Valid() || market.ItemState("lost").Public() {
		t.Error("any word is a state")
	}
}

// TestOrderStates holds what any table of orders must: no two rows for one
// state and event, everything reachable from the first state, a way to an end
// from everywhere, and an end where nothing follows.
func TestOrderStates(t *testing.T) {
	table := market.OrderTransitions()
	seen := map[string]bool{}
	next := map[market.OrderState][]market.OrderState{}
	for _, tr := range table {
		key := string(tr.From) + " " + string(tr.Event)
		if seen[key] {
			t.Errorf("two rows for %s", key)
		}
		seen[key] = true
		if len(tr.By) == 0 {
			t.Errorf("nobody can make %s happen", key)
		}
		next[tr.From] = append(next[tr.From], tr.To)
		if to, ok := tr.From.After(tr.Event); !ok || to != tr.To {
			t.Errorf("%s.After(%s) = %s, %v", tr.From, tr.Event, to, ok)
		}
	}
	reachable := func(from market.OrderState) []market.OrderState {
		found := []market.OrderState{from}
		for i := 0; i < len(found); i++ {
			for _, to := range next[found[i]] {
				if !slices.Contains(found, to) {
					found = append(found, to)
				}
			}
		}
		return found
	}
	all := reachable(market.OrderPendingPayment)
	if len(all) != 10 {
		t.Errorf("reachable: %v, want all 10 states", all)
	}
	var final []string
	for _, s := range all {
		if !s.Valid() {
			t.Errorf("%s is no state", s)
		}
		if s.Final() {
			final = append(final, string(s))
		}
		if !slices.ContainsFunc(reachable(s), market.OrderState.Final) {
			t.Errorf("no way out of %s", s)
		}
	}
	slices.Sort(final)
	if got := strings.Join(final, " "); got != "cancelled completed refunded" {
		t.Errorf("final states: %s", got)
	}
	for _, s := range all {
		if live := s != market.OrderCancelled && s != market.OrderRefunded; s.Live() != live {
			t.Errorf("%s.Live() = %v", s, !live)
		}
	}
}
