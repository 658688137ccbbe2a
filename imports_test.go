package main_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/furima/furima"

// mayImport is the import table of docs/architecture.md: which of our packages
// each of our packages may import. What is not listed is forbidden.
var mayImport = map[string][]string{
	"client":                 {},
	"internal/market":        {},
	"internal/cache":         {},
	"internal/daemon":        {},
	"internal/edge":          {},
	"internal/sqldb":         {},
	"internal/photo":         {},
	"internal/search":        {},
	"internal/push/sandbox":  {},
	"internal/job":           {"internal/sqldb"},
	"internal/store":         {"internal/market", "internal/search", "internal/job", "internal/sqldb"},
	"internal/pay":           {"internal/market"},
	"internal/carrier":       {"internal/market"},
	"internal/dash":          {"internal/daemon", "internal/job"},
	"internal/api":           {"client", "internal/market", "internal/search", "internal/store", "internal/job", "internal/cache", "internal/pay", "internal/photo", "internal/carrier"},
	"internal/seed":          {"internal/market", "internal/store", "internal/job", "internal/photo"},
	"internal/warm":          {"client"},
	"internal/push":          {"client", "internal/job", "internal/sqldb"},
	"internal/push/gaurun":   {"internal/push"},
	"internal/push/campaign": {"client"},
	"internal/push/h2":       {},
	"internal/push/apns":     {"internal/push", "internal/push/h2"},
	"internal/push/fcm":      {"internal/push", "internal/push/h2"},
	"internal/push/webpush":  {"internal/push"},
	"internal/config":        {"internal/api", "internal/cache", "internal/carrier", "internal/daemon", "internal/edge", "internal/pay", "internal/photo", "internal/push", "internal/sqldb", "internal/warm"},
	"internal/cli":           {"*"},
	"":                       {"internal/cli"},
	// Packages for tests only.
	"internal/sqldb/sqldbtest": {"internal/sqldb"},
	"internal/store/storetest": {"internal/market", "internal/search", "internal/store", "internal/job", "internal/sqldb", "internal/sqldb/sqldbtest"},
	"e2e":                      {"client", "internal/sqldb/sqldbtest"},
}

// forbiddenStd is what a package may not import of the standard library, with
// the reason.
var forbiddenStd = []struct {
	path   string
	except []string
	reason string
}{
	{"database/sql", []string{"internal/sqldb", "internal/job", "internal/store", "internal/sqldb/sqldbtest", "internal/store/storetest"}, "SQL lives in sqldb, job and store"},
	{"testing", []string{"internal/sqldb/sqldbtest", "internal/store/storetest", "e2e"}, "production code does not import testing"},
}

// marketOnly is what market may not import although it is standard library.
var marketOnly = []string{"net/http", "os", "log/slog", "log", "database/sql"}

type listed struct {
	Dir, ImportPath, Name, Doc string
	GoFiles                    []string
	Imports                    []string
	TestImports, XTestImports  []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=Dir,ImportPath,Name,Doc,GoFiles,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			t.Fatalf("go list: %v\n%s", err, ee.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func ours(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name, _ := ours(p.ImportPath)
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %q is not in the import table: add a row here and to docs/architecture.md", name)
			continue
		}
		imports := p.Imports
		if name == "e2e" { // only test files: the row is about those
			imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		}
		for _, imp := range imports {
			if dep, our := ours(imp); our {
				if !slices.Contains(allowed, "*") && !slices.Contains(allowed, dep) {
					t.Errorf("%s imports %s, which the import table forbids", name, dep)
				}
				if strings.HasSuffix(dep, "test") && !strings.HasSuffix(name, "test") && name != "e2e" {
					t.Errorf("%s imports %s: production code imports a package for tests", name, dep)
				}
				continue
			}
			for _, f := range forbiddenStd {
				if imp == f.path && !slices.Contains(f.except, name) {
					t.Errorf("%s imports %s: %s", name, imp, f.reason)
				}
			}
			if name == "internal/market" {
				first, _, _ := strings.Cut(imp, "/")
				if strings.Contains(first, ".") || slices.Contains(marketOnly, imp) {
					t.Errorf("market imports %s: it is pure and uses the standard library only", imp)
				}
			}
			if name == "client" && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				t.Errorf("client imports %s: it uses the standard library only", imp)
			}
		}
	}
}

// TestEveryPackageIsDocumented holds that a package says what it is.
func TestEveryPackageIsDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && len(strings.Fields(p.Doc)) < 5 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// forbiddenCalls maps a selector to the packages that may use it.
var forbiddenCalls = map[string][]string{
	"os.Exit":                      {"", "internal/cli"},
	"os.Getenv":                    {"internal/cli"},
	"os.LookupEnv":                 {"internal/cli"},
	"os.Environ":                   {"internal/cli"},
	"log.Fatal":                    {},
	"log.Fatalf":                   {},
	"slog.Default":                 {},
	"slog.SetDefault":              {},
	"http.DefaultClient":           {},
	"http.Get":                     {},
	"http.Post":                    {},
	"http.ListenAndServe":          {},
	"prometheus.DefaultRegisterer": {},
	"prometheus.MustRegister":      {},
	"context.TODO":                 {},
	"fmt.Print":                    {},
	"fmt.Println":                  {},
	"fmt.Printf":                   {},
}

// TestForbiddenCalls reads every file that ships: only main exits, only cli
// reads the environment, nobody uses a global client, logger or registry, and
// market takes the time as an argument.
func TestForbiddenCalls(t *testing.T) {
	for _, p := range packages(t) {
		name, _ := ours(p.ImportPath)
		if strings.HasSuffix(name, "test") || name == "e2e" {
			continue
		}
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			tree, err := parser.ParseFile(fset, p.Dir+"/"+file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			imported := map[string]bool{}
			for _, imp := range tree.Imports {
				path, _ := strconv.Unquote(imp.Path.Value)
				imported[path[strings.LastIndex(path, "/")+1:]] = true
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if fn, ok := n.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: init(): registration and hidden start-up work are forbidden", fset.Position(fn.Pos()))
				}
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok || !imported[x.Name] {
					return true
				}
				call := x.Name + "." + sel.Sel.Name
				allowed, forbidden := forbiddenCalls[call]
				if call == "time.Now" && name == "internal/market" {
					forbidden = true
				}
				if forbidden && !slices.Contains(allowed, name) {
					t.Errorf("%s: %s is not allowed in %s", fset.Position(sel.Pos()), call, p.ImportPath)
				}
				return true
			})
		}
	}
}

// TestProductDependencies holds that what only tests and benches use stays out
// of the binary.
func TestProductDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, test := range []string{"github.com/google/go-cmp", "github.com/chromedp", "go.uber.org/goleak", "pgregory.net/rapid", "github.com/rogpeppe/go-internal/testscript"} {
			if dep == test || strings.HasPrefix(dep, test+"/") {
				t.Errorf("the binary links %s", dep)
			}
		}
	}
}
