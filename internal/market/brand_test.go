package market_test

import (
	"testing"

	"github.com/furima/furima/internal/market"
)

func TestParseBrandID(t *testing.T) {
	for s, want := range map[string]market.BrandID{"1": 1, "42": 42, "1099511627775": market.MaxCatalogID} {
		if got, err := market.ParseBrandID(s); err != nil || got != want || got.String() != s {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "01", "+1", " 1", "x", "1099511627776", "9223372036854775808"} {
		if got, err := market.ParseBrandID(s); market.ReasonOf(err) != market.ReasonInvalidID || got != 0 {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}
