package job_test

import (
	"fmt"
	"testing"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestSample(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		count := func(most int) (seen map[string]int, all bool) {
			t.Helper()
			seen = map[string]int{}
			all, err := b.q.Sample(t.Context(), most, func(kind string, payload, _ []byte) { seen[kind+" "+string(payload)]++ })
			if err != nil {
				t.Fatal(err)
			}
			return seen, all
		}
		if seen, all := count(10); len(seen) != 0 || !all {
			t.Errorf("of nothing: %v, %v", seen, all)
		}
		for i := range 100 {
			if _, err := b.q.Enqueue(t.Context(), job.New{Kind: "k", Payload: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
		seen, all := count(100)
		if len(seen) != 100 || !all {
			t.Errorf("of all: %d, %v", len(seen), all)
		}
		seen, all = count(40)
		if len(seen) < 20 || len(seen) > 48 || all {
			t.Errorf("of some: %d, %v", len(seen), all)
		}
		for what, n := range seen {
			if n != 1 {
				t.Errorf("%s came %d times", what, n)
			}
		}
		young := 0
		for i := 50; i < 100; i++ {
			young += seen[fmt.Sprint("k ", i)]
		}
		if young == 0 || young == len(seen) {
			t.Errorf("of %d jobs %d are from the later half", len(seen), young)
		}
	})
}
