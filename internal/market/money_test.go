package market_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/furima/furima/internal/market"
)

// money draws amounts, among them those at the ends of the range.
func money() *rapid.Generator[market.Money] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) market.Money { return market.Money(n) }),
		rapid.SampledFrom([]market.Money{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1, 300, 9_999_999}),
	)
}

func TestMoneyAgainstBigInt(t *testing.T) {
	fits := func(t *rapid.T, name string, exact *big.Int, got market.Money, err error) {
		t.Helper()
		switch {
		case !exact.IsInt64() && err == nil:
			t.Fatalf("%s = %d, but it is %s and does not fit", name, got, exact)
		case exact.IsInt64() && (err != nil || int64(got) != exact.Int64()):
			t.Fatalf("%s = %d, %v, want %s", name, got, err, exact)
		case err != nil && market.CodeOf(err) != market.CodeInvalid:
			t.Fatalf("%s: code %s", name, market.CodeOf(err))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := money().Draw(t, "a"), money().Draw(t, "b")
		x, y := big.NewInt(int64(a)), big.NewInt(int64(b))
		sum, err := a.Add(b)
		fits(t, "a+b", new(big.Int).Add(x, y), sum, err)
		diff, err := a.Sub(b)
		fits(t, "a-b", new(big.Int).Sub(x, y), diff, err)
		product, err := a.Mul(int64(b))
		fits(t, "a×b", new(big.Int).Mul(x, y), product, err)
	})
}

func TestShareRoundsDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := market.Money(rapid.Int64Range(0, math.MaxInt64).Draw(t, "m"))
		rate := market.BasisPoints(rapid.Int64Range(0, 10_000).Draw(t, "rate"))
		got, err := m.Share(rate)
		if err != nil {
			t.Fatal(err)
		}
		want := new(big.Int).Mul(big.NewInt(int64(m)), big.NewInt(int64(rate)))
		want.Div(want, big.NewInt(10_000))
		if want.Int64() != int64(got) {
			t.Fatalf("%d of %d = %d, want %s", rate, m, got, want)
		}
	})
	for _, bad := range []struct {
		m    market.Money
		rate market.BasisPoints
	}{{-1, 1000}, {1, -1}, {1, 10_001}} {
		if got, err := bad.m.Share(bad.rate); err == nil {
			t.Errorf("%d of %d = %d, want an error", bad.rate, bad.m, got)
		}
	}
	if got, _ := market.Money(4999).Share(1000); got != 499 {
		t.Errorf("ten percent of 4999 = %d, want 499", got)
	}
}
