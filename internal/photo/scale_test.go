package photo

import (
	"image"
	"image/color"
	"math"
	"testing"

	"golang.org/x/image/draw"
)

// busy is a picture with edges, gradients and noise.
func busy(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	x := uint32(1)
	for i := 0; i < len(img.Pix); i += 4 {
		px, py := i/4%w, i/4/w
		x = x*1664525 + 1013904223
		c := color.RGBA{byte(px * 255 / w), byte(py * 255 / h), byte(x >> 24), 255}
		if (px/17+py/23)%2 == 0 {
			c.R, c.G = 255-c.G, c.B
		}
		img.SetRGBA(px, py, c)
	}
	return img
}

// TestScaleAgainstXImage holds the scaler against the one in floating point.
func TestScaleAgainstXImage(t *testing.T) {
	for _, tc := range []struct{ w, h, tw, th int }{
		{200, 150, 160, 120}, {200, 150, 101, 77}, {199, 3, 100, 2}, {50, 50, 49, 1}, {64, 64, 64, 64}, {5, 1, 4, 1},
	} {
		src := busy(tc.w, tc.h)
		want := image.NewRGBA(image.Rect(0, 0, tc.tw, tc.th))
		draw.CatmullRom.Scale(want, want.Rect, src, src.Rect, draw.Src, nil)
		got := scale(src, tc.tw, tc.th)
		worst, sum := 0.0, 0.0
		for i := range want.Pix {
			d := math.Abs(float64(want.Pix[i]) - float64(got.Pix[i]))
			worst, sum = max(worst, d), sum+d
		}
		// The eight bits between the passes cut what overshoots at hard edges.
		if mean := sum / float64(len(want.Pix)); mean > 1.5 || worst > 40 {
			t.Errorf("%+v: differs by %.2f on average, %v at worst", tc, mean, worst)
		}
	}
}

func TestScaleKeepsPlainColours(t *testing.T) {
	for _, v := range []byte{0, 1, 127, 254, 255} {
		src := image.NewRGBA(image.Rect(0, 0, 301, 97))
		for i := range src.Pix {
			src.Pix[i] = v
			if i%4 == 3 {
				src.Pix[i] = 255
			}
		}
		for _, dst := range []*image.RGBA{scale(src, 160, 50), scale(src, 1, 1), scale(src, 400, 100), shrink(src, 3)} {
			for i, got := range dst.Pix {
				if i%4 != 3 && got != v || i%4 == 3 && got != 255 {
					t.Fatalf("%d became %d in %v", v, got, dst.Rect)
				}
			}
		}
	}
}

func TestFitNeverEnlargesNorLosesASide(t *testing.T) {
	for w := 1; w < 400; w += 31 {
		for _, h := range []int{1, 2, 3, 33, 64, 65, 127, 128, 129, 399} {
			got := fit(image.NewNRGBA(image.Rect(5, 6, 5+w, 6+h)), 64).Rect
			long := max(w, h)
			scaled := func(v int) int { return max(1, min(v, int(math.Round(float64(v)*64/float64(max(long, 64)))))) }
			if got.Min != (image.Point{}) || got.Dx() != scaled(w) || got.Dy() != scaled(h) {
				t.Errorf("%d × %d became %v, want %d × %d", w, h, got, scaled(w), scaled(h))
			}
		}
	}
}

func BenchmarkScale(b *testing.B) {
	src := busy(2016, 1512)
	b.Run("furima", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			scale(src, 1600, 1200)
		}
	})
	b.Run("x-image", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst := image.NewRGBA(image.Rect(0, 0, 1600, 1200))
			draw.CatmullRom.Scale(dst, dst.Rect, src, src.Rect, draw.Src, nil)
		}
	})
}

func FuzzExif(f *testing.F) {
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"))
	f.Add([]byte("MM\x00*\xff\xff\xff\xff"))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II*\x00\xff\xda"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WEBPEXIF\xff\xff\xff\xff"))
	f.Add([]byte("\x89PNG\r\n\x1a\n\xff\xff\xff\xffeXIf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, exif := range [][]byte{data, exifOfJPEG(data), exifOfPNG(data), exifOfWebP(data)} {
			if o := orientationOf(exif); o < 1 || o > 8 {
				t.Errorf("orientation %d", o)
			}
		}
		refuseJPEG(data)
		refuseWebP(data)
	})
}
