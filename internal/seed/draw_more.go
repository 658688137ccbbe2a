package seed

// Things to make, keep, collect and care for.

func drawYarn(c *canvas, k ink) {
	c.stroke(svg("M 20 20 L 70 62"), 2.2, wood.rgb)
	c.stroke(svg("M 82 18 L 34 62"), 2.2, wood.rgb)
	c.fill(circle(20, 20, 3), k.accent)
	c.fill(circle(82, 18, 3), k.accent)
	c.fill(circle(50, 60, 27), k.main)
	for i := range 5 {
		d := 5*float64(i) - 10
		c.stroke(&path{steps: []step{{'M', [3]point{{28 + d*0.4, 46 + d}}}, {'Q', [3]point{{50 + d, 40 + d}, {72 + d*0.2, 50 + d}}}}}, 1.2, k.dark)
		c.stroke(&path{steps: []step{{'M', [3]point{{34 + d, 40}}}, {'Q', [3]point{{30 + d, 64}, {44 + d, 84 - absolute(d)*0.3}}}}}, 1.2, k.light)
	}
	c.stroke(svg("M 68 80 Q 84 88 90 78 Q 92 70 84 72"), 1.8, k.main)
}

func drawEarrings(c *canvas, k ink) {
	c.fill(round(22, 12, 56, 76, 3), rgb(0xfaf5ea))
	c.fill(round(22, 12, 56, 76, 3), veil(true, 60))
	c.fill(round(36, 18, 28, 3, 1.5), rgb(0xcdbfa5))
	for _, x := range []float64{37, 63} {
		c.stroke(circle(x, 34, 3), 1, gold.rgb)
		c.stroke(polygon(x, 37, x, 44), 0.8, gold.rgb)
		for i := range 6 {
			c.at = placement{turn: 60 * float64(i), scale: 1, dx: x - 50, dy: 1}
			c.fill(ellipse(50, 44.6, 3, 4.6), k.main)
		}
		c.at = inPlace
		c.fill(circle(x, 51, 2.8), k.accent)
		c.stroke(polygon(x, 58, x, 64), 0.8, gold.rgb)
		c.fill(svg("M 50 0 Q 55 7 50 12 Q 45 7 50 0 Z").moved(x-50, 64), k.dark)
	}
}

func (p *path) moved(dx, dy float64) *path {
	for i := range p.steps {
		for j := range p.steps[i].p {
			p.steps[i].p[j].x += dx
			p.steps[i].p[j].y += dy
		}
	}
	return p
}

func drawPainting(c *canvas, k ink) {
	c.fill(round(14, 16, 72, 62, 1.5), tone(wood.rgb, -0.25))
	c.fill(round(17, 19, 66, 56, 1), wood.rgb)
	c.fill(round(21, 23, 58, 48, 0.5), white.rgb)
	c.fill(round(26, 28, 48, 38, 0.3), tone(k.main, 0.55))
	c.fill(circle(60, 40, 6.4), k.accent)
	c.fill(svg("M 26 66 L 26 54 Q 36 40 46 54 Q 56 44 74 58 L 74 66 Z"), k.main)
	c.fill(svg("M 26 66 L 26 60 Q 42 54 54 61 Q 64 56 74 62 L 74 66 Z"), k.dark)
}

func drawGuitar(c *canvas, k ink) {
	c.at = placement{turn: 24, scale: 1, dx: 2, dy: 0}
	c.fill(round(47.4, 10, 5.2, 48, 1), rgb(0x6b4a33))
	c.fill(round(45.6, 3, 8.8, 12, 2), rgb(0x54382a))
	for i := range 8 {
		c.stroke(polygon(47.4, 18+4.4*float64(i), 52.6, 18+4.4*float64(i)), 0.5, silver.rgb)
	}
	c.fill(svg("M 50 48 Q 64 44 65 56 Q 65 62 68 66 Q 76 78 66 88 Q 58 94 50 94 Q 42 94 34 88 Q 24 78 32 66 Q 35 62 35 56 Q 36 44 50 48 Z"), k.main)
	c.stroke(svg("M 50 48 Q 64 44 65 56 Q 65 62 68 66 Q 76 78 66 88 Q 58 94 50 94 Q 42 94 34 88 Q 24 78 32 66 Q 35 62 35 56 Q 36 44 50 48"), 1.3, k.deep)
	c.fill(circle(50, 68, 8), rgb(0x3a2a20))
	c.stroke(circle(50, 68, 9), 0.8, k.light)
	c.fill(round(42, 82, 16, 3.4, 1), rgb(0x54382a))
	for i := range 4 {
		x := 48.2 + 1.2*float64(i)
		c.stroke(polygon(x, 10, x, 83), 0.25, white.rgb)
	}
	for _, y := range []float64{5, 9, 13} {
		c.fill(circle(44.4, y, 1.2), silver.rgb)
		c.fill(circle(55.6, y, 1.2), silver.rgb)
	}
	c.at = inPlace
}

func drawKeyboard(c *canvas, k ink) {
	c.fill(round(6, 36, 88, 36, 3), k.deep)
	c.fill(round(6, 34, 88, 36, 3), k.main)
	c.fill(round(10, 37, 26, 8, 1), rgb(0x9fc9b5))
	for i := range 5 {
		c.fill(circle(45+8*float64(i), 41, 2.4), k.accent)
	}
	for i := range 14 {
		c.fill(round(9.4+5.82*float64(i), 48, 5.4, 19.6, 0.6), white.rgb)
	}
	for i := range 13 {
		if i%7 == 2 || i%7 == 6 {
			continue
		}
		c.fill(round(13.4+5.82*float64(i), 48, 3.2, 12, 0.4), black.rgb)
	}
}

func drawHelmet(c *canvas, k ink) {
	c.fill(svg("M 14 60 Q 10 20 50 18 Q 88 20 88 58 Q 88 72 78 76 L 36 80 Q 16 78 14 60 Z"), k.main)
	c.fill(svg("M 88 58 Q 88 72 78 76 L 46 79 Q 76 70 78 34 Q 88 44 88 58 Z"), veil(false, 22))
	c.fill(svg("M 40 40 Q 70 34 86 44 Q 90 56 86 62 Q 66 66 44 62 Q 36 52 40 40 Z"), rgb(0x2c3440))
	c.fill(svg("M 46 43 Q 62 39 72 41 Q 60 46 50 58 Q 42 52 46 43 Z"), veil(true, 80))
	c.stroke(svg("M 22 34 Q 36 22 58 21"), 3.4, k.accent)
	c.fill(circle(32, 62, 4), k.deep)
	c.fill(svg("M 36 80 L 78 76 L 74 82 L 42 84 Z"), k.deep)
}

func drawTyre(c *canvas, k ink) {
	c.fill(circle(50, 52, 36), rgb(0x2b2d31))
	for i := range 36 {
		c.at = placement{turn: 10 * float64(i), scale: 1, dy: 2}
		c.fill(round(49, 13.6, 2, 4.6, 0.4), rgb(0x45484e))
	}
	c.at = inPlace
	c.fill(circle(50, 52, 24.6), k.dark)
	c.fill(circle(50, 52, 22.6), k.main)
	for i := range 5 {
		c.at = placement{turn: 72 * float64(i), scale: 1, dy: 2}
		c.fill(svg("M 44 45 L 40.4 32 Q 50 26.6 59.6 32 L 56 45 Q 50 42 44 45 Z"), rgb(0x3a3d43))
	}
	c.at = inPlace
	c.fill(circle(50, 52, 6), k.dark)
	c.fill(circle(50, 52, 3), k.accent)
}

func drawDrill(c *canvas, k ink) {
	c.fill(round(70, 37, 9, 10, 1), black.rgb)
	c.fill(round(79, 40.6, 15, 2.8, 0.6), silver.rgb)
	c.fill(svg("M 16 30 L 66 30 Q 72 30 72 36 L 72 48 Q 72 54 66 54 L 46 54 L 44 74 L 26 74 L 26 54 L 16 54 Q 10 54 10 48 L 10 36 Q 10 30 16 30 Z"), k.main)
	c.fill(round(10, 30, 15, 24, 5), black.rgb)
	for i := range 3 {
		c.fill(round(13.4, 35+5*float64(i), 8, 2, 1), grey.rgb)
	}
	c.fill(svg("M 44 56 L 52 56 Q 52 63 45 63 Z"), k.deep)
	c.fill(round(28, 56, 14, 18, 1), k.deep)
	c.fill(round(20, 73, 32, 13, 3), black.rgb)
	c.fill(round(34, 37, 26, 5, 2), k.light)
	c.fill(circle(66, 42, 2.4), k.accent)
}

func drawTicket(c *canvas, k ink) {
	for i, turn := range []float64{10, -8} {
		c.at = placement{turn: turn, scale: 1, dy: 8 - 14*float64(i), dx: 2 - 4*float64(i)}
		ink := k
		if i == 0 {
			ink = inkOf(k.accent, k.main)
		}
		c.fill(svg("M 12 34 L 88 34 L 88 44 Q 82 50 88 56 L 88 66 L 12 66 L 12 56 Q 18 50 12 44 Z"), ink.main)
		c.fill(svg("M 12 34 L 34 34 L 34 66 L 12 66 L 12 56 Q 18 50 12 44 Z"), ink.dark)
		for y := 36.0; y < 66; y += 4 {
			c.fill(round(33.6, y, 1, 2.2, 0.5), ink.light)
		}
		c.fill(star(24, 50, 6, 2.6, 5), ink.light)
		c.fill(round(42, 40, 30, 4, 1), white.rgb)
		c.fill(round(42, 48, 22, 2.4, 1), ink.light)
		c.fill(round(42, 54, 26, 2.4, 1), ink.light)
		c.fill(round(76, 42, 6, 16, 0.5), white.rgb)
	}
	c.at = inPlace
}

func drawApples(c *canvas, k ink) {
	for _, p := range []point{{32, 38}, {52, 34}, {70, 40}, {42, 46}, {61, 47}} {
		c.fill(circle(p.x, p.y, 11), k.main)
		c.fill(ellipse(p.x-3.6, p.y-4, 3, 2.2), veil(true, 110))
		c.stroke(polygon(p.x, p.y-9.6, p.x+1.6, p.y-14), 1.2, brown.rgb)
		c.fill(svg("M 0 0 Q 6 -5 9 0 Q 4 4 0 0 Z").moved(p.x+1.6, p.y-12.6), green.rgb)
	}
	c.fill(svg("M 12 48 L 88 48 L 84 86 L 16 86 Z"), wood.rgb)
	for _, y := range []float64{48, 61, 74} {
		x := 12 + (y-48)*4/38
		c.fill(polygon(x, y, 100-x, y, 100-x-0.9, y+9.6, x+0.9, y+9.6), tone(wood.rgb, 0.2))
	}
	for _, x := range []float64{22, 73} {
		c.fill(polygon(x, 48, x+5, 48, x+5, 86, x+1, 86), tone(wood.rgb, -0.16))
	}
	c.fill(round(38, 60, 24, 12, 1.5), white.rgb)
	c.fill(round(42, 64.6, 16, 2.4, 1), k.main)
}

func drawJar(c *canvas, k ink) {
	c.fill(round(28, 14, 44, 13, 2.5), k.deep)
	c.fill(round(28, 22, 44, 3, 0), veil(true, 30))
	c.fill(round(24, 26, 52, 62, 6), k.main)
	c.fill(round(66, 28, 8, 58, 4), veil(false, 22))
	c.fill(round(28, 30, 4, 50, 2), veil(true, 80))
	c.fill(round(24, 42, 52, 32, 0), rgb(0xfaf3e2))
	c.fill(svg("M 50 46 Q 60 52 58 64 Q 46 62 50 46 Z"), green.rgb)
	c.fill(svg("M 48 50 Q 40 54 42 64 Q 51 62 48 50 Z"), tone(green.rgb, 0.2))
	c.fill(round(38, 68, 24, 2, 1), k.accent)
}

func drawPetBowl(c *canvas, k ink) {
	for _, p := range []point{{36, 40}, {46, 36}, {56, 38}, {65, 41}, {41, 43}, {51, 42}, {60, 44}} {
		c.fill(ellipse(p.x, p.y, 6, 4.4), tone(brown.rgb, 0.1))
		c.fill(ellipse(p.x-1, p.y-1.2, 2.6, 1.4), tone(brown.rgb, 0.35))
	}
	c.fill(svg("M 22 42 L 78 42 L 90 78 Q 50 88 10 78 Z"), k.main)
	c.fill(svg("M 68 42 L 78 42 L 90 78 Q 84 80 76 81.4 Z"), veil(false, 20))
	c.fill(svg("M 22 42 Q 50 50 78 42 L 79.4 46 Q 50 54 20.6 46 Z"), k.light)
	c.fill(ellipse(50, 68, 7.4, 6), k.accent)
	for _, p := range []point{{40.5, 61}, {46.6, 57.6}, {53.4, 57.6}, {59.5, 61}} {
		c.fill(ellipse(p.x, p.y, 2.6, 3.2), k.accent)
	}
}

func drawPens(c *canvas, k ink) {
	for i, pen := range []uint32{0xd6655f, 0x5d93b8, 0xe8b04f, 0x74a882} {
		x := 36 + 9*float64(i)
		tilt := (x - 49) * 0.25
		c.stroke(polygon(x, 60, x+tilt, 24+3*float64(i%2)), 5, rgb(pen))
		c.fill(polygon(x+tilt-2.5, 24+3*float64(i%2), x+tilt+2.5, 24+3*float64(i%2), x+tilt*1.2, 14+3*float64(i%2)), rgb(0xf0d9b5))
		c.fill(circle(x+tilt*1.16, 16.4+3*float64(i%2), 1.2), rgb(pen))
	}
	c.fill(svg("M 28 46 L 72 46 L 69 88 L 31 88 Z"), k.main)
	c.fill(svg("M 62 46 L 72 46 L 69 88 L 60 88 Z"), veil(false, 20))
	c.fill(round(26.6, 43, 46.8, 6, 1.5), k.dark)
	c.fill(circle(48, 68, 8), k.accent)
	c.fill(circle(45, 66, 1.1), black.rgb)
	c.fill(circle(51, 66, 1.1), black.rgb)
	c.stroke(svg("M 44.6 70 Q 48 73.4 51.4 70"), 1, black.rgb)
}

func drawTeapot(c *canvas, k ink) {
	c.stroke(svg("M 34 36 Q 36 12 50 12 Q 64 12 66 36"), 3, rgb(0x6b4a33))
	c.fill(svg("M 74 52 Q 84 50 90 36 L 96 38 Q 92 62 74 70 Z"), k.dark)
	c.fill(ellipse(48, 60, 33, 25), k.main)
	c.fill(svg("M 70 42 Q 84 52 79 66 Q 70 84 48 85 Q 70 76 72 58 Q 73 48 70 42 Z"), veil(false, 24))
	c.fill(ellipse(48, 38, 19, 5), k.deep)
	c.fill(svg("M 31 37 Q 48 26 65 37 Q 48 44 31 37 Z"), k.light)
	c.fill(circle(48, 29, 3.6), k.deep)
	for i := range 5 {
		c.at = placement{turn: 72 * float64(i), scale: 1, dx: -6, dy: 12}
		c.fill(ellipse(50, 44.6, 3.4, 4.4), k.accent)
	}
	c.at = inPlace
	c.fill(circle(44, 62, 2.6), yellow.rgb)
	c.fill(round(34, 83, 28, 4, 2), k.deep)
}

func drawCoin(c *canvas, k ink) {
	for _, p := range []struct{ x, y, r float64 }{{36, 62, 24}, {66, 44, 20}, {72, 72, 13}} {
		c.fill(circle(p.x, p.y+1.6, p.r), k.deep)
		c.fill(circle(p.x, p.y, p.r), k.main)
		c.stroke(circle(p.x, p.y, p.r-3), 0.9, k.dark)
		c.fill(star(p.x, p.y, p.r*0.5, p.r*0.22, 6), k.dark)
		c.fill(star(p.x-0.6, p.y-0.8, p.r*0.5, p.r*0.22, 6), k.light)
	}
}

func drawParcel(c *canvas, k ink) {
	c.fill(svg("M 14 36 L 50 22 L 86 36 L 50 50 Z"), rgb(0xe0bd8b))
	c.fill(svg("M 14 36 L 50 50 L 50 90 L 14 74 Z"), rgb(0xd2aa74))
	c.fill(svg("M 86 36 L 50 50 L 50 90 L 86 74 Z"), rgb(0xbd935d))
	c.fill(svg("M 29 30.2 L 65 44.2 L 71 41.8 L 35 27.8 Z"), k.main)
	c.fill(svg("M 65 44.2 L 71 41.8 L 71 54 L 65 56.4 Z"), k.dark)
	c.fill(svg("M 20 56 L 38 63.6 L 38 75 L 20 67.4 Z"), white.rgb)
	c.stroke(svg("M 23 61 L 35 66"), 0.9, grey.rgb)
	c.stroke(svg("M 23 64.4 L 31 67.8"), 0.9, grey.rgb)
}

func drawTag(c *canvas, k ink) {
	c.fill(round(0, 0, 100, 100, 0), k.main)
	for i := range 26 {
		c.stroke(polygon(0, 4*float64(i), 100, 4*float64(i)-5), 0.5, k.dark)
		c.stroke(polygon(4*float64(i), 0, 4*float64(i)+5, 100), 0.35, k.dark)
	}
	c.at.turn = -3
	c.fill(round(27, 33, 46, 36, 1), veil(false, 30))
	c.fill(round(26, 31, 46, 36, 1), rgb(0xfaf6ec))
	c.stroke(round(28, 33, 42, 32, 0.5), 0.5, k.accent)
	c.fill(round(36, 39, 26, 5, 1), k.accent)
	c.fill(round(40, 48, 18, 2, 1), grey.rgb)
	c.fill(round(37, 53, 24, 1.6, 0.8), silver.rgb)
	c.fill(round(40, 57, 18, 1.6, 0.8), silver.rgb)
	for _, x := range []float64{30, 68} {
		c.stroke(polygon(x, 30, x, 33.6), 0.9, k.deep)
	}
	c.at = inPlace
}
