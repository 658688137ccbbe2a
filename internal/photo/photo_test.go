package photo_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/furima/furima/internal/photo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// intake opens an intake on a fresh directory.
func intake(t testing.TB, change func(*photo.Config)) (*photo.Intake, string) {
	t.Helper()
	cfg := photo.DefaultConfig()
	cfg.Dir = filepath.Join(t.TempDir(), "photos")
	if change != nil {
		change(&cfg)
	}
	in, err := photo.Open(cfg, photo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return in, cfg.Dir
}

// quarters is a picture whose four quarters tell how it lies.
var (
	red, green, blue, yellow = color.RGBA{220, 30, 30, 255}, color.RGBA{30, 200, 60, 255}, color.RGBA{40, 60, 220, 255}, color.RGBA{230, 220, 40, 255}
	corners                  = []color.RGBA{red, green, blue, yellow} // top left, top right, bottom left, bottom right
)

func quarters(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, c := range corners {
		x, y := i%2, i/2
		draw.Draw(img, image.Rect((x*w+1)/2, (y*h+1)/2, ((x+1)*w+1)/2, ((y+1)*h+1)/2), image.NewUniform(c), image.Point{}, draw.Src)
	}
	return img
}

func asJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// add adds an upload and returns the decoded files, largest first.
func add(t *testing.T, in *photo.Intake, data []byte) (photo.Photo, []image.Image, [][]byte) {
	t.Helper()
	p, err := in.Add(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatalf("Add: %v", err)
	}
	if !photo.ValidName(p.Name) {
		t.Errorf("name %q", p.Name)
	}
	var images []image.Image
	var files [][]byte
	for _, size := range []photo.Size{photo.Large, photo.Medium, photo.Small} {
		c, err := in.Open(t.Context(), photo.File(p.Name, size))
		if err != nil {
			t.Fatalf("Open %s: %v", size, err)
		}
		file, err := io.ReadAll(c)
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		img, err := jpeg.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("decode %s: %v", size, err)
		}
		images, files = append(images, img), append(files, file)
	}
	if b := images[0].Bounds(); b.Dx() != p.Width || b.Dy() != p.Height {
		t.Errorf("the photo says %d × %d, the file has %v", p.Width, p.Height, b)
	}
	return p, images, files
}

// wantCorners compares the middle of each quarter.
func wantCorners(t *testing.T, img image.Image, want []color.RGBA) {
	t.Helper()
	b := img.Bounds()
	for i, w := range want {
		x, y := b.Dx()*(1+2*(i%2))/4, b.Dy()*(1+2*(i/2))/4
		r, g, bl, _ := img.At(x, y).RGBA()
		d := math.Abs(float64(r>>8)-float64(w.R)) + math.Abs(float64(g>>8)-float64(w.G)) + math.Abs(float64(bl>>8)-float64(w.B))
		if d > 40 {
			t.Errorf("quarter %d is %d %d %d, want about %v", i, r>>8, g>>8, bl>>8, w)
		}
	}
}

func TestSizes(t *testing.T) {
	in, _ := intake(t, nil)
	for _, tc := range []struct {
		w, h int
		want []image.Point
	}{
		{1700, 1000, []image.Point{{1600, 941}, {800, 471}, {320, 188}}},
		{500, 900, []image.Point{{500, 900}, {444, 800}, {178, 320}}},
		{100, 50, []image.Point{{100, 50}, {100, 50}, {100, 50}}},
		{1, 1, []image.Point{{1, 1}, {1, 1}, {1, 1}}},
		{9999, 2, []image.Point{{1600, 1}, {800, 1}, {320, 1}}},
	} {
		_, images, _ := add(t, in, asPNG(t, quarters(tc.w, tc.h)))
		var got []image.Point
		for _, img := range images {
			got = append(got, img.Bounds().Size())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%d × %d (-want +got):\n%s", tc.w, tc.h, diff)
		}
	}
}

func TestFormatsAndColourModels(t *testing.T) {
	in, _ := intake(t, nil)
	const w, h = 80, 60
	base := quarters(w, h)
	convert := func(dst interface {
		image.Image
		Set(x, y int, c color.Color)
	}) image.Image {
		for y := range h {
			for x := range w {
				dst.Set(x, y, base.At(x, y))
			}
		}
		return dst
	}
	r := base.Rect
	for name, data := range map[string][]byte{
		"jpeg":             asJPEG(t, base),
		"progressive jpeg": read(t, "progressive.jpg"),
		"cmyk jpeg":        read(t, "cmyk.jpg"),
		"webp":             read(t, "lossy.webp"),
		"lossless webp":    read(t, "lossless.webp"),
		"png":              asPNG(t, base),
		"png 16 bit":       asPNG(t, convert(image.NewNRGBA64(r))),
		"png paletted":     asPNG(t, convert(image.NewPaletted(r, color.Palette{red, green, blue, yellow}))),
	} {
		t.Run(name, func(t *testing.T) {
			_, images, _ := add(t, in, data)
			for _, img := range images {
				wantCorners(t, img, corners)
			}
		})
	}
	t.Run("grey 16 bit", func(t *testing.T) {
		grey := image.NewGray16(r)
		for i := range grey.Pix {
			grey.Pix[i] = 0x80
		}
		_, images, _ := add(t, in, asPNG(t, grey))
		wantCorners(t, images[0], []color.RGBA{{128, 128, 128, 255}})
	})
	t.Run("transparent", func(t *testing.T) {
		_, images, _ := add(t, in, asPNG(t, image.NewNRGBA(r)))
		wantCorners(t, images[2], []color.RGBA{{255, 255, 255, 255}})
	})
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// exif is an EXIF block with an orientation, and a canary where a GPS position would be.
func exif(o uint16, order binary.AppendByteOrder) []byte {
	b := []byte("II*\x00")
	if order.String() == "BigEndian" {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, e := range []struct{ tag, typ, value uint16 }{{0x0100, 3, 7}, {0x0112, 3, o}} {
		b = order.AppendUint16(b, e.tag)
		b = order.AppendUint16(b, e.typ)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, e.value)
		b = order.AppendUint16(b, 0)
	}
	return append(b, canary...)
}

const canary = "GPS-CANARY-35.6581N-139.7017E"

// withExif puts an EXIF block into a picture.
func withExif(data, exif []byte) []byte {
	switch {
	case data[0] == 0xff:
		payload := append([]byte("Exif\x00\x00"), exif...)
		seg := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(payload)+2))
		return bytes.Join([][]byte{data[:2], seg, payload, data[2:]}, nil)
	case data[0] == 0x89: // after IHDR, which is 25 bytes behind the signature
		c := append([]byte("eXIf"), exif...)
		c = binary.BigEndian.AppendUint32(c, crc32.ChecksumIEEE(c))
		return bytes.Join([][]byte{data[:33], binary.BigEndian.AppendUint32(nil, uint32(len(exif))), c, data[33:]}, nil)
	default: // VP8 alone becomes VP8X with VP8 and EXIF
		if len(exif)%2 == 1 {
			exif = append(exif, 0)
		}
		cfg := []byte("VP8X\x0a\x00\x00\x00\x08\x00\x00\x00\x4f\x00\x00\x3b\x00\x00") // 80 × 60
		c := binary.LittleEndian.AppendUint32([]byte("EXIF"), uint32(len(exif)))
		body := bytes.Join([][]byte{[]byte("WEBP"), cfg, data[12:], c, exif}, nil)
		return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
	}
}

func TestOrientation(t *testing.T) {
	in, _ := intake(t, nil)
	tl, tr, bl, br := red, green, blue, yellow
	upright := [9][]color.RGBA{ // what the quarters become, by EXIF's definition of where row 0 and column 0 are
		1: {tl, tr, bl, br}, 2: {tr, tl, br, bl}, 3: {br, bl, tr, tl}, 4: {bl, br, tl, tr},
		5: {tl, bl, tr, br}, 6: {bl, tl, br, tr}, 7: {br, tr, bl, tl}, 8: {tr, br, tl, bl},
	}
	files := map[string][]byte{"jpeg": asJPEG(t, quarters(80, 60)), "png": asPNG(t, quarters(80, 60)), "webp": read(t, "lossy.webp")}
	for name, data := range files {
		for o := uint16(0); o <= 9; o++ {
			for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
				t.Run(fmt.Sprint(name, o, order), func(t *testing.T) {
					p, images, _ := add(t, in, withExif(data, exif(o, order)))
					want, w, h := upright[1], 80, 60
					if o >= 1 && o <= 8 {
						want = upright[o]
					}
					if o >= 5 && o <= 8 {
						w, h = 60, 80
					}
					if p.Width != w || p.Height != h {
						t.Errorf("%d × %d, want %d × %d", p.Width, p.Height, w, h)
					}
					for _, img := range images {
						wantCorners(t, img, want)
					}
				})
			}
		}
	}
}

func TestNothingButThePictureSurvives(t *testing.T) {
	in, dir := intake(t, nil)
	zip := []byte("PK\x03\x04" + canary + "<script>alert(1)</script>")
	for name, data := range map[string][]byte{
		"jpeg": asJPEG(t, quarters(80, 60)), "png": asPNG(t, quarters(80, 60)), "webp": read(t, "lossy.webp"),
	} {
		data = append(withExif(data, exif(1, binary.LittleEndian)), zip...)
		if name == "png" || name == "webp" {
			// What follows the end of these is never read by a decoder; it must not stay either.
			data = append(data, zip...)
		}
		_, _, files := add(t, in, data)
		for _, f := range files {
			if bytes.Contains(f, []byte("CANARY")) || bytes.Contains(f, []byte("script")) || bytes.Contains(f, []byte("Exif")) {
				t.Errorf("%s: the stored file holds what came beside the picture", name)
			}
		}
	}
	// On disk there is nothing but the files, whole.
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if !strings.HasSuffix(name, ".jpg") || filepath.Base(filepath.Dir(path)) != name[:2] {
			t.Errorf("unexpected file %s", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// bomb is the header of a picture of w × h pixels, without pixels.
func bombPNG(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	c := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	c = append(binary.BigEndian.AppendUint32(c, h), 8, 6, 0, 0, 0)
	b = append(b[:12], c...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(c))
}

func bombJPEG(w, h uint16) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xc0, 0, 17, 8}
	b = binary.BigEndian.AppendUint16(b, h)
	b = binary.BigEndian.AppendUint16(b, w)
	return append(b, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0)
}

func TestRefusals(t *testing.T) {
	in, dir := intake(t, func(c *photo.Config) { c.MaxBytes = 1 << 20 })
	good := asJPEG(t, quarters(80, 60))
	goodPNG := asPNG(t, quarters(80, 60))
	scans := append([]byte{}, bombJPEG(400, 300)[:21]...)
	for range 65 {
		scans = append(scans, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0xaa, 0xff, 0x00, 0xff, 0xd0, 0xff)
	}
	animated := withExif(read(t, "lossy.webp"), exif(1, binary.LittleEndian))
	animated[20] |= 2
	for _, tc := range []struct {
		name   string
		data   []byte
		kind   photo.Kind
		detail string
	}{
		{"empty", nil, photo.Unsupported, "not a JPEG"},
		{"text", []byte("hello, this is a text"), photo.Unsupported, "not a JPEG"},
		{"svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`), photo.Unsupported, "not a JPEG"},
		{"gif", []byte("GIF89a\x01\x00\x01\x00"), photo.Unsupported, "GIF"},
		{"heic", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), photo.Unsupported, "HEIC"},
		{"heif", []byte("\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic"), photo.Unsupported, "HEIC"},
		{"avif", []byte("\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif"), photo.Unsupported, "AVIF"},
		{"mp4", []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), photo.Unsupported, "not a JPEG"},
		{"animated webp", animated, photo.Unsupported, "animated"},
		{"too many bytes", append(append([]byte{}, good...), make([]byte, 1<<20)...), photo.TooLarge, "larger than 1048576 bytes"},
		{"png bomb", bombPNG(65_000, 65_000), photo.Invalid, "65000 × 65000"},
		{"png overflow", bombPNG(math.MaxInt32, math.MaxInt32), photo.Invalid, ""},
		{"png long side", bombPNG(10_001, 10), photo.Invalid, "10001 × 10"},
		{"png one pixel too many", bombPNG(8000, 5001), photo.Invalid, "8000 × 5001"},
		{"png without pixels", bombPNG(400, 300), photo.Invalid, "PNG picture is broken"},
		{"png no width", bombPNG(0, 300), photo.Invalid, ""},
		{"jpeg bomb", bombJPEG(65_535, 65_535), photo.Invalid, "65535 × 65535"},
		{"jpeg without pixels", bombJPEG(400, 300), photo.Invalid, "JPEG picture is broken"},
		{"jpeg of many scans", scans, photo.Invalid, "64 scans"},
		{"jpeg magic alone", []byte{0xff, 0xd8, 0xff}, photo.Invalid, "JPEG picture is broken"},
		{"truncated jpeg", good[:len(good)*2/3], photo.Invalid, "JPEG picture is broken"},
		{"truncated png", goodPNG[:len(goodPNG)-20], photo.Invalid, "PNG picture is broken"},
		{"truncated webp", read(t, "lossy.webp")[:150], photo.Invalid, "WebP picture is broken"},
		{"a png called jpeg inside", append([]byte{0xff, 0xd8, 0xff}, goodPNG...), photo.Invalid, "JPEG picture is broken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := in.Add(t.Context(), bytes.NewReader(tc.data))
			e, ok := errors.AsType[*photo.Error](err)
			if !ok || e.Kind != tc.kind || !strings.Contains(e.Detail, tc.detail) || photo.KindOf(err) != tc.kind {
				t.Errorf("got %v, want kind %d with %q", err, tc.kind, tc.detail)
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 {
		t.Errorf("refused pictures left %v", left)
	}
	// The size is cut off while reading, not afterwards.
	endless := io.MultiReader(bytes.NewReader(good), iotest.ErrReader(errors.New("read too far")))
	if _, err := in.Add(t.Context(), io.MultiReader(io.LimitReader(zeros{}, 1<<20+1), endless)); photo.KindOf(err) != photo.TooLarge {
		t.Errorf("endless upload: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReadErrorsOfTheUpload(t *testing.T) {
	in, _ := intake(t, nil)
	cut := errors.New("connection cut")
	if _, err := in.Add(t.Context(), iotest.ErrReader(cut)); !errors.Is(err, cut) || photo.KindOf(err) != 0 {
		t.Errorf("got %v, want the error of the reader and no refusal", err)
	}
	limit := &http.MaxBytesError{Limit: 10}
	if _, err := in.Add(t.Context(), iotest.ErrReader(limit)); photo.KindOf(err) != photo.TooLarge {
		t.Errorf("got %v, want a refusal of too many bytes", err)
	}
}

func TestEndedContext(t *testing.T) {
	in, _ := intake(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Add(ctx, bytes.NewReader(asJPEG(t, quarters(80, 60)))); !errors.Is(err, context.Canceled) {
		t.Errorf("Add: %v, want context canceled", err)
	}
}

func TestSamePictureIsStoredOnce(t *testing.T) {
	in, dir := intake(t, nil)
	first, err := in.AddImage(t.Context(), quarters(330, 250))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			again, err := in.Add(t.Context(), bytes.NewReader(asPNG(t, quarters(330, 250))))
			if err != nil || again != first {
				t.Errorf("got %+v, %v; want %+v", again, err, first)
			}
		})
	}
	wg.Wait()
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	if len(files) != 3 {
		t.Errorf("files %v, want 3", files)
	}
	if _, err := in.AddImage(t.Context(), image.NewRGBA(image.Rectangle{})); photo.KindOf(err) != photo.Invalid {
		t.Errorf("AddImage of nothing: %v", err)
	}
}

func TestDiskRepairsAndCleans(t *testing.T) {
	dir := t.TempDir()
	cfg := photo.DefaultConfig()
	cfg.Dir = dir
	in, err := photo.Open(cfg, photo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := in.AddImage(t.Context(), quarters(64, 64))
	if err := errors.Join(err, in.Close()); err != nil {
		t.Fatal(err)
	}
	// A file cut short, and partial files: one of a crash long ago, one being written now.
	file := filepath.Join(dir, p.Name[:2], photo.File(p.Name, photo.Large))
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	old, recent := filepath.Join(dir, "partial", "OLD"), filepath.Join(dir, "partial", "NEW")
	longAgo := time.Now().Add(-2 * time.Hour)
	if err := errors.Join(os.WriteFile(file, whole[:100], 0o644), os.WriteFile(old, nil, 0o644),
		os.WriteFile(recent, nil, 0o644), os.Chtimes(old, longAgo, longAgo)); err != nil {
		t.Fatal(err)
	}
	if in, err = photo.Open(cfg, photo.Options{}); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the abandoned file is still there: %v", err)
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("the file being written is gone: %v", err)
	}
	if _, err := in.AddImage(t.Context(), quarters(64, 64)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("the cut file has %d bytes after adding the photo again, want %d (%v)", len(got), len(whole), err)
	}
}

func TestOpenDiskNamesWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := photo.DefaultConfig()
	cfg.Dir = file
	if _, err := photo.Open(cfg, photo.Options{}); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line that names the file", err)
	}
}

// full is a storage whose disk is full.
type full struct{ photo.Storage }

func (full) Put(context.Context, ...photo.Stored) error { return errors.New("no space left") }
func (full) Close() error                               { return nil }

func TestStorageErrors(t *testing.T) {
	reg := prometheus.NewRegistry()
	in, err := photo.Open(photo.DefaultConfig(), photo.Options{Storage: full{}, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Add(t.Context(), bytes.NewReader(asJPEG(t, quarters(40, 30)))); err == nil || photo.KindOf(err) != 0 || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
	_, _ = in.Add(t.Context(), strings.NewReader("text"))
	want := `
# HELP furima_photo_uploads_total Pictures uploaded, by result.
# TYPE furima_photo_uploads_total counter
furima_photo_uploads_total{result="error"} 1
furima_photo_uploads_total{result="invalid"} 0
furima_photo_uploads_total{result="ok"} 0
furima_photo_uploads_total{result="too_large"} 0
furima_photo_uploads_total{result="unsupported"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "furima_photo_uploads_total"); err != nil {
		t.Error(err)
	}
}

func TestServe(t *testing.T) {
	in, dir := intake(t, nil)
	p, err := in.AddImage(t.Context(), quarters(330, 250))
	if err != nil {
		t.Fatal(err)
	}
	file := photo.File(p.Name, photo.Small)
	whole, err := os.ReadFile(filepath.Join(dir, p.Name[:2], file))
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, file string, header ...string) (*httptest.ResponseRecorder, error) {
		r := httptest.NewRequest(method, "/photos/x", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		return w, in.Serve(w, r, file)
	}
	w, err := get("GET", file)
	if err != nil || w.Code != 200 || !bytes.Equal(w.Body.Bytes(), whole) {
		t.Fatalf("%v: %d, %d bytes", err, w.Code, w.Body.Len())
	}
	tag := w.Header().Get("ETag")
	want := http.Header{
		"Accept-Ranges": {"bytes"}, "Cache-Control": {"public, max-age=31536000, immutable"}, "Content-Length": {fmt.Sprint(len(whole))},
		"Content-Type": {"image/jpeg"}, "Etag": {`"` + p.Name + `_s"`}, "X-Content-Type-Options": {"nosniff"},
	}
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if w, _ := get("HEAD", file); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
	if w, _ := get("GET", file, "If-None-Match", tag); w.Code != 304 {
		t.Errorf("If-None-Match: %d", w.Code)
	}
	if w, _ := get("GET", file, "Range", "bytes=10-19"); w.Code != 206 || !bytes.Equal(w.Body.Bytes(), whole[10:20]) {
		t.Errorf("Range: %d, %d bytes", w.Code, w.Body.Len())
	}
	other := strings.Repeat("a", 32)
	for _, bad := range []string{
		"", ".", "..", "../" + file, file + "/", "/" + file, p.Name, p.Name + "_x.jpg", p.Name + "_s.png", strings.ToUpper(file), file + "\x00",
		p.Name[:31] + "_s.jpg", p.Name + "a_s.jpg", "partial", other + "_s.jpg", "..%2f" + file, strings.Repeat(".", 32) + "_s.jpg", p.Name + "_s_s.jpg", file + ".jpg",
	} {
		w, err := get("GET", bad)
		if photo.KindOf(err) != photo.NotFound || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%q: %v, %d bytes written", bad, err, w.Body.Len())
		}
	}
}

func TestDecodingIsBounded(t *testing.T) {
	// A storage that holds every Put shows how many pictures are in work.
	for _, tc := range []struct {
		name      string
		w, h      int
		maxPixels int64
		at        int // how many fit at once
	}{
		{"small ones: by number", 10, 10, 10_000, 3},
		{"large ones: by pixels", 70, 70, 10_000, 2},
		{"the largest alone", 100, 100, 10_000, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hold := &holding{arrived: make(chan struct{}), release: make(chan struct{})}
			cfg := photo.DefaultConfig()
			cfg.MaxPixels, cfg.Concurrency = tc.maxPixels, 3
			in, err := photo.Open(cfg, photo.Options{Storage: hold})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for i := range 6 {
				wg.Go(func() {
					img := quarters(tc.w, tc.h)
					img.SetRGBA(0, 0, color.RGBA{uint8(i * 40), 0, 0, 255})
					_, _ = in.AddImage(ctx, img)
				})
			}
			for range tc.at {
				<-hold.arrived
			}
			cancel() // those that wait give up; a further one at work would arrive and block the test's end
			close(hold.release)
			done := make(chan struct{})
			go func() { wg.Wait(); close(done) }()
			n := 0
			for ended := false; !ended; {
				select {
				case <-hold.arrived:
					n++
				case <-done:
					ended = true
				}
			}
			if n > 0 {
				t.Errorf("%d more pictures were in work at the same time as %d", n, tc.at)
			}
		})
	}
}

type holding struct{ arrived, release chan struct{} }

func (h *holding) Put(context.Context, ...photo.Stored) error {
	h.arrived <- struct{}{}
	<-h.release
	return nil
}
func (h *holding) Open(context.Context, string) (photo.Content, error) { return nil, fs.ErrNotExist }
func (h *holding) Close() error                                        { return nil }

func TestValidateNamesEveryFault(t *testing.T) {
	var keys []string
	fault := func(key, problem string) { keys = append(keys, key) }
	photo.DefaultConfig().Validate(fault)
	if keys != nil {
		t.Errorf("the default has faults: %v", keys)
	}
	photo.Config{}.Validate(fault)
	if diff := cmp.Diff([]string{"dir", "max_bytes", "max_pixels", "max_side", "concurrency", "quality"}, keys); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func FuzzAdd(f *testing.F) {
	for _, name := range []string{"progressive.jpg", "cmyk.jpg", "lossy.webp", "lossless.webp"} {
		f.Add(read(f, name))
	}
	f.Add(withExif(asJPEG(f, quarters(16, 12)), exif(6, binary.BigEndian)))
	f.Add(withExif(asPNG(f, quarters(16, 12)), exif(6, binary.LittleEndian)))
	f.Add(bombPNG(400, 300))
	cfg := photo.DefaultConfig()
	cfg.MaxPixels, cfg.MaxSide = 1<<18, 4096
	in, err := photo.Open(cfg, photo.Options{Storage: discard{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := in.Add(t.Context(), bytes.NewReader(data))
		if (err == nil) == (photo.KindOf(err) != 0) {
			t.Errorf("error %v is no refusal", err)
		}
		if err == nil && (!photo.ValidName(p.Name) || p.Width < 1 || p.Height < 1 || p.Width > 1600 || p.Height > 1600) {
			t.Errorf("%+v", p)
		}
	})
}

type discard struct{}

func (discard) Put(context.Context, ...photo.Stored) error { return nil }
func (discard) Open(context.Context, string) (photo.Content, error) {
	return nil, fs.ErrNotExist
}
func (discard) Close() error { return nil }

// BenchmarkAdd is a picture of 12 megapixels, as phones make them.
func BenchmarkAdd(b *testing.B) {
	img := image.NewRGBA(image.Rect(0, 0, 4032, 3024))
	for i := range img.Pix {
		img.Pix[i] = byte(i*7 ^ i>>9)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: 50}); err != nil {
		b.Fatal(err)
	}
	data := buf.Bytes()
	in, err := photo.Open(photo.DefaultConfig(), photo.Options{Storage: discard{}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Add(b.Context(), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
