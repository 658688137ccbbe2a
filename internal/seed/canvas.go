package seed

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"strconv"
	"strings"

	"golang.org/x/image/vector"
)

// canvas draws flat shapes with smooth edges. Its unit is a hundredth of a
// side; (0, 0) is the upper left corner.
type canvas struct {
	img  *image.RGBA
	unit float64 // pixels
	z    vector.Rasterizer
	// at places what is drawn next: turned and scaled around the middle, then moved.
	// base does the same to the whole afterwards.
	at, base placement

	measuring   bool
	least, most point
}

type placement struct {
	turn   float64 // degrees, clockwise
	scale  float64
	dx, dy float64
}

var inPlace = placement{scale: 1}

func newCanvas(side int) *canvas {
	return &canvas{img: image.NewRGBA(image.Rect(0, 0, side, side)), unit: float64(side) / 100, at: inPlace, base: inPlace}
}

type point struct{ x, y float64 }

// path is a closed outline of lines and curves.
type path struct {
	steps []step
}

type step struct {
	kind byte // M, L, Q, C
	p    [3]point
}

func (p *path) move(a point)        { p.steps = append(p.steps, step{'M', [3]point{a}}) }
func (p *path) line(a point)        { p.steps = append(p.steps, step{'L', [3]point{a}}) }
func (p *path) cubic(a, b, c point) { p.steps = append(p.steps, step{'C', [3]point{a, b, c}}) }

// svg reads the notation of SVG's paths, of which it knows M, L, Q, C and Z with absolute
// coordinates. It panics on anything else: paths are constants, and tests draw all of them.
func svg(d string) *path {
	var p path
	fields := strings.Fields(d)
	var kind byte
	for len(fields) > 0 {
		if f := fields[0]; len(f) == 1 && f[0] >= 'A' {
			kind, fields = f[0], fields[1:]
			if kind == 'Z' {
				continue
			}
		}
		n := map[byte]int{'M': 1, 'L': 1, 'Q': 2, 'C': 3}[kind]
		var pts [3]point
		for i := range n {
			pts[i] = point{number(fields[2*i]), number(fields[2*i+1])}
		}
		p.steps = append(p.steps, step{kind, pts})
		fields = fields[2*n:]
		if n == 0 {
			panic("no such step in a path: " + string(kind))
		}
	}
	return &p
}

func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return v
}

// round is a rectangle with round corners.
func round(x, y, w, h, r float64) *path {
	const k = 0.5523 // of a quarter of a circle
	r = min(r, w/2, h/2)
	var p path
	p.move(point{x + r, y})
	p.line(point{x + w - r, y})
	p.cubic(point{x + w - r + k*r, y}, point{x + w, y + r - k*r}, point{x + w, y + r})
	p.line(point{x + w, y + h - r})
	p.cubic(point{x + w, y + h - r + k*r}, point{x + w - r + k*r, y + h}, point{x + w - r, y + h})
	p.line(point{x + r, y + h})
	p.cubic(point{x + r - k*r, y + h}, point{x, y + h - r + k*r}, point{x, y + h - r})
	p.line(point{x, y + r})
	p.cubic(point{x, y + r - k*r}, point{x + r - k*r, y}, point{x + r, y})
	return &p
}

func ellipse(cx, cy, rx, ry float64) *path {
	const k = 0.5523
	var p path
	p.move(point{cx + rx, cy})
	p.cubic(point{cx + rx, cy + k*ry}, point{cx + k*rx, cy + ry}, point{cx, cy + ry})
	p.cubic(point{cx - k*rx, cy + ry}, point{cx - rx, cy + k*ry}, point{cx - rx, cy})
	p.cubic(point{cx - rx, cy - k*ry}, point{cx - k*rx, cy - ry}, point{cx, cy - ry})
	p.cubic(point{cx + k*rx, cy - ry}, point{cx + rx, cy - k*ry}, point{cx + rx, cy})
	return &p
}

func circle(cx, cy, r float64) *path { return ellipse(cx, cy, r, r) }

func polygon(xy ...float64) *path {
	var p path
	p.move(point{xy[0], xy[1]})
	for i := 2; i < len(xy); i += 2 {
		p.line(point{xy[i], xy[i+1]})
	}
	return &p
}

// star has n points between radius r and inner radius q.
func star(cx, cy, r, q float64, n int) *path {
	var p path
	for i := range 2 * n {
		radius := r
		if i%2 == 1 {
			radius = q
		}
		a := math.Pi * (float64(i)/float64(n) - 0.5)
		v := point{cx + radius*math.Cos(a), cy + radius*math.Sin(a)}
		if i == 0 {
			p.move(v)
		} else {
			p.line(v)
		}
	}
	return &p
}

// flat returns the path as polylines, one a subpath.
func (p *path) flat() [][]point {
	var lines [][]point
	var last point
	for _, s := range p.steps {
		if s.kind == 'M' {
			lines = append(lines, []point{s.p[0]})
			last = s.p[0]
			continue
		}
		line := &lines[len(lines)-1]
		const n = 16
		switch s.kind {
		case 'L':
			*line = append(*line, s.p[0])
			last = s.p[0]
		case 'Q':
			for i := 1; i <= n; i++ {
				t := float64(i) / n
				u := 1 - t
				*line = append(*line, point{u*u*last.x + 2*u*t*s.p[0].x + t*t*s.p[1].x, u*u*last.y + 2*u*t*s.p[0].y + t*t*s.p[1].y})
			}
			last = s.p[1]
		case 'C':
			for i := 1; i <= n; i++ {
				t := float64(i) / n
				u := 1 - t
				a, b, c, d := u*u*u, 3*u*u*t, 3*u*t*t, t*t*t
				*line = append(*line, point{a*last.x + b*s.p[0].x + c*s.p[1].x + d*s.p[2].x, a*last.y + b*s.p[0].y + c*s.p[1].y + d*s.p[2].y})
			}
			last = s.p[2]
		}
	}
	return lines
}

// place applies the canvas's placements and turns units into pixels.
func (c *canvas) place(p point) point {
	p = c.base.apply(c.at.apply(p))
	return point{p.x * c.unit, p.y * c.unit}
}

func (t placement) apply(p point) point {
	x, y := (p.x-50)*t.scale, (p.y-50)*t.scale
	if t.turn != 0 {
		sin, cos := math.Sincos(t.turn * math.Pi / 180)
		x, y = x*cos-y*sin, x*sin+y*cos
	}
	return point{x + 50 + t.dx, y + 50 + t.dy}
}

// fill fills a path.
func (c *canvas) fill(p *path, ink color.Color) { c.paint(p.flat(), ink) }

// stroke draws along a path with a round pen.
func (c *canvas) stroke(p *path, width float64, ink color.Color) {
	var shapes [][]point
	for _, line := range p.flat() {
		for i, a := range line {
			if i+1 < len(line) {
				if b := line[i+1]; a != b {
					l := math.Hypot(b.x-a.x, b.y-a.y)
					nx, ny := (a.y-b.y)/l*width/2, (b.x-a.x)/l*width/2
					shapes = append(shapes, []point{{a.x - nx, a.y - ny}, {b.x - nx, b.y - ny}, {b.x + nx, b.y + ny}, {a.x + nx, a.y + ny}})
				}
			}
			var dot []point
			for j := range 12 {
				sin, cos := math.Sincos(float64(j) * math.Pi / 6)
				dot = append(dot, point{a.x + cos*width/2, a.y + sin*width/2})
			}
			shapes = append(shapes, dot)
		}
	}
	c.paint(shapes, ink)
}

// paint fills polygons as one shape. It rasterizes no more than they cover.
func (c *canvas) paint(shapes [][]point, ink color.Color) {
	if c.measuring {
		for _, shape := range shapes {
			for _, p := range shape {
				p = c.base.apply(c.at.apply(p))
				c.least = point{min(c.least.x, p.x), min(c.least.y, p.y)}
				c.most = point{max(c.most.x, p.x), max(c.most.y, p.y)}
			}
		}
		return
	}
	box := image.Rectangle{}
	placed := make([][]point, len(shapes))
	for i, shape := range shapes {
		for _, p := range shape {
			q := c.place(p)
			placed[i] = append(placed[i], q)
			box = box.Union(image.Rect(int(math.Floor(q.x)), int(math.Floor(q.y)), int(math.Ceil(q.x))+1, int(math.Ceil(q.y))+1))
		}
	}
	// The rasterizer clips at its own edges only to the right and below.
	box = box.Intersect(c.img.Rect.Inset(-c.img.Rect.Dx()))
	if box.Empty() {
		return
	}
	c.z.Reset(box.Dx(), box.Dy())
	c.z.DrawOp = draw.Over
	for _, shape := range placed {
		for i, p := range shape {
			x, y := float32(p.x-float64(box.Min.X)), float32(p.y-float64(box.Min.Y))
			if i == 0 {
				c.z.MoveTo(x, y)
			} else {
				c.z.LineTo(x, y)
			}
		}
		c.z.ClosePath()
	}
	if box.In(c.img.Rect) {
		c.z.Draw(c.img, box, image.NewUniform(ink), image.Point{})
		return
	}
	mask := image.NewAlpha(image.Rect(0, 0, box.Dx(), box.Dy()))
	c.z.Draw(mask, mask.Rect, image.Opaque, image.Point{})
	draw.DrawMask(c.img, box, image.NewUniform(ink), image.Point{}, mask, image.Point{}, draw.Over)
}

// backdrop fills the canvas as a wall with a table before it.
func (c *canvas) backdrop(wall, table color.RGBA, horizon float64) {
	side := c.img.Rect.Dx()
	edge := int(horizon * c.unit)
	across := make([]float64, side)
	for x := range across {
		across[x] = square(float64(x)/float64(side) - 0.35)
	}
	for y := range side {
		from, t := wall, float64(y)/float64(edge)
		if y >= edge {
			from, t = table, float64(y-edge)/float64(side-edge)
		}
		// Light falls from the upper left.
		light := 1.03 - 0.03*t - 0.10*square(float64(y)/float64(side)-0.25)
		row := c.img.Pix[y*c.img.Stride:][:4*side]
		for x := range side {
			k := light - 0.10*across[x]
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = dim(from.R, k), dim(from.G, k), dim(from.B, k), 255
		}
	}
}

func square(v float64) float64 { return v * v }

func dim(v uint8, k float64) uint8 { return uint8(min(float64(v)*k, 255)) }

// shadow darkens the table softly around (cx, cy).
func (c *canvas) shadow(cx, cy, rx, ry float64) {
	cx, cy, rx, ry = cx*c.unit, cy*c.unit, rx*c.unit, ry*c.unit
	const far = 1.7 // where it has faded away
	box := image.Rect(int(cx-far*rx), int(cy-far*ry), int(cx+far*rx)+1, int(cy+far*ry)+1).Intersect(c.img.Rect)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		dy := square((float64(y) - cy) / ry)
		row := c.img.Pix[y*c.img.Stride:]
		for x := box.Min.X; x < box.Max.X; x++ {
			k := 1 - 0.35*math.Exp(-1.6*(square((float64(x)-cx)/rx)+dy))
			row[4*x], row[4*x+1], row[4*x+2] = dim(row[4*x], k), dim(row[4*x+1], k), dim(row[4*x+2], k*0.998)
		}
	}
}

// extent returns what draw would cover, in units, without drawing.
func (c *canvas) extent(draw func(*canvas, ink)) (least, most point) {
	c.measuring, c.least, c.most = true, point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	draw(c, ink{})
	c.measuring = false
	return c.least, c.most
}

// tone mixes a colour with white (by > 0) or black (by < 0).
func tone(c color.RGBA, by float64) color.RGBA {
	to := 255.0
	if by < 0 {
		to, by = 10, -by
	}
	mix := func(v uint8) uint8 { return uint8(float64(v)*(1-by) + to*by) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255}
}

// veil is a translucent white or black.
func veil(white bool, alpha uint8) color.NRGBA {
	if white {
		return color.NRGBA{255, 255, 255, alpha}
	}
	return color.NRGBA{20, 15, 30, alpha}
}
