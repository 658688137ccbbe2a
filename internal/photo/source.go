package photo

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// source is an upload that has passed the checks which need no decoding.
type source struct {
	format        *format
	data          []byte
	width, height int
	orientation   orientation
}

// format is one of those that are taken. Decoders are named here and not registered
// globally: no import elsewhere in the program widens what people may upload.
type format struct {
	name   string
	magic  func(data []byte) bool
	config func(r io.Reader) (image.Config, error)
	decode func(r io.Reader) (image.Image, error)
	exif   func(data []byte) []byte // the EXIF block, or nil
	refuse func(data []byte) *Error // further checks; may be nil
}

var formats = []*format{
	{
		name:   "JPEG",
		magic:  func(d []byte) bool { return bytes.HasPrefix(d, []byte{0xff, 0xd8, 0xff}) },
		config: jpeg.DecodeConfig, decode: jpeg.Decode, exif: exifOfJPEG, refuse: refuseJPEG,
	},
	{
		name:   "PNG",
		magic:  func(d []byte) bool { return bytes.HasPrefix(d, []byte("\x89PNG\r\n\x1a\n")) },
		config: png.DecodeConfig, decode: png.Decode, exif: exifOfPNG,
	},
	{
		name:   "WebP",
		magic:  func(d []byte) bool { return len(d) >= 12 && string(d[:4]) == "RIFF" && string(d[8:12]) == "WEBP" },
		config: webp.DecodeConfig, decode: webp.Decode, exif: exifOfWebP, refuse: refuseWebP,
	},
}

// check recognises the picture by its first bytes, whatever the client says it is, and refuses what
// would be too much to decode.
func (in *Intake) check(data []byte) (*source, error) {
	f := formatOf(data)
	if f == nil {
		return nil, &Error{Kind: Unsupported, Detail: unsupported(data)}
	}
	if f.refuse != nil {
		if err := f.refuse(data); err != nil {
			return nil, err
		}
	}
	c, err := guarded(func() (image.Config, error) { return f.config(bytes.NewReader(data)) })
	if err != nil {
		return nil, broken(f, err)
	}
	if c.Width < 1 || c.Height < 1 {
		return nil, &Error{Kind: Invalid, Detail: "the picture is empty"}
	}
	if c.Width > in.cfg.MaxSide || c.Height > in.cfg.MaxSide || int64(c.Width)*int64(c.Height) > in.cfg.MaxPixels {
		return nil, &Error{Kind: Invalid, Detail: fmt.Sprintf("the picture has %d × %d pixels; a side may have %d and the whole %d",
			c.Width, c.Height, in.cfg.MaxSide, in.cfg.MaxPixels)}
	}
	return &source{format: f, data: data, width: c.Width, height: c.Height, orientation: orientationOf(f.exif(data))}, nil
}

func formatOf(data []byte) *format {
	for _, f := range formats {
		if f.magic(data) {
			return f
		}
	}
	return nil
}

// unsupported says what people are told about data that is no format of ours.
func unsupported(data []byte) string {
	if len(data) >= 12 && string(data[4:8]) == "ftyp" {
		switch string(data[8:12]) {
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1":
			return "HEIC pictures are not supported: send JPEG, PNG or WebP"
		case "avif", "avis":
			return "AVIF pictures are not supported: send JPEG, PNG or WebP"
		}
	}
	if bytes.HasPrefix(data, []byte("GIF8")) {
		return "GIF pictures are not supported: send JPEG, PNG or WebP"
	}
	return "this is not a JPEG, PNG or WebP picture"
}

// decode decodes the picture. It stops within a moment when ctx ends, except for WebP, whose decoder reads all at once.
func (s *source) decode(ctx context.Context) (image.Image, error) {
	img, err := guarded(func() (image.Image, error) {
		return s.format.decode(&reader{ctx: ctx, r: bytes.NewReader(s.data)})
	})
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("decode a photo: %w", context.Cause(ctx))
	case err != nil:
		return nil, broken(s.format, err)
	case img.Bounds().Dx() != s.width || img.Bounds().Dy() != s.height:
		return nil, broken(s.format, fmt.Errorf("announced %d × %d pixels, has %v", s.width, s.height, img.Bounds()))
	}
	return img, nil
}

func broken(f *format, err error) *Error {
	return &Error{Kind: Invalid, Detail: "the " + f.name + " picture is broken", Err: err}
}

// guarded turns a panic of a decoder into an error: what people upload must not be able to
// end a background worker.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoder panicked: %v", p)
		}
	}()
	return f()
}

// reader ends reading when its context ends. It lives for one call.
type reader struct {
	ctx interface{ Err() error }
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// maxScans bounds the scans of a JPEG. Encoders make about ten; each one walks over the
// whole picture, so that thousands of empty ones in a small file would occupy a core for minutes.
const maxScans = 64

func refuseJPEG(data []byte) *Error {
	scans := 0
	walkJPEG(data, func(marker byte, _ []byte) bool {
		if marker == markerSOS {
			scans++
		}
		return scans <= maxScans
	})
	if scans > maxScans {
		return &Error{Kind: Invalid, Detail: fmt.Sprintf("the JPEG picture has more than %d scans", maxScans)}
	}
	return nil
}

// refuseWebP refuses animations, which the decoder would call broken.
func refuseWebP(data []byte) *Error {
	const animated = 1 << 1
	if len(data) > 20 && string(data[12:16]) == "VP8X" && data[20]&animated != 0 {
		return &Error{Kind: Unsupported, Detail: "animated WebP pictures are not supported"}
	}
	return nil
}

const (
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerAPP1 = 0xe1
)

// walkJPEG calls f with each segment, until f returns false or the data makes no sense.
// It sees every segment that image/jpeg does: between segments, that too looks for
// the next 0xff, and in coded data it stops at any marker but the restart that it expects.
func walkJPEG(data []byte, f func(marker byte, payload []byte) bool) {
	for i := 0; i+1 < len(data); {
		if data[i] != 0xff { // coded picture, or filling
			n := bytes.IndexByte(data[i:], 0xff)
			if n < 0 {
				return
			}
			i += n
			continue
		}
		marker := data[i+1]
		switch {
		case marker == 0xff:
			i++ // filling
			continue
		case marker == 0 || marker == 0x01 || marker >= 0xd0 && marker <= markerSOI:
			i += 2 // an escaped byte, or a marker without length
			continue
		case marker == markerEOI:
			return
		}
		if i+4 > len(data) {
			return
		}
		end := i + 2 + int(binary.BigEndian.Uint16(data[i+2:]))
		if end < i+4 || end > len(data) {
			return
		}
		if !f(marker, data[i+4:end]) {
			return
		}
		i = end
	}
}
