package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// defaultSocketMode lets the owner and the group of the process connect.
const defaultSocketMode = 0o660

// Listen opens a listener on addr: "host:port" (port 0 takes a free one) or
// "unix:/path", to which "?mode=0666" may be added; the default mode is 0660.
// A socket file that a dead process has left behind is replaced. An error is
// one line that names key, the configuration key that addr comes from, and
// addr. The caller closes the listener; a Server does it for its caller.
func Listen(ctx context.Context, key, addr string) (net.Listener, error) {
	if err := CheckAddr(addr); err != nil {
		return nil, fmt.Errorf("%s = %q: %w", key, addr, err)
	}
	ln, err := listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("%s = %q: %w", key, addr, plain(err))
	}
	return ln, nil
}

// plain strips what the key and the address already say from a network error.
func plain(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// CheckAddr says what is wrong with an address for Listen, without using it.
func CheckAddr(addr string) error {
	if rest, ok := strings.CutPrefix(addr, "unix:"); ok {
		_, _, err := splitSocket(rest)
		return err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New(`must be "host:port" or "unix:/path"`)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return errors.New("the port must be a number from 0 to 65535")
	}
	return nil
}

// splitSocket splits PATH[?mode=0NNN].
func splitSocket(s string) (path string, mode fs.FileMode, err error) {
	path, query, found := strings.Cut(s, "?")
	if path == "" || path[0] == '@' {
		return "", 0, errors.New("a unix socket needs a path in the file system")
	}
	if !found {
		return path, defaultSocketMode, nil
	}
	digits, ok := strings.CutPrefix(query, "mode=")
	n, err := strconv.ParseUint(digits, 8, 32)
	if !ok || err != nil || n > 0o777 {
		return "", 0, errors.New(`after "?" only mode=0600 to 0777 may follow`)
	}
	return path, fs.FileMode(n), nil
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	rest, ok := strings.CutPrefix(addr, "unix:")
	if !ok {
		return lc.Listen(ctx, "tcp", addr)
	}
	path, mode, err := splitSocket(rest)
	if err != nil {
		return nil, err
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, join(err, ln.Close())
	}
	return ln, nil
}

// removeStale removes the socket at path if nobody listens on it. It never
// removes anything that is not a socket.
func removeStale(ctx context.Context, path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return errors.New("a file that is not a socket is in the way")
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return join(syscall.EADDRINUSE, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// IsLoopback reports whether only processes on this machine can reach a.
func IsLoopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().IsLoopback()
}
