// Package photo takes people's pictures in and gives them out again.
//
// A picture is checked before it is decoded, turned upright, scaled to three
// sizes and written as JPEG anew, so that nothing of the upload survives but what one can see: no
// place, no date, no trailing data. A photo's name is the hash of its largest
// size: the same picture is stored once, and a URL never changes its meaning.
//
//	photos, err := photo.Open(cfg, photo.Options{Registerer: reg})
//	if err != nil {
//		return err
//	}
//	defer photos.Close()
//	p, err := photos.Add(ctx, upload)  // photo.KindOf(err): 413, 415 or 422
//	url := "/photos/" + photo.File(p.Name, photo.Small)
//	err = photos.Serve(w, r, photo.File(p.Name, photo.Small))
//
// It does not know users or items, does not delete, does not convert colour profiles
// (they are dropped), and decodes no HEIC: there is no decoder in pure Go.
//
// All methods are safe for concurrent use. Decoding is bounded by
// Config.Concurrency and Config.MaxPixels over all callers.
package photo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// Kind says why a picture is refused, or not given.
type Kind uint8

// The kinds of Error, and the HTTP status that each means.
const (
	TooLarge    Kind = iota + 1 // 413: more bytes than Config.MaxBytes
	Unsupported                 // 415: not a JPEG, PNG or WebP picture
	Invalid                     // 422: broken, too many pixels, too complicated
	NotFound                    // 404: no such photo, or not a name of one
)

// Error is a refusal.
type Error struct {
	Kind   Kind
	Detail string // for people outside: one line without what they sent
	Err    error  // the cause, not for people outside; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Detail + ": " + e.Err.Error()
	}
	return e.Detail
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the Error in err, or 0 if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// Size is one of the sizes in which a photo is stored.
type Size string

// The sizes, by the longest side that a photo has in them. A smaller picture is not enlarged.
const (
	Small  Size = "s" // 320 pixels: lists
	Medium Size = "m" // 800 pixels: a phone's width
	Large  Size = "l" // 1600 pixels
)

// sides are the sizes from the largest, each of which is scaled from the one before.
var sides = [...]struct {
	size Size
	side int
}{{Large, 1600}, {Medium, 800}, {Small, 320}}

// Photo is a stored photo.
type Photo struct {
	Name          string // 32 characters a-z and 2-7
	Width, Height int    // of the large size, in pixels
}

// nameLen is the length of a name: 160 bits in base32.
const nameLen = 32

// ValidName reports whether name has the form of a photo's name.
func ValidName(name string) bool {
	if len(name) != nameLen {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// File returns the file of a photo in one size, as in "NAME_s.jpg". It is the last part of
// its URL.
func File(name string, s Size) string { return name + "_" + string(s) + ".jpg" }

// validFile reports whether file has the form that File gives.
func validFile(file string) bool {
	name, rest, _ := strings.Cut(file, "_")
	return ValidName(name) && (rest == "s.jpg" || rest == "m.jpg" || rest == "l.jpg")
}

// Content is an open file of a photo.
type Content = io.ReadSeekCloser

// Stored is a file to be stored.
type Stored struct {
	File string
	Data []byte
}

// Storage keeps files. File names are those that File returns. It must be safe for concurrent use.
type Storage interface {
	// Put stores the files of one photo, in their order; when it returns nil, they outlive
	// a crash. A file that is there already has the same meaning and may be left as it is.
	Put(ctx context.Context, files ...Stored) error
	// Open opens a file. If there is none, the error is fs.ErrNotExist.
	Open(ctx context.Context, file string) (Content, error)
	// Close frees what the storage holds.
	Close() error
}

// Options are what an Intake needs besides its configuration. The zero value works.
type Options struct {
	Storage    Storage               // nil: files under Config.Dir; otherwise the Intake closes it
	Registerer prometheus.Registerer // nil: metrics are not registered
}

// Intake takes photos in and gives them out. Make one with Open.
type Intake struct {
	cfg     Config
	storage Storage
	metrics *metrics
	pixels  *semaphore.Weighted // what is being decoded
}

// Open opens the storage. The caller closes the Intake.
func Open(cfg Config, o Options) (*Intake, error) {
	if o.Storage == nil {
		disk, err := OpenDisk(cfg.Dir)
		if err != nil {
			return nil, err
		}
		o.Storage = disk
	}
	return &Intake{
		cfg:     cfg,
		storage: o.Storage,
		metrics: newMetrics(o.Registerer),
		pixels:  semaphore.NewWeighted(cfg.MaxPixels),
	}, nil
}

// Close closes the storage.
func (in *Intake) Close() error { return in.storage.Close() }

// Add takes in the picture that r holds. When it returns, the photo is on disk
// in all sizes. A refusal is an *Error; any other error is ours or that of r.
func (in *Intake) Add(ctx context.Context, r io.Reader) (Photo, error) {
	begin := time.Now()
	p, err := in.add(ctx, r)
	in.metrics.done(begin, err)
	return p, err
}

func (in *Intake) add(ctx context.Context, r io.Reader) (Photo, error) {
	data, err := in.read(r)
	if err != nil {
		return Photo{}, err
	}
	src, err := in.check(data)
	if err != nil {
		return Photo{}, err
	}
	release, err := in.acquire(ctx, int64(src.width)*int64(src.height))
	if err != nil {
		return Photo{}, err
	}
	defer release()
	img, err := src.decode(ctx)
	if err != nil {
		return Photo{}, err
	}
	return in.store(ctx, img, src.orientation)
}

// AddImage takes in a picture that the program itself has made.
func (in *Intake) AddImage(ctx context.Context, img image.Image) (Photo, error) {
	b := img.Bounds()
	if b.Empty() {
		return Photo{}, &Error{Kind: Invalid, Detail: "the picture is empty"}
	}
	release, err := in.acquire(ctx, int64(b.Dx())*int64(b.Dy()))
	if err != nil {
		return Photo{}, err
	}
	defer release()
	return in.store(ctx, img, upright)
}

// read reads an upload up to its largest size.
func (in *Intake) read(r io.Reader) ([]byte, error) {
	var buf bytes.Buffer
	_, err := buf.ReadFrom(io.LimitReader(r, in.cfg.MaxBytes+1))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || int64(buf.Len()) > in.cfg.MaxBytes {
		return nil, &Error{Kind: TooLarge, Detail: fmt.Sprintf("the photo is larger than %d bytes", in.cfg.MaxBytes)}
	}
	if err != nil {
		return nil, fmt.Errorf("read the upload: %w", err)
	}
	return buf.Bytes(), nil
}

// acquire waits for room to decode. Together all pictures that are decoded have at most MaxPixels
// pixels, and each counts as if it had a fair share: the number is bounded too.
func (in *Intake) acquire(ctx context.Context, pixels int64) (release func(), err error) {
	share := in.cfg.MaxPixels / int64(max(in.cfg.Concurrency, 1))
	n := min(max(pixels, share, 1), in.cfg.MaxPixels)
	if err := in.pixels.Acquire(ctx, n); err != nil {
		return nil, fmt.Errorf("wait to decode a photo: %w", err)
	}
	return func() { in.pixels.Release(n) }, nil
}

// store scales img, turns it upright and stores all sizes, the largest last: it is
// there only if the others are.
func (in *Intake) store(ctx context.Context, img image.Image, o orientation) (Photo, error) {
	files, p, err := render(img, o, in.cfg.Quality)
	if err != nil {
		return Photo{}, err
	}
	var all [len(sides)]Stored
	for i, data := range files {
		all[len(sides)-1-i] = Stored{File(p.Name, sides[i].size), data}
		in.metrics.bytes.Add(float64(len(data)))
	}
	if err := in.storage.Put(ctx, all[:]...); err != nil {
		return Photo{}, fmt.Errorf("store photo %s: %w", p.Name, err)
	}
	return p, nil
}

// Open opens a file, as named by File. The caller closes it. If there is none, or file
// is no such name, the kind of the error is NotFound.
func (in *Intake) Open(ctx context.Context, file string) (Content, error) {
	if !validFile(file) {
		return nil, &Error{Kind: NotFound, Detail: "there is no such photo"}
	}
	c, err := in.storage.Open(ctx, file)
	if isNotExist(err) {
		return nil, &Error{Kind: NotFound, Detail: "there is no such photo", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("open photo %s: %w", file, err)
	}
	return c, nil
}

// Serve answers the GET or HEAD request r with a file, as named by File; ranges and
// conditional requests are understood. The answer may be kept for a year. With an error (see Open)
// nothing has been written.
func (in *Intake) Serve(w http.ResponseWriter, r *http.Request, file string) error {
	c, err := in.Open(r.Context(), file)
	if err != nil {
		return err
	}
	defer c.Close()
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+strings.TrimSuffix(file, ".jpg")+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, c)
	return nil
}
