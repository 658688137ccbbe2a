package market_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

func TestNewBlock(t *testing.T) {
	rules := market.DefaultRules()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.FixedZone("JST", 9*3600))
	got, err := rules.NewBlock(1, 2, rules.MaxBlocks-1, now)
	if diff := cmp.Diff(market.Block{User: 1, Blocked: 2, CreatedAt: now.UTC()}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, c := range []struct {
		blocked market.UserID
		count   int
		code    market.Code
		reason  market.Reason
	}{
		{1, 0, market.CodeInvalid, market.ReasonMalformed},
		{2, rules.MaxBlocks, market.CodeConflict, market.ReasonTooMany},
	} {
		if _, err := rules.NewBlock(1, c.blocked, c.count, now); market.CodeOf(err) != c.code || market.ReasonOf(err) != c.reason {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
