package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// TestPushMigrateKilled: furima migrate push on MariaDB, killed with -9 at a
// random instant, succeeds when it is run again.
func TestPushMigrateKilled(t *testing.T) {
	needs(t, "mariadbd")
	for range 15 {
		dir := t.TempDir()
		config := writeGateway(t, dir, sqldbtest.MariaDB(t), freeAddr(t), "", "")
		first := startBinary(t, plainBinary(t), dir, nil, "migrate", "push", "-c", config)
		select {
		case <-time.After(rand.N(300 * time.Millisecond)):
		case <-first.done:
		}
		first.kill()
		migratePush(t, dir, config)
	}
}
