package daemon_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/furima/furima/internal/daemon"
)

func TestListenPortInUse(t *testing.T) {
	first, err := daemon.Listen(t.Context(), "api.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.Addr().String()
	_, err = daemon.Listen(t.Context(), "push.listen", addr)
	wantError(t, err, `push.listen = "`+addr+`": address already in use`)
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(file, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing", "x.sock")
	tests := []struct{ addr, want string }{
		{"8080", `must be "host:port" or "unix:/path"`},
		{"", `must be "host:port" or "unix:/path"`},
		{"127.0.0.1:http", "the port must be a number from 0 to 65535"},
		{"127.0.0.1:65536", "the port must be a number from 0 to 65535"},
		{"127.0.0.1:", "the port must be a number from 0 to 65535"},
		{"unix:", "a unix socket needs a path in the file system"},
		{"unix:@abstract", "a unix socket needs a path in the file system"},
		{"unix:/x?mode=1777", `after "?" only mode=0600 to 0777 may follow`},
		{"unix:/x?owner=me", `after "?" only mode=0600 to 0777 may follow`},
		{"unix:" + file, "a file that is not a socket is in the way"},
		{"unix:" + missing, "no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			_, err := daemon.Listen(t.Context(), "k", tt.addr)
			if err == nil || !strings.HasSuffix(err.Error(), ": "+tt.want) || !strings.HasPrefix(err.Error(), `k = "`) {
				t.Errorf("got %v, want …: %s", err, tt.want)
			}
		})
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "keep me" {
		t.Errorf("the file in the way: %q, %v", b, err)
	}
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	mode := func() os.FileMode {
		fi, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Mode().Perm()
	}
	// What a process leaves behind that was killed.
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()

	ln, err := daemon.Listen(t.Context(), "push.listen", "unix:"+path)
	if err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	if got := mode(); got != 0o660 {
		t.Errorf("default mode %o", got)
	}
	if !daemon.IsLoopback(ln.Addr()) {
		t.Error("a unix socket counts as loopback")
	}
	_, err = daemon.Listen(t.Context(), "push.listen", "unix:"+path)
	wantError(t, err, `push.listen = "unix:`+path+`": `+syscall.EADDRINUSE.Error())
	ln.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after Close: %v", err)
	}

	ln, err = daemon.Listen(t.Context(), "push.listen", "unix:"+path+"?mode=0600")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if got := mode(); got != 0o600 {
		t.Errorf("mode %o", got)
	}
}

// Whoever listens there is not gone, only of another kind.
func TestListenUnixInUseByDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.sock")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := daemon.Listen(t.Context(), "api.listen", "unix:"+path); err == nil {
		t.Error("took another program's socket")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another program's socket is gone: %v", err)
	}
}

func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true,
		"0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false,
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := daemon.IsLoopback(a); got != want {
			t.Errorf("IsLoopback(%s) = %v", addr, got)
		}
	}
}

func FuzzCheckAddr(f *testing.F) {
	for _, s := range []string{"127.0.0.1:0", "[::1]:80", "unix:/a?mode=0660", "unix:@x", ":8080", "unix:?mode="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		if err := daemon.CheckAddr(addr); err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("CheckAddr(%q) is not one line: %q", addr, err)
			}
			return
		}
		if !strings.HasPrefix(addr, "unix:") {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				t.Errorf("CheckAddr(%q) = nil, but %v", addr, err)
			}
		}
	})
}
