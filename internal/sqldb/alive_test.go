package sqldb_test

import (
	"runtime"
	"testing"

	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestAlive(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		a, b := open(t, url), open(t, url)
		known := a.Dialect().Name() == "sqlite" && runtime.GOOS == "linux"
		const id = 1 << 61
		if b.Gone(id) != known {
			t.Error("what nobody has claimed")
		}
		release, err := a.Alive(id)
		if err != nil {
			t.Fatal(err)
		}
		if a.Gone(id) || b.Gone(id) {
			t.Error("what is claimed counts as gone")
		}
		if b.Gone(id+1) != known {
			t.Error("the neighbour of what is claimed")
		}
		release()
		release() // does no harm
		if b.Gone(id) != known {
			t.Error("what was released")
		}
		if _, err := a.Alive(id); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if b.Gone(id) != known {
			t.Error("what a closed DB had claimed")
		}
	})
}
