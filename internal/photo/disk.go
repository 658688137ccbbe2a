package photo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// Disk keeps photos as files: DIR/ab/abcd…_l.jpg, in a directory for the first two characters of the
// name, so that none gets too long. A web server may serve them from there.
// Several processes may share one directory.
type Disk struct {
	root *os.Root
}

const (
	partial = "partial" // files that are being written
	// abandoned is the age from which a partial file is left over from a crash.
	abandoned = time.Hour
)

// OpenDisk opens the directory dir, and makes it if it is missing. The caller closes the Disk.
func OpenDisk(dir string) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the photo directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the photo directory: %w", err)
	}
	d := &Disk{root: root}
	if err := d.clean(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the photo directory %s: %w", dir, err), root.Close())
	}
	return d, nil
}

// clean makes the directory of partial files, and removes those of a process that
// crashed.
func (d *Disk) clean() error {
	if err := d.root.MkdirAll(partial, 0o755); err != nil {
		return err
	}
	left, err := fs.ReadDir(d.root.FS(), partial)
	if err != nil {
		return err
	}
	for _, e := range left {
		if info, err := e.Info(); err != nil || time.Since(info.ModTime()) < abandoned {
			continue // gone, or another process is writing it
		}
		if err := d.root.Remove(path.Join(partial, e.Name())); err != nil && !isNotExist(err) {
			return err
		}
	}
	return nil
}

// Close closes the directory.
func (d *Disk) Close() error { return d.root.Close() }

// Open opens a file.
func (d *Disk) Open(_ context.Context, file string) (Content, error) {
	if !validFile(file) {
		return nil, fs.ErrNotExist
	}
	f, err := d.root.Open(place(file))
	if err != nil {
		return nil, err // a plain return would make a nil *os.File a Content
	}
	return f, nil
}

// Put writes each file under another name, syncs it and renames it: under its name there
// is the whole file or none.
func (d *Disk) Put(_ context.Context, files ...Stored) error {
	dirs := map[string]bool{}
	for _, f := range files {
		if !validFile(f.File) {
			return fmt.Errorf("put %q: not the name of a photo", f.File)
		}
		if info, err := d.root.Stat(place(f.File)); err == nil && info.Size() == int64(len(f.Data)) {
			continue
		}
		dir := path.Dir(place(f.File))
		if err := d.mkdir(dir); err != nil {
			return err
		}
		if err := d.put(f); err != nil {
			return err
		}
		dirs[dir] = true
	}
	for dir := range dirs {
		if err := d.sync(dir); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) mkdir(dir string) error {
	switch err := d.root.Mkdir(dir, 0o755); {
	case err == nil:
		return d.sync(".")
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	return nil
}

func (d *Disk) put(f Stored) error {
	temp := path.Join(partial, rand.Text())
	err := d.write(temp, f.Data)
	if err == nil {
		err = d.root.Rename(temp, place(f.File))
	}
	if err != nil {
		return errors.Join(err, ignoreNotExist(d.root.Remove(temp)))
	}
	return nil
}

func (d *Disk) write(name string, data []byte) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// sync makes the names in a directory durable.
func (d *Disk) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // a file system that cannot sync directories
	}
	return errors.Join(err, f.Close())
}

func place(file string) string { return file[:2] + "/" + file }

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func ignoreNotExist(err error) error {
	if isNotExist(err) {
		return nil
	}
	return err
}
