package config_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/config"
)

var update = flag.Bool("update", false, "write the generated files")

const module = "github.com/furima/furima/"

// TestGoldenReference holds docs/config.md and furima.example.toml to the
// Config types: their fields, doc comments and defaults. It writes both with
// -update.
func TestGoldenReference(t *testing.T) {
	d := newReference(t)
	for path, want := range map[string]string{
		"../../docs/config.md":      d.markdown(),
		"../../furima.example.toml": d.example(),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not current, run make generate (-want +got):\n%s", path, diff)
		}
	}
}

// TestExampleIsValid holds that the example file, as it is and with every
// line of a table uncommented, has no unknown key.
func TestExampleIsValid(t *testing.T) {
	if _, err := config.Load(config.Source{Path: "../../furima.example.toml"}); err != nil {
		t.Errorf("furima.example.toml: %v", err)
	}
	text, err := os.ReadFile("../../furima.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
			line = rest
		}
		all.WriteString(line)
	}
	path := filepath.Join(t.TempDir(), "all.toml")
	if err := os.WriteFile(path, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(config.Source{Path: path})
	if err != nil && strings.Contains(err.Error(), "unknown key") {
		t.Errorf("uncommented example: %v", err)
	}
}

// key is one key of the reference.
type key struct {
	path, table, name, doc, kind, value string
	secret                              bool
	variable                            string
}

// table is one [table] or [[array of tables]].
type table struct {
	path, doc string
	array     bool
	keys      []key
}

type reference struct {
	t        *testing.T
	comments map[string]map[string]string // type → field → doc
	tables   []table
}

func newReference(t *testing.T) *reference {
	d := &reference{t: t, comments: map[string]map[string]string{}}
	d.walk(reflect.ValueOf(config.Default()), "", "", false)
	return d
}

// doc returns the doc comment of a field, read from the source of its package.
func (d *reference) doc(owner reflect.Type, field string) string {
	id := owner.PkgPath() + "." + owner.Name()
	if d.comments[id] == nil {
		d.read(owner.PkgPath())
	}
	text := d.comments[id][field]
	if text == "" {
		d.t.Errorf("%s.%s has no doc comment", id, field)
	}
	return text
}

func (d *reference) read(pkg string) {
	dir := filepath.Join("..", "..", filepath.FromSlash(strings.TrimPrefix(pkg, module)))
	entries, err := os.ReadDir(dir)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			d.t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			fields := map[string]string{}
			for _, f := range st.Fields.List {
				text := f.Doc.Text()
				if text == "" {
					text = f.Comment.Text()
				}
				for _, name := range f.Names {
					fields[name.Name] = strings.TrimSpace(text)
				}
			}
			d.comments[pkg+"."+spec.Name.Name] = fields
			return true
		})
	}
}

func (d *reference) walk(v reflect.Value, path, doc string, array bool) {
	t := v.Type()
	own := table{path: path, doc: doc, array: array}
	type sub struct {
		v         reflect.Value
		path, doc string
		array     bool
	}
	var subs []sub
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name == "" || name == "-" {
			continue
		}
		full := strings.TrimPrefix(path+"."+name, ".")
		fv, ft := v.Field(i), f.Type
		text := d.doc(t, f.Name)
		if rest, ok := strings.CutPrefix(text, f.Name+" "); ok {
			text = name + " " + rest // Go's name of it is of no use here
		}
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
			fv = reflect.New(ft).Elem()
		}
		switch {
		case ft.Kind() == reflect.Struct:
			subs = append(subs, sub{fv, full, text, array})
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			// One element stands for all: the default's first, else a zero one.
			elem := reflect.New(ft.Elem()).Elem()
			if fv.Len() > 0 {
				elem = fv.Index(0)
			}
			subs = append(subs, sub{elem, full, text, true})
		default:
			k := key{path: full, table: path, name: name, doc: text, kind: kind(ft), value: literal(fv), secret: f.Tag.Get("secret") != ""}
			if !array {
				k.variable = config.Variable(full)
			}
			own.keys = append(own.keys, k)
		}
	}
	if path != "" {
		d.tables = append(d.tables, own)
	}
	for _, s := range subs {
		d.walk(s.v, s.path, s.doc, s.array)
	}
}

func kind(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "duration"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list of " + kind(t.Elem()) + "s"
	case reflect.Map:
		return "table of strings"
	case reflect.Float64:
		return "number"
	default:
		return "whole number"
	}
}

func literal(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return fmt.Sprintf("%q", d)
	}
	switch v.Kind() {
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		return "{}"
	default:
		return fmt.Sprint(v.Interface())
	}
}

func (t table) header() string {
	if t.array {
		return "[[" + t.path + "]]"
	}
	return "[" + t.path + "]"
}

// nested reports that a table inside an array of tables is no array itself.
func (d *reference) fix(t table) table {
	if t.array {
		for _, parent := range d.tables {
			if parent.array && strings.HasPrefix(t.path, parent.path+".") && !d.isArray(t.path) {
				t.array = false
			}
		}
	}
	return t
}

func (d *reference) isArray(path string) bool {
	v := reflect.TypeOf(config.Config{})
	for _, part := range strings.Split(path, ".") {
		for v.Kind() != reflect.Struct {
			v = v.Elem()
		}
		for i := range v.NumField() {
			if name, _, _ := strings.Cut(v.Field(i).Tag.Get("toml"), ","); name == part {
				v = v.Field(i).Type
				break
			}
		}
	}
	return v.Kind() == reflect.Slice
}

func (d *reference) markdown() string {
	var b bytes.Buffer
	b.WriteString(`# Configuration

<!-- Generated from the Config types by make generate. Do not edit. -->

furima reads furima.toml (or the file given with -c). No file is needed: every key has a default. A FURIMA_* variable
overrides the file. An unknown key or variable is an error; all faults are reported at once, with exit status 2:
` + "`furima config check`" + ` shows them, ` + "`furima config print`" + ` shows what is in force. [furima.example.toml](../furima.example.toml)
has every key with its default.

Durations are texts such as "30s" or "5m"; sizes are bytes. A key x_file beside a secret x names a file that holds it.
`)
	for _, t := range d.tables {
		if len(t.keys) == 0 {
			continue
		}
		t = d.fix(t)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | type, default | meaning |\n|---|---|---|\n", t.header(), t.doc)
		for _, k := range t.keys {
			value := "`" + k.value + "`"
			if k.secret {
				value += ", secret"
			}
			meaning := strings.ReplaceAll(strings.Join(strings.Fields(k.doc), " "), "|", "\\|")
			if k.variable != "" {
				meaning += " `" + k.variable + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s, %s | %s |\n", k.name, k.kind, value, meaning)
		}
	}
	return b.String()
}

func (d *reference) example() string {
	var b bytes.Buffer
	b.WriteString(`# furima.toml with every key and its default. Generated from the Config types by
# make generate. Copy what you change; docs/config.md says more. A line that
# starts with "#" and no space is a setting: take the "#" away to set it.
`)
	for _, t := range d.tables {
		if len(t.keys) == 0 {
			continue
		}
		t = d.fix(t)
		b.WriteString("\n")
		comment(&b, t.doc)
		fmt.Fprintf(&b, "#%s\n", t.header())
		for _, k := range t.keys {
			comment(&b, k.doc)
			fmt.Fprintf(&b, "#%s = %s\n", k.name, k.value)
		}
	}
	return b.String()
}

// comment writes text as comment lines of at most 100 columns.
func comment(b *bytes.Buffer, text string) {
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 100 {
			fmt.Fprintln(b, line)
			line = "#"
		}
		line += " " + word
	}
	fmt.Fprintln(b, line)
}
