package push_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	code := sqldbtest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
