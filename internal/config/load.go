package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// DefaultPath is the file that is read when none is named and it is there.
const DefaultPath = "furima.toml"

// MaxFileBytes bounds a configuration file: a larger one is surely a mistake
// (a device, a log), and reading it whole would only hide that.
const MaxFileBytes = 1 << 20

// Source says where a configuration comes from.
type Source struct {
	// Path is the file. Empty means DefaultPath if that exists, else no file.
	// A named file that is missing is a fault.
	Path string
	// NoFile says that no file is read, not even DefaultPath.
	NoFile bool
	// Base is what the file is laid over; nil means Default().
	Base *Config
	// Environ holds KEY=VALUE pairs as from os.Environ; only FURIMA_* count.
	Environ []string
}

// Fault is one thing wrong with a configuration.
type Fault struct {
	Key     string // "store.url", an environment variable's name, or the file
	Problem string // one line, lower case, no full stop
}

func (f Fault) String() string { return f.Key + ": " + f.Problem }

// Faults is every fault of a configuration; the error of Load.
type Faults []Fault

func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (fs *Faults) add(key, problem string) {
	// A problem is one line wherever it came from, so that one fault is one
	// line on the terminal.
	problem = strings.Join(strings.Fields(problem), " ")
	*fs = append(*fs, Fault{Key: key, Problem: problem})
}

// Load reads, overlays and validates. The error is a Faults with all that is
// wrong, never only the first thing. The Config returned beside it is what
// could be read.
func Load(src Source) (Config, error) {
	cfg := Default()
	if src.Base != nil {
		cfg = *src.Base
	}
	var faults Faults
	if !src.NoFile {
		if text, name, ok := readFile(src.Path, &faults); ok {
			decode(name, text, &cfg, &faults)
		}
	}
	overlay(&cfg, src.Environ, &faults)
	readSecretFiles(&cfg, &faults)
	cfg.validate(faults.add)
	if len(faults) == 0 {
		return cfg, nil
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return strings.Compare(a.Key, b.Key) })
	return cfg, slices.Compact(faults)
}

// readFile returns the file's text; ok is false if there is nothing to decode.
func readFile(path string, faults *Faults) (text, name string, ok bool) {
	name = path
	if path == "" {
		name = DefaultPath
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && path == "":
		return "", name, false
	case err != nil:
		faults.add(name, reason(err))
		return "", name, false
	case info.Size() > MaxFileBytes:
		faults.add(name, fmt.Sprintf("larger than %d bytes", MaxFileBytes))
		return "", name, false
	}
	b, err := os.ReadFile(name)
	if err != nil {
		faults.add(name, reason(err))
		return "", name, false
	}
	return string(b), name, true
}

// wrongType finds the key in the decoder's report of a value of a wrong type,
// for which it has no type of its own. Should its text change, the report names
// the file instead.
var wrongType = regexp.MustCompile(`^line (\d+) \(last key "([^"]*)"\): (.*)$`)

// decode lays a TOML text over cfg. A syntax error ends it; a key of a wrong
// type is reported with its key and line; every unknown key is reported.
func decode(name, text string, cfg *Config, faults *Faults) {
	md, err := toml.Decode(text, cfg)
	var pe toml.ParseError
	switch {
	case errors.As(err, &pe):
		key := name
		if pe.LastKey != "" {
			key = pe.LastKey
		}
		problem := pe.Message
		if problem == "" {
			problem = strings.TrimPrefix(pe.Error(), "toml: ")
		}
		faults.add(key, fmt.Sprintf("%s (%s line %d)", problem, name, pe.Position.Line))
		return
	case err != nil:
		key, problem := name, strings.TrimPrefix(err.Error(), "toml: ")
		if m := wrongType.FindStringSubmatch(problem); m != nil {
			key, problem = m[2], fmt.Sprintf("%s (%s line %s)", m[3], name, m[1])
		}
		faults.add(key, problem)
		return
	}
	known := keys(cfg)
	for _, key := range md.Undecoded() {
		problem := "unknown key in " + name
		if near := nearest(key.String(), known); near != "" {
			problem += ", did you mean " + near + "?"
		}
		faults.add(key.String(), problem)
	}
}

// reason is an error's cause without the operation and path that the caller
// names already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
