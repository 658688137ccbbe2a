package store_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/furima/furima/internal/sqldb/sqldbtest"
	"github.com/furima/furima/internal/store/storetest"
)

func TestMain(m *testing.M) {
	code := sqldbtest.Main(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println("goroutines are left: " + err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

func TestSuite(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { storetest.Run(t, sqldbtest.SQLite) })
	t.Run("mariadb", func(t *testing.T) { storetest.Run(t, sqldbtest.MariaDB) })
}
