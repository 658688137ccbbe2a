package market

import (
	"math"
	"math/bits"
	"strconv"
)

// Money is an amount in the smallest unit of the installation's currency: yen
// by default. It is an integer; there are no fractions of it.
type Money int64

// String returns the amount as a decimal number, without the currency.
func (m Money) String() string { return strconv.FormatInt(int64(m), 10) }

var errOverflow = &Error{Code: CodeInvalid, Reason: ReasonOutOfRange, Message: "the amount is too large"}

// Add returns m + n, or an error if the sum does not fit.
func (m Money) Add(n Money) (Money, error) {
	sum := m + n
	if (sum > m) != (n > 0) && n != 0 {
		return 0, errOverflow
	}
	return sum, nil
}

// Sub returns m - n, or an error if the difference does not fit.
func (m Money) Sub(n Money) (Money, error) {
	diff := m - n
	if (diff < m) != (n > 0) && n != 0 {
		return 0, errOverflow
	}
	return diff, nil
}

// Mul returns m × n, or an error if the product does not fit.
func (m Money) Mul(n int64) (Money, error) {
	if m == 0 || n == 0 {
		return 0, nil
	}
	p := int64(m) * n
	if p/n != int64(m) || (n == -1 && int64(m) == math.MinInt64) || (int64(m) == -1 && n == math.MinInt64) {
		return 0, errOverflow
	}
	return Money(p), nil
}

// BasisPoints is a rate in hundredths of a percent: 1000 is ten percent.
type BasisPoints int64

// Share returns the part of m that rate takes, rounded down: a fee never takes
// more than its rate. M must not be negative, and rate is within 0 and 10000.
func (m Money) Share(rate BasisPoints) (Money, error) {
	if m < 0 || rate < 0 || rate > 10_000 {
		return 0, errOverflow
	}
	hi, lo := bits.Mul64(uint64(m), uint64(rate))
	q, _ := bits.Div64(hi, lo, 10_000)
	return Money(q), nil
}
