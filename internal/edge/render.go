package edge

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/template"
)

// The templates.
var (
	//go:embed templates/nginx.conf
	mainText string
	//go:embed templates/site.conf
	siteText string
)

// keptVersions is how many rendered versions stay in the run directory, the
// one in force included: enough to see what changed, and to go back by hand.
const keptVersions = 5

// maxRunDir keeps the path of the probe's socket within what a socket's
// address can hold.
const maxRunDir = 90

// Tree is a rendered configuration for one run directory.
type Tree struct {
	// Version names the content: equal configurations for the same nginx have
	// the same version.
	Version string
	// RunDir is the absolute path of the run directory, which the files name.
	RunDir string
	// Files are the files of this version by path, nginx.conf and sites/*.conf.
	Files map[string][]byte

	sites []string // site names in the order of the configuration
}

// Dir returns the directory that Write puts the files into.
func (t Tree) Dir() string { return filepath.Join(t.RunDir, "versions", t.Version) }

// render makes the tree of a configuration. It reads nothing but the working
// directory's name.
func render(c Config, h host) (Tree, error) {
	if err := firstFault(c); err != nil {
		return Tree{}, err
	}
	if len(c.Sites) == 0 {
		return Tree{}, errors.New("edge.sites: there is no site to serve")
	}
	return build(c, h)
}

// build is render for a configuration that has been validated.
func build(c Config, h host) (Tree, error) {
	c = c.withDefaults()
	runDir, err := absolute(c.RunDir)
	if err != nil {
		return Tree{}, err
	}
	if len(runDir) > maxRunDir {
		return Tree{}, fmt.Errorf("edge.run_dir: %s is longer than %d bytes, and a socket's path below it would be too long", runDir, maxRunDir)
	}
	p := page{
		Version:     "0",
		User:        h.user,
		Workers:     "auto",
		Connections: c.WorkerConnections,
		Files:       2*c.WorkerConnections + 64,
		StopTimeout: words(c.StopTimeout),
		RunDir:      runDir,
		HTTP2:       h.nginx.atLeast(1, 25, 1),
		KeepIdle:    h.nginx.atLeast(1, 27, 4),
	}
	if c.Workers > 0 {
		p.Workers = strconv.Itoa(c.Workers)
	}
	if p.AccessLog, err = accessLog(c.AccessLog, p); err != nil {
		return Tree{}, err
	}
	for _, sc := range c.Sites {
		s, err := newSite(sc, h)
		if err != nil {
			return Tree{}, err
		}
		p.Sites = append(p.Sites, s)
	}
	draft, err := p.tree()
	if err != nil {
		return Tree{}, err
	}
	p.Version = draft.hash()
	return p.tree()
}

func firstFault(c Config) (err error) {
	c.Validate(func(key, problem string) {
		if err == nil {
			err = fmt.Errorf("edge.%s: %s", key, problem)
		}
	})
	return err
}

func accessLog(path string, p page) (string, error) {
	switch path {
	case "off":
		return "off", nil
	case "":
		path = filepath.Join(p.RunDir, "logs/access.log")
	}
	abs, err := absolute(path)
	if err != nil {
		return "", err
	}
	return quote(abs) + " furima buffer=32k flush=1s", nil
}

// tree executes the templates.
func (p page) tree() (Tree, error) {
	t := Tree{Version: p.Version, RunDir: p.RunDir, Files: map[string][]byte{}}
	p.VersionDir = t.Dir()
	funcs := template.FuncMap{"quote": quote}
	mainTmpl, err := template.New("nginx.conf").Funcs(funcs).Parse(mainText)
	if err != nil {
		return Tree{}, fmt.Errorf("parse template: %w", err)
	}
	siteTmpl, err := template.New("site.conf").Parse(siteText)
	if err != nil {
		return Tree{}, fmt.Errorf("parse template: %w", err)
	}
	var b bytes.Buffer
	if err := mainTmpl.Execute(&b, p); err != nil {
		return Tree{}, fmt.Errorf("render nginx.conf: %w", err)
	}
	t.Files["nginx.conf"] = bytes.Clone(b.Bytes())
	for _, s := range p.Sites {
		b.Reset()
		data := struct {
			Site     site
			HTTP2    bool
			Problems []problem
		}{s, p.HTTP2, problems(s)}
		if err := siteTmpl.Execute(&b, data); err != nil {
			return Tree{}, fmt.Errorf("render site %s: %w", s.Name, err)
		}
		t.Files["sites/"+s.Name+".conf"] = bytes.Clone(b.Bytes())
		t.sites = append(t.sites, s.Name)
	}
	return t, nil
}

// hash names the content.
func (t Tree) hash() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(t.Files)) {
		fmt.Fprintf(h, "%s\x00%d\x00", name, len(t.Files[name]))
		h.Write(t.Files[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Write puts the tree into its run directory and makes it the current one. The
// change is one rename: whoever reads current, or nginx.conf beside it, sees
// the old version or the new one.
func (t Tree) Write() error {
	if err := t.write(); err != nil {
		return err
	}
	return t.use()
}

// write puts the files into the version's own directory.
func (t Tree) write() error {
	for _, dir := range []string{"", "versions", "logs", "temp"} {
		if err := os.MkdirAll(filepath.Join(t.RunDir, dir), 0o755); err != nil {
			return fmt.Errorf("make run directory: %w", err)
		}
	}
	// Equal versions have equal files, so files that are there already may be
	// replaced even while nginx uses them; an interrupted write is mended.
	for _, name := range slices.Sorted(maps.Keys(t.Files)) {
		path := filepath.Join(t.Dir(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make version directory: %w", err)
		}
		if err := replace(path, t.Files[name], 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// replace writes a file beside its place and moves it there.
func replace(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// use makes the written version the current one and removes old ones.
func (t Tree) use() error {
	if err := link(filepath.Join("versions", t.Version), filepath.Join(t.RunDir, "current")); err != nil {
		return fmt.Errorf("switch version: %w", err)
	}
	// For people: nginx -t -c DIR/nginx.conf.
	if err := link(filepath.Join("current", "nginx.conf"), filepath.Join(t.RunDir, "nginx.conf")); err != nil {
		return fmt.Errorf("switch version: %w", err)
	}
	_ = t.prune() // an old version that cannot be removed is in nobody's way
	return nil
}

// link points a symbolic link to target, atomically.
func link(target, path string) error {
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	next := path + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// prune removes all but the newest versions.
func (t Tree) prune() error {
	versions := filepath.Join(t.RunDir, "versions")
	entries, err := os.ReadDir(versions)
	if err != nil {
		return fmt.Errorf("list versions: %w", err)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return modified(b).Compare(modified(a)) })
	kept := 1
	for _, e := range entries {
		if !e.IsDir() || e.Name() == t.Version {
			continue
		}
		if kept++; kept <= keptVersions {
			continue
		}
		if err := os.RemoveAll(filepath.Join(versions, e.Name())); err != nil {
			return fmt.Errorf("remove old version: %w", err)
		}
	}
	return nil
}
