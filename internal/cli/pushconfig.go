package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/furima/furima/internal/config"
	"github.com/furima/furima/internal/push/gaurun"
)

// pushFlags are Gaurun's flags, which win over the file.
type pushFlags struct {
	port            string
	workers, queues int64
	version         bool
}

// pushSetup is what furima push runs with.
type pushSetup struct {
	cfg      config.Config
	file     *gaurun.File // nil with a furima.toml, or none
	warnings []gaurun.Warning

	// opsOptional says that nobody has named an ops listener.
	opsOptional bool
}

// gaurunOptions are what Gaurun's routes go by.
func (s pushSetup) gaurunOptions(logs *gaurun.Logs) gaurun.Options {
	if s.file != nil {
		return s.file.Options(logs)
	}
	return gaurun.OptionsOf(s.cfg.Push, logs)
}

// logNames are the files that Gaurun's logs go to.
func (s pushSetup) logNames() gaurun.Log {
	if s.file != nil {
		return s.file.Log
	}
	return gaurun.Log{AccessLog: s.cfg.Push.Gaurun.AccessLog, ErrorLog: s.cfg.Push.Gaurun.ErrorLog}
}

// loadPush reads the configuration of furima push: a furima.toml or a file of
// Gaurun's.
func (p *program) loadPush(f pushFlags) (pushSetup, error) {
	path := p.configPath
	if path == "" {
		path = config.DefaultPath
	}
	if gaurun.Recognise(path) {
		return p.loadGaurun(path, f)
	}
	base := config.Default()
	base.Ops.Listen = opsListen[rolePush]
	cfg, err := p.load(&base)
	if err != nil {
		return pushSetup{}, err
	}
	if f.workers > 0 {
		cfg.Push.Workers = int(f.workers)
	}
	if f.queues > 0 {
		cfg.Push.MaxBacklog = f.queues
	}
	if f.port != "" {
		cfg.Push.Listen = listenAt(cfg.Push.Listen, f.port)
		return pushSetup{cfg: cfg}, checkListen(cfg, "-p")
	}
	return pushSetup{cfg: cfg}, nil
}

// listenAt is where -p says to listen: a bare port keeps the host of addr.
func listenAt(addr, port string) string {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return port
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// checkListen reports what is wrong with the address under the name of the flag
// that it comes from.
func checkListen(cfg config.Config, flag string) error {
	var faults config.Faults
	cfg.Push.Validate(func(key, problem string) {
		if key == "listen" {
			faults = append(faults, config.Fault{Key: flag, Problem: problem})
		}
	})
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// loadGaurun reads a file of Gaurun's. FURIMA_* variables count as well.
func (p *program) loadGaurun(path string, f pushFlags) (pushSetup, error) {
	file, warnings, err := gaurun.Load(path)
	if err != nil {
		return pushSetup{}, usageError{err}
	}
	if f.port != "" {
		file.Core.Port = f.port
	}
	if f.workers > 0 {
		file.Core.Workers = f.workers
	}
	if f.queues > 0 {
		file.Core.Queues = f.queues
	}
	if file.Core.Store == "" {
		file.Core.Store = p.stateStore()
	}
	var faults config.Faults
	file.Validate(func(key, problem string) {
		faults = append(faults, config.Fault{Key: key, Problem: problem})
	})
	base := config.Default()
	base.Ops.Listen = opsListen[rolePush]
	base.Ops.StopTimeout = file.StopTimeout()
	base.Push = file.Config()
	cfg, err := config.Load(config.Source{NoFile: true, Base: &base, Environ: p.configEnviron()})
	var more config.Faults
	if err != nil && !errors.As(err, &more) {
		return pushSetup{}, err
	}
	for _, fault := range more {
		// What the file says is reported under its own keys.
		if len(faults) == 0 || !strings.HasPrefix(fault.Key, "push.") {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return pushSetup{}, faults
	}
	if host, _, err := net.SplitHostPort(cfg.Push.Listen); err == nil && host == "" && len(cfg.Push.Tokens) == 0 {
		warnings = append(warnings, gaurun.Warning{Key: "core.port", Problem: fmt.Sprintf(
			"%s is open to every machine that reaches this one, without a token, as in Gaurun; name FURIMA_PUSH_LISTEN=127.0.0.1:%s to close it", file.Core.Port, file.Core.Port)})
	}
	return pushSetup{cfg: cfg, file: &file, warnings: warnings, opsOptional: cfg.Ops.Listen == base.Ops.Listen}, nil
}

// stateStore is where the queue is if neither the file nor FURIMA_PUSH_STORE
// says: in the service's state directory if systemd has made one, else where it
// is with a furima.toml.
func (p *program) stateStore() string {
	dir, _, _ := strings.Cut(environment(p.env.Environ, "STATE_DIRECTORY"), ":")
	if dir == "" {
		return ""
	}
	return "sqlite:" + filepath.Join(dir, "push.db")
}

// environment returns the value of a variable, "" if it is not set.
func environment(environ []string, name string) string {
	i := slices.IndexFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	if i < 0 {
		return ""
	}
	return environ[i][len(name)+1:]
}

// serverStarterVariable names the sockets that server-starter hands over:
// "addr=fd" or "/path=fd", separated by semicolons.
const serverStarterVariable = "SERVER_STARTER_PORT"

// inheritedListener returns the first listener that server-starter hands over,
// nil if there is none.
func inheritedListener(environ []string) (net.Listener, error) {
	first, _, _ := strings.Cut(environment(environ, serverStarterVariable), ";")
	if first == "" {
		return nil, nil
	}
	addr, number, _ := strings.Cut(first, "=")
	fd, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is not addr=fd", serverStarterVariable, first)
	}
	file := os.NewFile(uintptr(fd), addr)
	if file == nil {
		return nil, fmt.Errorf("%s: %d is no file", serverStarterVariable, fd)
	}
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %s is no listener: %w", serverStarterVariable, addr, errors.Join(err, file.Close()))
	}
	return ln, file.Close() // ln has a copy
}
