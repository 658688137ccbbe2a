package market

import "strconv"

// BrandID is the id of a brand: a small number like a CategoryID. 0 stands for
// none.
type BrandID int64

// String returns the id as a decimal number.
func (id BrandID) String() string { return strconv.FormatInt(int64(id), 10) }

// ParseBrandID reads a positive decimal number.
func ParseBrandID(s string) (BrandID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > MaxCatalogID || strconv.FormatInt(n, 10) != s {
		return 0, Errorf(CodeInvalid, ReasonInvalidID, "a brand is a positive number")
	}
	return BrandID(n), nil
}

// Brand is a maker of things, or the name that they are sold under.
type Brand struct {
	ID     BrandID
	Name   string // as it is written outside of Japan
	NameJA string // "" if Japan writes it like that too
}

// MaxCatalogID is the largest id of a category or a brand.
const MaxCatalogID = 1<<40 - 1
