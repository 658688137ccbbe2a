package market_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

// TestNoticeOf holds that an order's arrival in a state is news for one side,
// except in those that the purchase itself answers.
func TestNoticeOf(t *testing.T) {
	o := market.Order{ID: 5, Item: 7, Buyer: 2, Seller: 1}
	var silent []market.OrderState
	seen := map[market.NoticeKind]bool{}
	for _, tr := range market.OrderTransitions() {
		for _, s := range []market.OrderState{tr.From, tr.To} {
			o.State = s
			n, ok := market.NoticeOf(o)
			switch {
			case !ok:
				if !slices.Contains(silent, s) {
					silent = append(silent, s)
				}
			case n.Item != 7 || n.Order != 5 || n.User != 1 && n.User != 2 || !slices.Contains(market.NoticeKinds(), n.Kind):
				t.Errorf("%s: %+v", s, n)
			default:
				seen[n.Kind] = true
			}
		}
	}
	slices.Sort(silent)
	if diff := cmp.Diff([]market.OrderState{market.OrderCancelled, market.OrderPendingPayment}, silent); diff != "" || len(seen) != 8 {
		t.Errorf("%d kinds, silent states:\n%s", len(seen), diff)
	}
}

func TestByUrgency(t *testing.T) {
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	orders := []market.Order{{ID: 3, DeadlineAt: at.Add(time.Hour)}, {ID: 2, DeadlineAt: at}, {ID: 1, DeadlineAt: at}}
	market.ByUrgency(orders)
	if orders[0].ID != 1 || orders[1].ID != 2 || orders[2].ID != 3 {
		t.Errorf("%+v", orders)
	}
}
