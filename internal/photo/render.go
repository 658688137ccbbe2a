package photo

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
)

// render makes the files of all sizes, in the order of sides, and names the photo.
func render(img image.Image, o orientation, quality int) (files [len(sides)][]byte, p Photo, err error) {
	for i, s := range sides {
		small := fit(img, s.side)
		if i > 0 && small == img {
			files[i] = files[i-1] // it was small enough already
			continue
		}
		if i == 0 {
			small = turn(small, o)
			p.Width, p.Height = small.Rect.Dx(), small.Rect.Dy()
		}
		var buf bytes.Buffer
		if err := jpeg.Encode(&buf, small, &jpeg.Options{Quality: quality}); err != nil {
			return files, Photo{}, fmt.Errorf("encode photo: %w", err)
		}
		files[i] = buf.Bytes()
		img = small
	}
	sum := sha256.Sum256(files[0])
	p.Name = names.EncodeToString(sum[:nameLen*5/8])
	return files, p, nil
}

var names = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// fit returns img scaled down so that neither side is longer than side, on white
// where one can see through it. A picture that is small enough keeps its size.
func fit(img image.Image, side int) *image.RGBA {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	long := max(w, h)
	if long <= side {
		if done, ok := img.(*image.RGBA); ok && b.Min == (image.Point{}) && done.Opaque() {
			return done
		}
		return shrink(img, 1)
	}
	w = max(1, int((int64(w)*int64(side)+int64(long)/2)/int64(long)))
	h = max(1, int((int64(h)*int64(side)+int64(long)/2)/int64(long)))
	// By whole factors first: averaging squares costs a tenth of the kernel in time
	// and memory, and leaves it less than half of the way.
	src := shrink(img, min(long/side, b.Dx(), b.Dy()))
	return scale(src, w, h)
}

// shrink returns img on white with each square of n × n pixels averaged to one. What
// is left over at the right and bottom edge, less than a square, is dropped.
func shrink(img image.Image, n int) *image.RGBA {
	b := img.Bounds()
	w, h := b.Dx()/n, b.Dy()/n
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	strip := image.NewRGBA(image.Rect(0, 0, w*n, n))
	if n == 1 {
		strip = dst
	}
	op := draw.Src
	if o, ok := img.(interface{ Opaque() bool }); !ok || !o.Opaque() {
		op = draw.Over
	}
	for y := 0; y < h; y += strip.Rect.Dy() / n {
		if op == draw.Over {
			draw.Draw(strip, strip.Rect, image.White, image.Point{}, draw.Src)
		}
		draw.Draw(strip, strip.Rect, img, b.Min.Add(image.Pt(0, y*n)), op)
		if n > 1 {
			average(dst.Pix[y*dst.Stride:][:4*w], strip, n)
		}
	}
	return dst
}

// average writes the mean of each n × n pixels of strip, which is n high, to row. All are opaque.
func average(row []byte, strip *image.RGBA, n int) {
	half, all := uint32(n*n/2), uint32(n*n)
	for x := 0; x < len(row); x += 4 {
		var r, g, b uint32
		for y := range n {
			p := strip.Pix[y*strip.Stride+x*n:][: 4*n : 4*n]
			for ; len(p) >= 4; p = p[4:] {
				r += uint32(p[0])
				g += uint32(p[1])
				b += uint32(p[2])
			}
		}
		row[x], row[x+1], row[x+2], row[x+3] = byte((r+half)/all), byte((g+half)/all), byte((b+half)/all), 255
	}
}

// turn returns img as it is seen upright. The result may be img itself.
func turn(img *image.RGBA, o orientation) *image.RGBA {
	if o == upright {
		return img
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	if o.swaps() {
		dst = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		row := img.Pix[y*img.Stride : y*img.Stride+4*w]
		for x := range w {
			var tx, ty int
			switch o {
			case 2: // mirrored
				tx, ty = w-1-x, y
			case 3: // upside down
				tx, ty = w-1-x, h-1-y
			case 4: // upside down, mirrored
				tx, ty = x, h-1-y
			case 5: // mirrored along the diagonal
				tx, ty = y, x
			case 6: // lies on its left side
				tx, ty = h-1-y, x
			case 7: // mirrored along the other diagonal
				tx, ty = h-1-y, w-1-x
			default: // 8: lies on its right side
				tx, ty = y, w-1-x
			}
			copy(dst.Pix[ty*dst.Stride+4*tx:][:4], row[4*x:4*x+4])
		}
	}
	return dst
}
