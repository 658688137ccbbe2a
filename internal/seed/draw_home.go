package seed

// Things for the home, for children and for looking good.

func drawChair(c *canvas, k ink) {
	for _, d := range []string{"M 34 60 L 28 90", "M 66 60 L 72 90", "M 38 58 L 36 84", "M 62 58 L 64 84"} {
		c.stroke(svg(d), 3, tone(wood.rgb, -0.12))
	}
	c.stroke(svg("M 33 14 L 33 58"), 3.4, wood.rgb)
	c.stroke(svg("M 67 14 L 67 58"), 3.4, wood.rgb)
	for _, y := range []float64{18, 27, 36} {
		c.fill(round(32, y, 36, 4.4, 2), tone(wood.rgb, 0.12))
	}
	c.fill(svg("M 30 52 L 70 52 L 76 62 Q 76 66 70 66 L 30 66 Q 24 66 24 62 Z"), k.dark)
	c.fill(svg("M 30 52 L 70 52 L 76 61 Q 50 65 24 61 Z"), k.main)
	c.fill(svg("M 33 53.5 L 52 53.5 Q 42 57 30 57.5 Z"), veil(true, 70))
}

func drawSofa(c *canvas, k ink) {
	for _, x := range []float64{18, 78} {
		c.fill(round(x, 74, 4, 10, 1), tone(wood.rgb, -0.2))
	}
	c.fill(round(14, 28, 72, 44, 9), k.dark)
	c.fill(round(17, 30, 32, 32, 6), k.main)
	c.fill(round(51, 30, 32, 32, 6), k.main)
	c.fill(round(16, 54, 34, 16, 5), k.light)
	c.fill(round(50, 54, 34, 16, 5), k.light)
	c.fill(round(8, 46, 14, 32, 6), k.main)
	c.fill(round(78, 46, 14, 32, 6), k.main)
	c.fill(round(10, 68, 80, 10, 4), k.dark)
	c.at.turn = -8
	c.fill(round(24, 38, 17, 17, 4), k.accent)
	c.fill(round(27, 41, 11, 11, 2), veil(true, 60))
	c.at.turn = 0
}

func drawDesk(c *canvas, k ink) {
	for _, d := range []string{"M 18 46 L 14 88", "M 82 46 L 86 88"} {
		c.stroke(svg(d), 3.4, k.deep)
	}
	c.fill(svg("M 14 38 L 86 38 L 92 45 L 8 45 Z"), k.light)
	c.fill(round(8, 44.5, 84, 5, 1), k.main)
	c.fill(round(54, 49.5, 28, 12, 1), k.dark)
	c.fill(round(64, 54, 8, 2, 1), k.deep)
	c.fill(svg("M 22 38 L 24 22 L 34 22 L 36 38 Z"), k.accent)
	for _, d := range []string{"M 29 24 Q 20 16 18 8 Q 30 10 30 22 Z", "M 30 24 Q 32 10 42 7 Q 42 18 31 24 Z", "M 29 22 Q 26 10 31 3 Q 36 12 31 22 Z"} {
		c.fill(svg(d), green.rgb)
	}
	c.fill(round(56, 34.5, 20, 3.5, 0.8), rgb(0x58738f))
	c.fill(round(57, 31.3, 18, 3.2, 0.8), rgb(0xd98f6a))
}

func drawShelf(c *canvas, k ink) {
	c.fill(round(22, 12, 56, 76, 2), k.deep)
	for i := range 3 {
		y := 16 + 23.5*float64(i)
		c.fill(round(25, y, 50, 21, 0.5), k.light)
		c.fill(round(25, y, 50, 3.5, 0.5), veil(false, 26))
	}
	for i, book := range []uint32{0xc8605a, 0xe3b35d, 0x567d99, 0x7e9c78, 0xe8dcc6, 0x8b6f9c} {
		h := 13 + float64(i*7%5)
		c.fill(round(27+4.2*float64(i), 37-h, 3.6, h, 0.4), rgb(book))
	}
	c.fill(circle(67, 33, 4), k.accent)
	c.fill(round(29, 46, 14, 14.5, 1), rgb(0xb98f5e))
	c.fill(round(34, 50, 4, 1.6, 0.8), rgb(0x6d5030))
	c.fill(svg("M 56 60.5 L 58 52 L 68 52 L 70 60.5 Z"), white.rgb)
	c.fill(svg("M 63 52 Q 54 47 55 41 Q 63 43 63 51 Q 64 42 72 41 Q 72 49 63 52 Z"), green.rgb)
	for i, book := range []uint32{0x4f7f8c, 0xd98f6a, 0x8c9a6b} {
		c.fill(round(30, 81-3.6*float64(i), 18, 3.3, 0.4), rgb(book))
	}
	c.fill(round(56, 72, 14, 12, 1), rgb(0xd6c19a))
	c.fill(round(20, 10, 60, 4.5, 1), k.main)
	c.fill(round(20, 85, 60, 4.5, 1), k.main)
}

func drawLamp(c *canvas, k ink) {
	c.fill(ellipse(50, 44, 40, 34), veil(true, 46))
	c.fill(ellipse(50, 44, 31, 26), veil(true, 46))
	c.stroke(svg("M 50 44 L 50 84"), 2.6, k.deep)
	c.fill(ellipse(50, 86, 16, 4), k.deep)
	c.fill(ellipse(50, 85, 16, 3.6), k.dark)
	c.fill(svg("M 38 20 L 62 20 L 76 52 Q 50 58 24 52 Z"), k.main)
	c.fill(svg("M 38 20 L 46 20 L 38 54.4 L 24 52 Z"), k.light)
	c.fill(svg("M 56 20 L 62 20 L 76 52 L 66 54 Z"), k.dark)
	c.fill(ellipse(50, 20, 12, 2), k.dark)
	c.fill(svg("M 24 52 Q 50 58 76 52 L 75 50 Q 50 55.6 25 50 Z"), rgb(0xfff3c4))
}

func drawCushion(c *canvas, k ink) {
	c.fill(svg("M 20 24 Q 50 32 80 24 Q 84 26 82 30 Q 74 52 82 78 Q 84 84 78 84 Q 50 76 22 84 Q 16 84 18 78 Q 26 52 18 30 Q 16 24 20 24 Z"), k.main)
	for i := range 5 {
		x := 32 + 9*float64(i)
		c.stroke(&path{steps: []step{{'M', [3]point{{x, 31}}}, {'Q', [3]point{{x + (x-50)*0.06, 54}, {x, 78}}}}}, 1.8, k.light)
	}
	c.stroke(svg("M 20 24 Q 50 32 80 24"), 1.2, k.dark)
	c.stroke(svg("M 22 84 Q 50 76 78 84"), 1.2, k.dark)
	c.fill(svg("M 80 24 Q 84 26 82 30 Q 74 52 82 78 Q 84 84 78 84 Q 73 82.6 67 81.6 Q 72 52 68 27 Q 74 26 80 24 Z"), veil(false, 16))
}

func drawCup(c *canvas, k ink) {
	c.stroke(svg("M 66 46 Q 86 44 84 58 Q 82 70 64 70"), 5, k.dark)
	c.fill(svg("M 24 38 L 70 38 L 68 72 Q 66 84 54 84 L 40 84 Q 28 84 26 72 Z"), k.main)
	c.fill(svg("M 58 38 L 70 38 L 68 72 Q 66 84 54 84 Q 60 70 58 38 Z"), veil(false, 20))
	c.fill(ellipse(47, 38, 23, 6), k.light)
	c.fill(ellipse(47, 39, 20, 4.6), rgb(0x6a4630))
	c.fill(ellipse(44, 38.6, 8, 1.6), rgb(0x8b6242))
	c.fill(svg("M 25 54 Q 47 62 69 54 L 68.6 60 Q 47 68 25.4 60 Z"), k.accent)
	for i := range 3 {
		x := 38 + 9*float64(i)
		c.stroke(&path{steps: []step{{'M', [3]point{{x, 28}}}, {'C', [3]point{{x - 5, 22}, {x + 5, 18}, {x, 11}}}}}, 1.6, veil(true, 150))
	}
}

func drawBowl(c *canvas, k ink) {
	c.fill(round(38, 76, 24, 8, 2), k.deep)
	c.fill(svg("M 14 42 L 86 42 Q 84 78 50 80 Q 16 78 14 42 Z"), k.main)
	c.fill(svg("M 86 42 Q 84 78 50 80 Q 72 70 74 42 Z"), veil(false, 22))
	c.fill(ellipse(50, 42, 36, 9), k.dark)
	c.fill(ellipse(50, 43, 32, 7), k.light)
	for i := range 7 {
		x := 23 + 9*float64(i)
		c.stroke(polygon(x-4, 58, x, 54, x+4, 58), 1.3, k.accent)
		c.stroke(polygon(x-3, 64, x, 60, x+3, 64), 1.3, k.accent)
	}
}

func drawPot(c *canvas, k ink) {
	c.fill(round(8, 46, 16, 7, 3), k.deep)
	c.fill(round(76, 46, 16, 7, 3), k.deep)
	c.fill(svg("M 18 40 L 82 40 L 80 74 Q 79 84 68 84 L 32 84 Q 21 84 20 74 Z"), k.main)
	c.fill(svg("M 70 40 L 82 40 L 80 74 Q 79 84 68 84 Q 74 66 70 40 Z"), veil(false, 22))
	c.fill(svg("M 27 46 Q 26 66 30 76"), k.main)
	c.stroke(svg("M 27 48 Q 27 64 30 74"), 2, veil(true, 90))
	c.fill(svg("M 16 40 Q 18 24 50 24 Q 82 24 84 40 Z"), k.light)
	c.fill(round(14, 38, 72, 5, 2.5), k.dark)
	c.fill(round(45, 15, 10, 5, 2.5), k.deep)
	c.fill(round(48, 18, 4, 7, 1), k.deep)
}

func drawPlate(c *canvas, k ink) {
	c.fill(ellipse(50, 54, 38, 35), tone(k.main, -0.08))
	c.fill(ellipse(50, 52, 38, 35), k.main)
	c.stroke(ellipse(50, 52, 35.6, 32.6), 1.2, k.accent)
	c.fill(ellipse(50, 52, 25, 23), k.dark)
	c.fill(ellipse(50, 52.6, 24.4, 22.2), k.light)
	for i := range 12 {
		c.at.turn = 30 * float64(i)
		c.fill(svg("M 50 20.4 Q 53 23.6 50 27.4 Q 47 23.6 50 20.4 Z"), k.accent)
	}
	c.at.turn = 0
}

func drawVase(c *canvas, k ink) {
	for _, d := range []string{"M 50 46 Q 46 30 34 20", "M 50 46 Q 50 26 52 14", "M 50 46 Q 56 30 68 24"} {
		c.stroke(svg(d), 1.3, rgb(0x5d7f56))
	}
	for _, p := range []point{{34, 19}, {52, 13}, {68, 23}} {
		for i := range 6 {
			c.at = placement{turn: 60 * float64(i), scale: 1, dx: p.x - 50, dy: p.y - 50}
			c.fill(ellipse(50, 45.4, 2.8, 4.2), k.accent)
		}
		c.at = inPlace
		c.fill(circle(p.x, p.y, 2.4), yellow.rgb)
	}
	c.fill(svg("M 47 34 Q 40 36 37 44 Q 46 42 47 34 Z"), rgb(0x7ca070))
	c.fill(svg("M 55 36 Q 62 38 64 46 Q 56 44 55 36 Z"), rgb(0x7ca070))
	c.fill(svg("M 42 44 L 58 44 L 57 52 Q 72 60 70 74 Q 68 88 50 88 Q 32 88 30 74 Q 28 60 43 52 Z"), k.main)
	c.fill(svg("M 57 52 Q 72 60 70 74 Q 68 88 50 88 Q 62 80 60 66 Q 58 58 53 52 Z"), veil(false, 22))
	c.stroke(svg("M 37 66 Q 36 74 40 80"), 2.2, veil(true, 110))
	c.fill(ellipse(50, 44, 8, 2), k.dark)
}

func drawPlant(c *canvas, k ink) {
	leaf := "M 50 60 Q 36 40 44 14 Q 60 34 52 60 Z"
	for i, turn := range []float64{-52, 50, -28, 28, 0} {
		c.at = placement{turn: turn, scale: 1, dx: turn * 0.12, dy: absolute(turn) * 0.1}
		shade := tone(rgb(0x5f9a63), 0.08*float64(i)-0.16)
		c.fill(svg(leaf), shade)
		c.stroke(svg("M 51 58 Q 47 38 46 22"), 0.8, tone(shade, 0.3))
	}
	c.at = inPlace
	c.fill(svg("M 30 60 L 70 60 L 66 88 L 34 88 Z"), k.main)
	c.fill(svg("M 60 60 L 70 60 L 66 88 L 58 88 Z"), veil(false, 20))
	c.fill(round(27, 57, 46, 7, 1.5), k.dark)
}

func absolute(v float64) float64 { return max(v, -v) }

func drawBed(c *canvas, k ink) {
	c.fill(round(10, 26, 80, 40, 4), tone(wood.rgb, -0.1))
	c.fill(round(14, 30, 72, 30, 3), wood.rgb)
	c.fill(round(10, 52, 80, 28, 3), white.rgb)
	c.fill(round(18, 42, 28, 15, 5), white.rgb)
	c.fill(round(54, 42, 28, 15, 5), white.rgb)
	c.fill(round(20, 44, 24, 11, 4), veil(false, 12))
	c.fill(round(56, 44, 24, 11, 4), veil(false, 12))
	c.fill(svg("M 10 60 Q 50 54 90 60 L 90 78 Q 90 80 88 80 L 12 80 Q 10 80 10 78 Z"), k.main)
	c.fill(svg("M 10 60 Q 50 54 90 60 L 90 65 Q 50 59 10 65 Z"), k.light)
	for _, x := range []float64{14, 80} {
		c.fill(round(x, 80, 6, 7, 1), tone(wood.rgb, -0.3))
	}
}

func drawBlocks(c *canvas, k ink) {
	for _, b := range []struct {
		x, y float64
		ink  uint32
		sign string
	}{
		{16, 58, 0xe27d60, "M 23 76 L 29 64 L 35 76 Z"},
		{42, 58, 0x6fa8c9, "M 49 65 L 61 65 L 61 77 L 49 77 Z"},
		{68, 58, 0x8fbf8a, ""},
		{29, 32, 0xf0c35e, ""},
		{55, 32, 0xb294c7, "M 62 50 L 68 38 L 74 50 Z"},
	} {
		ink := rgb(b.ink)
		c.fill(round(b.x, b.y, 25, 25, 3), ink)
		c.stroke(round(b.x+2.6, b.y+2.6, 19.8, 19.8, 2), 0.9, tone(ink, 0.4))
		c.fill(round(b.x, b.y+20, 25, 5, 2.5), veil(false, 22))
		if b.sign == "" {
			c.fill(circle(b.x+12.5, b.y+12.5, 6), tone(ink, 0.6))
		} else {
			c.fill(svg(b.sign), tone(ink, 0.6))
		}
	}
	c.fill(svg("M 38 31 L 54 12 L 70 31 Z"), k.main)
	c.fill(svg("M 54 12 L 70 31 L 60 31 Z"), veil(false, 24))
}

func drawBear(c *canvas, k ink) {
	c.fill(ellipse(28, 62, 9, 14), k.dark)
	c.fill(ellipse(72, 62, 9, 14), k.dark)
	c.fill(ellipse(50, 68, 22, 21), k.main)
	c.fill(ellipse(50, 70, 13, 13), k.light)
	c.fill(ellipse(33, 85, 11, 8), k.dark)
	c.fill(ellipse(67, 85, 11, 8), k.dark)
	c.fill(ellipse(32, 86, 6, 4.6), k.light)
	c.fill(ellipse(68, 86, 6, 4.6), k.light)
	for _, x := range []float64{31, 69} {
		c.fill(circle(x, 20, 9), k.dark)
		c.fill(circle(x, 21, 5), k.light)
	}
	c.fill(ellipse(50, 34, 24, 21), k.main)
	c.fill(ellipse(50, 41, 11, 9), k.light)
	c.fill(circle(41, 31, 2.4), black.rgb)
	c.fill(circle(59, 31, 2.4), black.rgb)
	c.fill(circle(41.8, 30.2, 0.8), white.rgb)
	c.fill(circle(59.8, 30.2, 0.8), white.rgb)
	c.fill(ellipse(50, 37.6, 3.4, 2.4), black.rgb)
	c.stroke(svg("M 50 40 Q 49 45 45 44.6"), 0.9, black.rgb)
	c.stroke(svg("M 50 40 Q 51 45 55 44.6"), 0.9, black.rgb)
	c.fill(svg("M 50 55 L 39 50 L 39 61 Z"), k.accent)
	c.fill(svg("M 50 55 L 61 50 L 61 61 Z"), k.accent)
	c.fill(circle(50, 55.4, 2.8), tone(k.accent, -0.25))
}

func drawStroller(c *canvas, k ink) {
	c.stroke(svg("M 28 76 L 62 44"), 2.6, k.deep)
	c.stroke(svg("M 70 76 L 40 52"), 2.6, k.deep)
	c.stroke(svg("M 66 40 L 80 22 Q 84 18 88 20"), 2.8, k.deep)
	c.fill(svg("M 20 44 L 66 44 Q 66 64 44 64 Q 22 64 20 44 Z"), k.main)
	c.fill(svg("M 20 44 Q 18 18 46 18 L 44 44 Z"), k.accent)
	c.fill(svg("M 46 18 L 44 44 L 33 44 Q 32 26 46 18 Z"), tone(k.accent, -0.14))
	c.fill(svg("M 20 44 L 66 44 L 65.5 49 L 20.5 49 Z"), k.dark)
	for _, x := range []float64{28, 70} {
		c.fill(circle(x, 78, 10), black.rgb)
		c.fill(circle(x, 78, 6.6), silver.rgb)
		c.fill(circle(x, 78, 2.4), black.rgb)
	}
}

func drawLipstick(c *canvas, k ink) {
	c.fill(svg("M 40 20 Q 46 10 58 14 L 58 42 L 40 42 Z"), k.main)
	c.fill(svg("M 40 20 Q 46 10 58 14 Q 52 24 40 24 Z"), k.light)
	c.fill(round(38, 40, 22, 14, 1), gold.rgb)
	c.fill(round(42, 40, 4, 14, 1), veil(true, 110))
	c.fill(round(35, 53, 28, 35, 2), black.rgb)
	c.fill(round(39, 53, 4, 35, 1), veil(true, 50))
	c.at.turn = 74
	c.at.dx, c.at.dy = 28, 26
	c.fill(round(40, 40, 19, 30, 2), tone(black.rgb, 0.08))
	c.fill(round(43, 40, 3, 30, 1), veil(true, 50))
	c.at = inPlace
}

func drawLotion(c *canvas, k ink) {
	c.fill(svg("M 44 12 L 66 12 L 66 16 L 56 17 L 56 24 L 44 24 Z"), k.deep)
	c.fill(round(42, 22, 17, 8, 1.5), k.dark)
	c.fill(round(30, 29, 40, 59, 9), k.main)
	c.fill(round(60, 33, 7, 51, 3.5), veil(false, 18))
	c.fill(round(34, 34, 4, 44, 2), veil(true, 120))
	c.fill(round(38, 46, 24, 28, 2), white.rgb)
	c.fill(circle(50, 54, 4.4), k.accent)
	c.fill(round(42, 62, 16, 1.6, 0.8), k.dark)
	c.fill(round(44, 66, 12, 1.6, 0.8), k.dark)
}

func drawPerfume(c *canvas, k ink) {
	c.fill(round(41, 14, 18, 15, 2), gold.rgb)
	c.fill(round(44, 14, 4, 15, 1), veil(true, 110))
	c.fill(round(44, 28, 12, 7, 1), tone(gold.rgb, -0.2))
	c.fill(svg("M 34 34 L 66 34 L 80 48 L 80 80 Q 80 88 72 88 L 28 88 Q 20 88 20 80 L 20 48 Z"), tone(k.main, 0.5))
	c.fill(svg("M 25 56 L 75 56 L 75 79 Q 75 84 70 84 L 30 84 Q 25 84 25 79 Z"), k.main)
	c.fill(svg("M 34 34 L 42 34 L 30 84 Q 25 84 25 79 L 25 48 Z"), veil(true, 90))
	c.fill(round(37, 60, 26, 14, 1), white.rgb)
	c.fill(round(42, 64, 16, 1.6, 0.8), k.deep)
	c.fill(round(45, 68, 10, 1.6, 0.8), k.deep)
}

func drawCompact(c *canvas, k ink) {
	c.fill(ellipse(50, 34, 30, 24), k.deep)
	c.fill(ellipse(50, 33, 27, 21), rgb(0xd7e6ea))
	c.fill(svg("M 34 20 Q 46 12 58 14 Q 40 28 28 42 Q 26 30 34 20 Z"), veil(true, 130))
	c.fill(round(38, 55, 24, 4, 2), gold.rgb)
	c.fill(ellipse(50, 74, 33, 16), k.deep)
	c.fill(ellipse(50, 71, 33, 15), k.main)
	c.fill(ellipse(50, 70, 25, 10.6), k.dark)
	c.fill(ellipse(50, 70.4, 24, 9.8), rgb(0xecc4a8))
	c.fill(ellipse(56, 68, 14, 5.6), k.accent)
	c.fill(ellipse(56, 66.6, 14, 5.6), tone(k.accent, 0.35))
}
