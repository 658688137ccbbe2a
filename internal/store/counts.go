package store

import (
	"context"
)

// MaxCount is where Counts stops counting.
const MaxCount = 100_000

// Counts says roughly how much there is: no count goes beyond MaxCount.
type Counts struct {
	Categories, Users, Items, Orders int
}

// Counts counts for a banner. It reads at most MaxCount entries of an index of
// each table.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	for _, one := range []struct {
		table string
		n     *int
	}{{"categories", &c.Categories}, {"users", &c.Users}, {"items", &c.Items}, {"orders", &c.Orders}} {
		if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+one.table+" LIMIT ?) some", MaxCount).Scan(one.n); err != nil {
			return Counts{}, failed(err, "count %s", one.table)
		}
	}
	return c, nil
}
