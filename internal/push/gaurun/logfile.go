package gaurun

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Names of log files that are none.
const (
	stdout  = "stdout"
	stderr  = "stderr"
	discard = "discard"
)

// maxUnwritten is how much of a log waits to be written before who writes it
// waits too.
const maxUnwritten = 4 << 20

// logFile is a log that many goroutines write lines to. The lines of all are
// written together, by a goroutine that lives as long as there are any: a line
// is on its way to the disk when write returns, and nobody waits for the disk
// unless it falls far behind.
type logFile struct {
	path   string // empty: not a file
	report func(error)

	mu      sync.Mutex // guards what follows
	room    *sync.Cond // signalled when lines have been written
	waiting []byte     // lines to write
	spare   []byte     // the buffer that was written last
	writing bool       // the goroutine lives
	broken  bool       // the last write did not succeed
	closed  bool

	out    sync.Mutex // held while w is written to or replaced, after mu
	w      io.Writer
	closer io.Closer // nil if w is not ours to close
}

// openLog opens a log by the name that Gaurun's configuration gives it. It
// returns nil for the one that is thrown away.
func openLog(name string, o LogOptions) (*logFile, error) {
	f := &logFile{}
	f.room = sync.NewCond(&f.mu)
	f.report = func(err error) {
		if o.Stderr != nil {
			fmt.Fprintf(o.Stderr, "furima: log %s: %v\n", name, err)
		}
	}
	switch name {
	case discard, "":
		return nil, nil
	case stdout:
		f.w = o.Stdout
	case stderr:
		f.w = o.Stderr
	default:
		file, err := openAppend(name)
		if err != nil {
			return nil, err
		}
		f.path, f.w, f.closer = name, file, file
	}
	if f.w == nil {
		return nil, nil
	}
	return f, nil
}

func openAppend(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	return file, nil
}

// write adds whole lines. A nil log takes them and forgets them.
func (f *logFile) write(lines []byte) {
	if f == nil || len(lines) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.waiting) > maxUnwritten && f.writing && !f.closed {
		f.room.Wait()
	}
	if f.closed {
		return
	}
	f.waiting = append(f.waiting, lines...)
	if !f.writing {
		f.writing = true
		go f.drain()
	}
}

// Write implements io.Writer, for one whole line.
func (f *logFile) Write(line []byte) (int, error) {
	f.write(line)
	return len(line), nil
}

// drain writes until nothing waits.
func (f *logFile) drain() {
	for {
		f.mu.Lock()
		if len(f.waiting) == 0 {
			f.writing = false
			f.room.Broadcast()
			f.mu.Unlock()
			return
		}
		lines := f.waiting
		f.waiting, f.spare = f.spare[:0], nil
		f.mu.Unlock()

		f.out.Lock()
		_, err := f.w.Write(lines)
		f.out.Unlock()

		f.mu.Lock()
		if cap(lines) <= maxUnwritten {
			f.spare = lines
		}
		first := err != nil && !f.broken
		f.broken = err != nil
		f.room.Broadcast()
		f.mu.Unlock()
		if first {
			f.report(fmt.Errorf("lines are lost: %w", err))
		}
	}
}

// reopen opens the file anew, after it was moved away. If that cannot be done
// the old one stays in use.
func (f *logFile) reopen() error {
	if f == nil || f.path == "" {
		return nil
	}
	file, err := openAppend(f.path)
	if err != nil {
		return err
	}
	f.out.Lock()
	old := f.closer
	f.w, f.closer = file, file
	f.out.Unlock()
	return old.Close()
}

// close writes what waits, and takes nothing more.
func (f *logFile) close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	f.closed = true
	for f.writing {
		f.room.Wait()
	}
	f.mu.Unlock()
	f.out.Lock()
	defer f.out.Unlock()
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// appendQuoted appends s as a JSON string. What is no UTF-8 becomes U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // the error says only that there was such
	return b
}
