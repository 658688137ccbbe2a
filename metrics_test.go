package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`furima_[a-z0-9_]+`)

// TestDashDrawsWhatExists holds that every metric which the operator's page
// knows by name is made by some package: the page cannot check it, since it may
// not import them, and a panel of a metric that was renamed would stay empty.
func TestDashDrawsWhatExists(t *testing.T) {
	made, drawn := map[string]bool{}, map[string]string{}
	err := filepath.WalkDir("internal", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range metricName.FindAllString(string(b), -1) {
			if strings.HasPrefix(path, filepath.Join("internal", "dash")) {
				drawn[name] = path
			} else {
				made[name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(drawn) == 0 {
		t.Fatal("the page draws no metric by name: the test is wrong")
	}
	for name, path := range drawn {
		// A name that ends in "_" is a prefix.
		if !made[name] && !strings.HasSuffix(name, "_") {
			t.Errorf("%s draws %s, which no package makes", path, name)
		}
	}
}
