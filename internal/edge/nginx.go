package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrNoNginx means that there is no nginx on this machine. Its text says how
// to get one.
var ErrNoNginx = errors.New("nginx is not installed (on Debian: apt-get install nginx)")

// Nginx is an nginx program.
type Nginx struct {
	Path    string
	Version [3]int
	// Args are the arguments that it was built with.
	Args []string
}

// oldest is the oldest nginx that knows every directive that is rendered.
var oldest = [3]int{1, 18, 0}

// detectTimeout bounds every run of nginx that ends by itself.
const detectTimeout = 10 * time.Second

// usualPaths are where systems put nginx outside the PATH of most people.
var usualPaths = []string{"/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx", "/opt/homebrew/bin/nginx"}

// FindNginx finds nginx and asks it what it is: the program at path, or if
// that is empty, the one in PATH or where systems put it. The error is or
// wraps ErrNoNginx if there is none.
func FindNginx(ctx context.Context, path string) (Nginx, error) {
	found := ""
	if path != "" {
		p, err := exec.LookPath(path)
		if err != nil {
			return Nginx{}, fmt.Errorf("edge.nginx = %q is no program: %w", path, ErrNoNginx)
		}
		found = p
	} else {
		for _, name := range append([]string{"nginx"}, usualPaths...) {
			if p, err := exec.LookPath(name); err == nil {
				found = p
				break
			}
		}
	}
	if found == "" {
		return Nginx{}, ErrNoNginx
	}
	found, err := filepath.Abs(found)
	if err != nil {
		return Nginx{}, fmt.Errorf("find the working directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, found, "-V")
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return Nginx{}, fmt.Errorf("ask %s for its version: %w", found, err)
	}
	n, err := parseVersion(string(out))
	n.Path = found
	return n, err
}

// environment is what nginx gets of it: nothing, since a variable NGINX would
// make it take over sockets. Its log has its times in UTC.
func environment() []string { return []string{"TZ=UTC"} }

var versionPattern = regexp.MustCompile(`(?m)^nginx version: \S*/(\d+)\.(\d+)\.(\d+)`)

// parseVersion reads what nginx -V prints.
func parseVersion(out string) (Nginx, error) {
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return Nginx{}, errors.New("the program does not say which nginx it is")
	}
	var n Nginx
	for i := range n.Version {
		v, err := strconv.Atoi(m[i+1])
		if err != nil {
			return Nginx{}, fmt.Errorf("read nginx's version: %w", err)
		}
		n.Version[i] = v
	}
	if !n.atLeast(oldest[0], oldest[1], oldest[2]) {
		return Nginx{}, fmt.Errorf("nginx %s is too old, 1.18.0 is needed", n)
	}
	_, args, _ := strings.Cut(out, "configure arguments:")
	n.Args = strings.Fields(args)
	for _, module := range []string{"--with-http_ssl_module", "--with-http_v2_module", "--with-http_stub_status_module"} {
		if !n.has(module) {
			return Nginx{}, fmt.Errorf("nginx %s was built without %s, which the edge needs", n, module)
		}
	}
	return n, nil
}

// String returns the version as nginx writes it.
func (n Nginx) String() string {
	return fmt.Sprintf("%d.%d.%d", n.Version[0], n.Version[1], n.Version[2])
}

func (n Nginx) atLeast(major, minor, patch int) bool {
	for i, v := range [3]int{major, minor, patch} {
		if n.Version[i] != v {
			return n.Version[i] > v
		}
	}
	return true
}

func (n Nginx) has(arg string) bool {
	for _, a := range n.Args {
		if a == arg {
			return true
		}
	}
	return false
}

// command is how nginx is called with a configuration file. Before it has read
// where its error log is, it complains on standard error.
func (n Nginx) command(file string, more ...string) []string {
	argv := []string{n.Path, "-c", file, "-p", filepath.Dir(file)}
	if n.atLeast(1, 19, 5) {
		argv = append(argv, "-e", "stderr")
	}
	return append(argv, more...)
}

// test lets nginx read a written tree.
func (n Nginx) test(ctx context.Context, t Tree) error {
	ctx, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	argv := n.command(filepath.Join(t.Dir(), "nginx.conf"), "-t", "-q")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if problems := complaints(stderr.String(), t); len(problems) > 0 {
		return fmt.Errorf("nginx refuses the configuration: %s", strings.Join(problems, "; "))
	}
	return fmt.Errorf("check the configuration: %w", err)
}

var (
	// 2026/11/22 10:00:00 [emerg] 12#12: *3 text, or nginx: [emerg] text
	complaintPattern = regexp.MustCompile(`^(?:nginx: |\S+ \S+ )\[(emerg|alert|crit|error)\] (?:\d+#\d+: )?(.+)$`)
	placePattern     = regexp.MustCompile(`^(.*) in (/.+):(\d+)$`)
)

// complaints returns what nginx has against a configuration, each thing once,
// with the site that it is about.
func complaints(stderr string, t Tree) []string {
	var all []string
	seen := map[string]bool{}
	for line := range strings.Lines(stderr) {
		m := complaintPattern.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		text := m[2]
		if place := placePattern.FindStringSubmatch(text); place != nil {
			text = fmt.Sprintf("%s%s (%s line %s)", t.about(place[2]), place[1], t.short(place[2]), place[3])
		}
		if !seen[text] {
			seen[text] = true
			all = append(all, text)
		}
	}
	return all
}

// about says which site a file belongs to.
func (t Tree) about(file string) string {
	for i, name := range t.sites {
		if t.short(file) == "sites/"+name+".conf" {
			return fmt.Sprintf("edge.sites[%d] (%s): ", i, name)
		}
	}
	return ""
}

func (t Tree) short(file string) string {
	if rel, err := filepath.Rel(t.Dir(), file); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return file
}

// inspect finds what rendering depends on beside the configuration.
func inspect(ctx context.Context, c Config) (host, error) {
	n, err := FindNginx(ctx, c.Nginx)
	if err != nil {
		return host{}, err
	}
	h := host{nginx: n}
	if os.Geteuid() != 0 {
		return h, nil
	}
	u, err := workerUser(c.User)
	if err != nil {
		return host{}, err
	}
	h.user = u.Username
	dir, err := filepath.Abs(c.withDefaults().RunDir)
	if err != nil {
		return host{}, fmt.Errorf("find the working directory: %w", err)
	}
	h.bodiesInMemory = !canEnter(u, dir)
	return h, nil
}

// workerUser returns who the workers are when furima runs as root.
func workerUser(name string) (*user.User, error) {
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("edge.user = %q: %w", name, err)
		}
		return u, nil
	}
	for _, name := range []string{"www-data", "nginx", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u, nil
		}
	}
	return nil, errors.New("edge.user: there is no user www-data, nginx or nobody: name the user that nginx's workers run as")
}
