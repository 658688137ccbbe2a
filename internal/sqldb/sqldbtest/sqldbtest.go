// Package sqldbtest gives tests a database of each engine: an SQLite file, and
// a database in a private MariaDB server of the test binary's own.
//
// A package's TestMain stops the server, and a test asks for a URL:
//
//	func TestMain(m *testing.M) { os.Exit(sqldbtest.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		sqldbtest.Each(t, func(t *testing.T, url string) { … })
//	}
//
// The server starts with the first test that asks for it, on a socket in a
// temporary folder, and dies with the test binary however that ends. It is
// tuned for tests: it does not sync to disk, so it shows nothing about the loss
// of power and nothing about speed. What measures starts a durable Server of its
// own.
//
// Where MariaDB is not installed its tests are skipped, and fail if CI=true:
// there, leaving something out is a failure. With -short they are skipped.
package sqldbtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// SQLite returns the URL of a new database file of the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// MariaDB returns the URL of a new, empty database of the test in the private
// server. It is dropped at the end of the test.
func MariaDB(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out MariaDB")
	}
	if _, err := find("mariadbd"); err != nil {
		missing(t, err)
	}
	shared.once.Do(func() { shared.server, shared.err = Start(Options{}) })
	if shared.err != nil {
		t.Fatalf("private MariaDB: %v", shared.err)
	}
	s := shared.server
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), shared.databases.Add(1))
	// Not the test's context: that has ended when a clean-up runs.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	url, err := s.Database(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.exec(ctx, "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
	})
	return url
}

// Each runs f on both engines, as subtests "sqlite" and "mariadb".
func Each(t *testing.T, f func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("mariadb", func(t *testing.T) { f(t, MariaDB(t)) })
}

// Main runs the tests and stops the server that they started.
func Main(m interface{ Run() int }) int {
	defer Stop()
	return m.Run()
}

// Stop ends the private server, if one was started.
func Stop() {
	if shared.server != nil {
		shared.server.Stop()
		shared.server = nil
	}
}

var shared struct {
	once      sync.Once
	server    *Server
	err       error
	databases atomic.Int64
}

func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("left out: %v (scripts/servers installs it)", err)
	}
	t.Skipf("left out: %v (scripts/servers installs it)", err)
}
