package sqldb_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/furima/furima/internal/sqldb"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

// TestDamagedFiles opens what was a database once.
func TestDamagedFiles(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	db := migrated(t, "sqlite:"+whole)
	if err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		return exec(t.Context(), tx, "INSERT INTO counters (name, n) VALUES ('a', 1)")
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"cut to a page":    func(b []byte) []byte { return b[:4096] },
		"cut in a page":    func(b []byte) []byte { return b[:5000] },
		"cut to its head":  func(b []byte) []byte { return b[:100] },
		"cut in its head":  func(b []byte) []byte { return b[:10] },
		"schema page lost": func(b []byte) []byte { clear(b[100:4096]); return b },
		"text":             func(b []byte) []byte { copy(b, strings.Repeat("text ", 20)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "damaged.db")
			if err := os.WriteFile(path, damage([]byte(string(content))), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + path}, sqldb.Options{})
			if err == nil {
				_ = db.Close()
				t.Fatal("it opens")
			}
			if text := err.Error(); !strings.Contains(text, "damaged.db") || strings.Contains(text, "\n") {
				t.Errorf("error %q, want one line that names the file", text)
			}
		})
	}
}

func TestFileIsForItsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new folder", "ä %41 #.db") // a name that needs care in a URL
	_, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + path}, sqldb.Options{})
	if err == nil || !strings.Contains(err.Error(), "#") {
		t.Errorf("a # in the path: %v", err)
	}
	path = strings.Replace(path, "#", "'", 1)
	migrated(t, "sqlite:"+path)
	for _, file := range []string{path, path + "-wal", path + "-alive"} {
		info, err := os.Stat(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if mode := info.Mode().Perm(); mode != fs.FileMode(0o600) {
			t.Errorf("%s has mode %o", file, mode)
		}
	}
}

// TestLongLogIsCopied writes more than the checkpointer lets lie, without a
// pause, while somebody reads.
func TestLongLogIsCopied(t *testing.T) {
	url := sqldbtest.SQLite(t)
	db := migrated(t, url)
	ctx := t.Context()
	var wg sync.WaitGroup
	filler := strings.Repeat("x", 1<<16)
	for w := range 4 {
		wg.Go(func() {
			for i := range 96 { // 24 MiB together
				if err := db.Tx(ctx, func(tx *sqldb.Tx) error {
					return exec(ctx, tx, "INSERT INTO counters (name, n) VALUES (?, 1)", fmt.Sprint(filler, w, " ", i))
				}); err != nil {
					t.Error(err)
				}
				value(t, db, fmt.Sprint(filler, w, " ", i))
			}
		})
	}
	wg.Wait()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		var busy, log, copied int
		if err := db.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &log, &copied); err != nil {
			t.Fatal(err)
		}
		if log-copied < 4096 {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d pages of the log wait to be copied", log-copied)
		}
	}
}
