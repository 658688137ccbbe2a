package seed

import "math"

// Things to read, hear, play and work with.

func drawBook(c *canvas, k ink) {
	c.at.turn = -7
	c.fill(round(27, 16, 50, 70, 1.5), rgb(0xefe7d6))
	c.stroke(svg("M 75 18 L 75 84"), 0.5, rgb(0xc9bda3))
	c.stroke(svg("M 76 18 L 76 84"), 0.5, rgb(0xc9bda3))
	c.fill(round(24, 14, 49, 70, 1.5), k.main)
	c.fill(round(24, 14, 7, 70, 1.5), k.dark)
	c.fill(round(38, 24, 28, 12, 1), k.light)
	c.fill(round(42, 28, 20, 1.6, 0.8), k.deep)
	c.fill(round(45, 31, 14, 1.6, 0.8), k.deep)
	c.fill(circle(52, 56, 11), k.accent)
	c.fill(svg("M 41 60 Q 47 48 53 57 Q 57 51 62.4 60 Q 58 67 52 67 Q 45 67 41 60 Z"), veil(false, 60))
	c.fill(round(44, 75, 16, 1.8, 0.9), k.light)
	c.at = inPlace
}

func drawVolumes(c *canvas, k ink) {
	inks := [...]uint32{0xd6655f, 0xe8b04f, 0x5d93b8, 0x74a882, 0x9a7fb8, 0xd98f6a}
	for i := range 6 {
		x := 13 + 12.2*float64(i)
		ink := k.main
		if i%2 == 1 {
			ink = tone(rgb(inks[i]), 0.1)
		}
		h := 58.0 + float64(i*5%4)
		c.fill(round(x, 84-h, 11.6, h, 1), ink)
		c.fill(round(x, 84-h, 2, h, 0.8), veil(true, 70))
		c.fill(round(x+2.6, 88-h, 6.6, 20, 0.6), veil(true, 200))
		c.fill(circle(x+5.8, 76, 3), veil(true, 220))
		c.stroke(polygon(x+5.8, 91-h, x+5.8, 105-h), 1.4, tone(ink, -0.35))
	}
}

func drawMagazine(c *canvas, k ink) {
	c.at.turn = 6
	c.fill(round(24, 13, 54, 74, 1), tone(k.main, -0.3))
	c.fill(round(22, 12, 54, 74, 1), k.main)
	c.fill(round(27, 17, 44, 10, 0.8), white.rgb)
	c.fill(round(30, 20, 30, 4, 1), k.deep)
	c.fill(svg("M 22 86 L 22 62 Q 38 44 52 58 Q 64 46 76 56 L 76 86 Z"), k.dark)
	c.fill(circle(60, 42, 8), k.accent)
	c.fill(round(27, 34, 18, 2, 1), white.rgb)
	c.fill(round(27, 39, 13, 2, 1), white.rgb)
	c.fill(round(27, 44, 16, 2, 1), white.rgb)
	c.at = inPlace
}

func drawRecord(c *canvas, k ink) {
	c.fill(circle(61, 50, 30), black.rgb)
	for r := 27.0; r > 12; r -= 3 {
		c.stroke(circle(61, 50, r), 0.35, rgb(0x565962))
	}
	c.fill(svg("M 61 50 L 80 27 Q 85 31 88 37 Z"), veil(true, 34))
	c.fill(circle(61, 50, 10), k.accent)
	c.fill(circle(61, 50, 1.6), white.rgb)
	c.fill(round(12, 18, 56, 64, 1), k.main)
	c.fill(svg("M 12 82 L 12 58 Q 30 36 44 60 Q 54 44 68 62 L 68 82 Z"), k.dark)
	c.fill(circle(50, 36, 8), k.light)
	c.fill(round(17, 23, 20, 3, 1), white.rgb)
	c.fill(round(17, 29, 13, 2, 1), veil(true, 180))
}

func drawDisc(c *canvas, k ink) {
	c.fill(round(18, 18, 64, 64, 3), rgb(0xe9eef0))
	c.fill(round(18, 18, 7, 64, 3), rgb(0x50555c))
	c.fill(round(27, 21, 52, 58, 1), k.main)
	c.fill(circle(53, 50, 24), rgb(0xd9e2e8))
	c.fill(svg("M 53 50 L 60 27 Q 72 30 76 44 Z"), rgb(0xf3d6dd))
	c.fill(svg("M 53 50 L 46 73 Q 34 70 30 56 Z"), rgb(0xcfe6d8))
	c.stroke(circle(53, 50, 24), 0.8, k.dark)
	c.fill(circle(53, 50, 8), k.light)
	c.fill(circle(53, 50, 3), k.deep)
	c.fill(svg("M 18 18 L 44 18 L 22 82 L 18 82 Z"), veil(true, 46))
}

func drawController(c *canvas, k ink) {
	c.fill(svg("M 30 34 L 70 34 Q 84 34 88 52 Q 94 78 84 80 Q 77 81 70 66 L 30 66 Q 23 81 16 80 Q 6 78 12 52 Q 16 34 30 34 Z"), k.main)
	c.fill(svg("M 70 34 Q 84 34 88 52 Q 94 78 84 80 Q 77 81 70 66 Q 80 60 70 34 Z"), veil(false, 20))
	c.fill(round(26, 44, 5, 15, 1), k.deep)
	c.fill(round(21, 49, 15, 5, 1), k.deep)
	for _, b := range []struct {
		x, y float64
		ink  uint32
	}{{72, 44, 0xe8b04f}, {79, 51, 0xd6655f}, {65, 51, 0x5d93b8}, {72, 58, 0x74a882}} {
		c.fill(circle(b.x, b.y, 3.1), rgb(b.ink))
	}
	for _, x := range []float64{41, 59} {
		c.fill(circle(x, 61, 6), k.deep)
		c.fill(circle(x, 60, 4.4), tone(k.deep, 0.2))
	}
	c.fill(round(43, 41, 5, 2.6, 1.3), k.accent)
	c.fill(round(52, 41, 5, 2.6, 1.3), k.accent)
}

func drawHandheld(c *canvas, k ink) {
	c.fill(round(6, 30, 88, 42, 8), tone(k.main, -0.25))
	c.fill(round(6, 28, 88, 42, 8), k.main)
	c.fill(round(25, 31, 50, 36, 2), black.rgb)
	c.fill(round(27.5, 33.5, 45, 31, 1), rgb(0x8fc7dd))
	c.fill(svg("M 27.5 64.5 L 27.5 54 Q 38 44 48 54 Q 60 46 72.5 56 L 72.5 64.5 Z"), rgb(0x77b27c))
	c.fill(circle(62, 42, 4), rgb(0xf6d873))
	c.fill(svg("M 27.5 33.5 L 46 33.5 L 32 64.5 L 27.5 64.5 Z"), veil(true, 50))
	c.fill(circle(15.5, 40, 5), k.deep)
	c.fill(circle(15.5, 39.2, 3.6), k.dark)
	c.fill(round(13.7, 51, 3.6, 11, 0.8), k.deep)
	c.fill(round(10, 54.7, 11, 3.6, 0.8), k.deep)
	for _, p := range []point{{84.5, 36}, {89, 40.5}, {80, 40.5}, {84.5, 45}} {
		c.fill(circle(p.x, p.y, 2), k.accent)
	}
	c.fill(circle(84.5, 58, 5), k.deep)
	c.fill(circle(84.5, 57.2, 3.6), k.dark)
}

func drawGameCase(c *canvas, k ink) {
	c.at.turn = -5
	c.fill(round(26, 14, 50, 74, 2.5), tone(k.main, -0.3))
	c.fill(round(24, 13, 50, 74, 2.5), k.accent)
	c.fill(round(24, 13, 50, 9, 2.5), k.deep)
	c.fill(round(28, 25, 42, 57, 1), k.main)
	c.fill(svg("M 28 82 L 28 66 L 40 50 L 50 62 L 58 54 L 70 68 L 70 82 Z"), k.dark)
	c.fill(star(54, 39, 9, 4, 5), yellow.rgb)
	c.fill(round(31, 73, 24, 4, 1), white.rgb)
	c.at = inPlace
}

func drawCards(c *canvas, k ink) {
	for i, turn := range []float64{-22, -4, 16} {
		c.at = placement{turn: turn, scale: 1, dx: 13*float64(i) - 13, dy: 2 * float64(i%2)}
		c.fill(round(32, 22, 36, 52, 3), rgb(0xfaf6ea))
		ink := []ink{inkOf(k.accent, k.main), inkOf(tone(k.main, 0.25), k.accent), k}[i]
		c.fill(round(34.4, 24.4, 31.2, 47.2, 2), ink.main)
		c.fill(round(37, 31, 26, 20, 1), ink.light)
		c.fill(circle(50, 41, 6.4), ink.deep)
		c.fill(star(50, 41, 5, 2.2, 6), yellow.rgb)
		c.fill(round(37, 26.6, 14, 2.4, 1), white.rgb)
		c.fill(round(38, 56, 24, 1.5, 0.7), ink.light)
		c.fill(round(38, 60, 20, 1.5, 0.7), ink.light)
		c.fill(round(38, 64, 22, 1.5, 0.7), ink.light)
	}
	c.at = inPlace
}

func drawFigure(c *canvas, k ink) {
	c.fill(ellipse(50, 88, 24, 5), k.deep)
	c.fill(ellipse(50, 86, 24, 5), tone(k.deep, 0.2))
	c.fill(round(41, 66, 7, 20, 2), black.rgb)
	c.fill(round(52, 66, 7, 20, 2), black.rgb)
	c.fill(svg("M 36 46 L 64 46 L 70 72 Q 50 78 30 72 Z"), k.main)
	c.stroke(svg("M 36 50 Q 26 58 22 50"), 5, rgb(0xf2cfb0))
	c.stroke(svg("M 64 50 Q 74 56 76 66"), 5, rgb(0xf2cfb0))
	c.fill(svg("M 33 58 L 67 58 L 68 62 L 32 62 Z"), k.accent)
	c.fill(circle(50, 30, 16), rgb(0xf2cfb0))
	c.fill(svg("M 32 36 Q 28 10 50 10 Q 72 10 68 36 Q 66 26 60 24 Q 48 28 38 23 Q 34 28 32 36 Z"), k.deep)
	c.fill(ellipse(43.5, 32, 2.2, 3.2), black.rgb)
	c.fill(ellipse(56.5, 32, 2.2, 3.2), black.rgb)
	c.fill(circle(44.2, 30.8, 0.8), white.rgb)
	c.fill(circle(57.2, 30.8, 0.8), white.rgb)
	c.stroke(svg("M 47 40 Q 50 42.4 53 40"), 0.9, rgb(0xb0604f))
	c.fill(ellipse(39, 37.6, 2.4, 1.4), rgb(0xf0a9a0))
	c.fill(ellipse(61, 37.6, 2.4, 1.4), rgb(0xf0a9a0))
	c.fill(svg("M 50 47 L 42 43 L 42 52 Z"), k.accent)
	c.fill(svg("M 50 47 L 58 43 L 58 52 Z"), k.accent)
}

func drawPhone(c *canvas, k ink) {
	c.at = placement{turn: -9, scale: 1, dx: 14, dy: 2}
	c.fill(round(30, 12, 38, 76, 7), tone(k.main, -0.12))
	c.fill(round(33, 16, 15, 20, 5), k.dark)
	for _, y := range []float64{21.5, 30} {
		c.fill(circle(40.5, y, 3.8), black.rgb)
		c.fill(circle(39.6, y-0.8, 1.2), rgb(0x7f93ad))
	}
	c.at = placement{turn: 4, scale: 1, dx: -9, dy: 1}
	c.fill(round(30, 11, 39, 78, 7), k.deep)
	c.fill(round(31.6, 12.6, 35.8, 74.8, 5.6), black.rgb)
	c.fill(round(33, 14, 33, 72, 4.6), k.accent)
	c.fill(svg("M 33 60 Q 44 44 54 56 Q 60 50 66 56 L 66 81.4 Q 66 86 61.4 86 L 37.6 86 Q 33 86 33 81.4 Z"), tone(k.accent, -0.3))
	c.fill(circle(56, 34, 6), tone(k.accent, 0.6))
	c.fill(round(43, 16, 13, 3.4, 1.7), black.rgb)
	c.fill(svg("M 33 18.6 Q 33 14 37.6 14 L 48 14 L 36 86 Q 33 85 33 81.4 Z"), veil(true, 40))
	c.at = inPlace
}

func drawLaptop(c *canvas, k ink) {
	c.fill(round(20, 22, 60, 44, 3), k.deep)
	c.fill(round(22.4, 24.4, 55.2, 38, 1.4), rgb(0x27313f))
	c.fill(round(22.4, 24.4, 55.2, 38, 1.4), veil(true, 16))
	c.fill(svg("M 22.4 62.4 L 22.4 54 Q 36 38 48 52 Q 60 40 77.6 54 L 77.6 62.4 Z"), k.accent)
	c.fill(circle(64, 35, 5), yellow.rgb)
	c.fill(svg("M 22.4 24.4 L 44 24.4 L 28 62.4 L 22.4 62.4 Z"), veil(true, 26))
	c.fill(svg("M 16 66 L 84 66 L 92 80 Q 92 83 88 83 L 12 83 Q 8 83 8 80 Z"), k.main)
	c.fill(svg("M 8 80 L 92 80 Q 92 83 88 83 L 12 83 Q 8 83 8 80 Z"), k.dark)
	c.fill(svg("M 22 68 L 78 68 L 81 74 L 19 74 Z"), k.deep)
	for i := range 3 {
		y := 69.2 + 1.8*float64(i)
		c.stroke(polygon(22-float64(i), y, 78+float64(i), y), 0.5, k.main)
	}
	c.fill(svg("M 41 75.4 L 59 75.4 L 60 79 L 40 79 Z"), k.dark)
}

func drawCamera(c *canvas, k ink) {
	c.fill(round(34, 22, 26, 12, 3), k.deep)
	c.fill(round(18, 27, 10, 6, 1.5), silver.rgb)
	c.fill(round(68, 27, 12, 6, 1.5), silver.rgb)
	c.fill(round(12, 31, 76, 48, 6), k.main)
	c.fill(round(12, 31, 76, 11, 6), silver.rgb)
	c.fill(round(12, 38, 76, 4, 0), silver.rgb)
	c.fill(round(12, 70, 76, 9, 5), veil(false, 26))
	c.fill(circle(50, 57, 19), k.deep)
	c.fill(circle(50, 57, 16.4), silver.rgb)
	c.fill(circle(50, 57, 14.4), rgb(0x2a2e35))
	c.fill(circle(50, 57, 9.4), rgb(0x3f5873))
	c.fill(circle(50, 57, 5), rgb(0x22303f))
	c.fill(ellipse(45.6, 51.6, 3.6, 2.6), veil(true, 190))
	c.fill(circle(54, 61, 1.3), veil(true, 130))
	c.fill(round(40, 25, 14, 6, 1.5), rgb(0xbfd3dd))
	c.fill(circle(79, 48, 2.6), k.accent)
}

func drawHeadphones(c *canvas, k ink) {
	c.stroke(svg("M 22 58 Q 20 18 50 18 Q 80 18 78 58"), 6, k.main)
	c.stroke(svg("M 30 32 Q 37 21 50 21"), 1.6, k.light)
	c.fill(round(12, 50, 22, 34, 9), k.dark)
	c.fill(round(66, 50, 22, 34, 9), k.dark)
	c.fill(round(27, 52, 11, 30, 5), k.deep)
	c.fill(round(62, 52, 11, 30, 5), k.deep)
	c.fill(round(12, 50, 17, 34, 8), k.main)
	c.fill(round(71, 50, 17, 34, 8), k.main)
	c.fill(circle(20.5, 67, 4), k.accent)
	c.fill(circle(79.5, 67, 4), k.accent)
}

func drawTV(c *canvas, k ink) {
	c.fill(svg("M 44 72 L 56 72 L 58 82 L 42 82 Z"), k.deep)
	c.fill(round(30, 81, 40, 4, 2), k.dark)
	c.fill(round(8, 20, 84, 54, 2.5), k.main)
	c.fill(round(10.4, 22.4, 79.2, 47, 1), rgb(0x35507a))
	c.fill(svg("M 10.4 69.4 L 10.4 52 L 30 38 L 46 54 L 60 42 L 89.6 62 L 89.6 69.4 Z"), rgb(0x5c86a8))
	c.fill(svg("M 10.4 69.4 L 10.4 62 Q 40 50 60 60 Q 76 54 89.6 66 L 89.6 69.4 Z"), rgb(0x7db39a))
	c.fill(circle(70, 34, 6), rgb(0xf4dd93))
	c.fill(svg("M 10.4 22.4 L 42 22.4 L 20 69.4 L 10.4 69.4 Z"), veil(true, 26))
	c.fill(circle(50, 71.8, 0.9), k.accent)
}

func drawSpeaker(c *canvas, k ink) {
	c.fill(round(28, 14, 44, 74, 5), k.main)
	c.fill(round(62, 14, 10, 74, 5), veil(false, 22))
	c.fill(circle(50, 34, 11), k.deep)
	c.fill(circle(50, 34, 8.4), black.rgb)
	c.fill(circle(50, 34, 3), k.accent)
	c.fill(circle(50, 64, 17), k.deep)
	c.fill(circle(50, 64, 14.4), black.rgb)
	c.stroke(circle(50, 64, 10.6), 0.7, rgb(0x60646e))
	c.fill(circle(50, 64, 5.6), k.accent)
	c.fill(ellipse(46, 58, 4, 2.6), veil(true, 50))
}

func drawCooker(c *canvas, k ink) {
	c.stroke(svg("M 26 36 Q 26 14 50 14 Q 74 14 74 36"), 3, k.deep)
	c.fill(svg("M 18 44 Q 18 28 34 28 L 66 28 Q 82 28 82 44 Z"), k.light)
	c.fill(round(15, 42, 70, 42, 11), k.main)
	c.fill(round(15, 42, 70, 5, 2), k.dark)
	c.fill(round(34, 54, 32, 22, 4), k.deep)
	c.fill(round(37.5, 57, 25, 9, 1.5), rgb(0xbfe0c8))
	for _, x := range []float64{41, 50, 59} {
		c.fill(circle(x, 71, 2), k.accent)
	}
	c.fill(round(44, 32, 12, 4, 2), k.deep)
	c.fill(round(22, 84, 10, 3, 1), k.deep)
	c.fill(round(68, 84, 10, 3, 1), k.deep)
}

func drawFan(c *canvas, k ink) {
	c.fill(round(47.5, 60, 5, 24, 1), k.dark)
	c.fill(ellipse(50, 87, 19, 4.6), k.deep)
	c.fill(ellipse(50, 85, 19, 4.6), k.main)
	c.fill(circle(50, 38, 27), veil(true, 130))
	for i := range 4 {
		c.at = placement{turn: 90*float64(i) + 24, scale: 1, dy: -12}
		c.fill(svg("M 50 50 Q 38 40 44 28 Q 56 28 50 50 Z"), k.accent)
	}
	for i := range 24 {
		c.at = placement{turn: 15 * float64(i), scale: 1, dy: -12}
		c.stroke(svg("M 50 44 L 50 24"), 0.35, k.deep)
	}
	c.at = inPlace
	c.stroke(circle(50, 38, 27), 2, k.main)
	c.stroke(circle(50, 38, 28.4), 0.6, k.deep)
	c.fill(circle(50, 38, 6), k.main)
	c.fill(circle(50, 38, 2.6), k.dark)
}

func drawBall(c *canvas, k ink) {
	c.fill(circle(50, 54, 31), white.rgb)
	c.fill(polygon(50, 42, 61.4, 50.3, 57, 63.7, 43, 63.7, 38.6, 50.3), k.main)
	for i := range 5 {
		c.at = placement{turn: 72 * float64(i), scale: 1, dy: 4}
		c.stroke(svg("M 50 38 L 50 28"), 1.1, k.deep)
		c.fill(svg("M 50 19 L 58.6 22.4 L 55 29 L 45 29 L 41.4 22.4 Z"), k.main)
		c.stroke(svg("M 55 29 L 63.5 36"), 1.1, k.deep)
		c.stroke(svg("M 45 29 L 36.5 36"), 1.1, k.deep)
	}
	c.at = inPlace
	c.fill(svg("M 76 36 Q 88 60 70 78 Q 58 87 44 84.4 Q 70 78 74 58 Q 77 46 76 36 Z"), veil(false, 24))
	c.fill(ellipse(38, 38, 8, 5), veil(true, 90))
}

func drawRacket(c *canvas, k ink) {
	c.at.turn = 32
	c.stroke(svg("M 50 60 L 50 92"), 4.6, k.deep)
	c.stroke(svg("M 42 54 L 50 66 L 58 54"), 2.6, k.main)
	for i := range 7 {
		x := 38 + 4*float64(i)
		dy := 22 * math.Sqrt(max(0, 1-(x-50)*(x-50)/256))
		c.stroke(polygon(x, 32-dy, x, 32+dy), 0.5, white.rgb)
	}
	for i := range 9 {
		y := 14 + 4.5*float64(i)
		dx := 16 * math.Sqrt(max(0, 1-(y-32)*(y-32)/484))
		c.stroke(polygon(50-dx, y, 50+dx, y), 0.5, white.rgb)
	}
	c.stroke(ellipse(50, 32, 17, 23), 3.4, k.main)
	c.stroke(ellipse(50, 32, 17, 23), 0.8, k.light)
	c.stroke(svg("M 50 72 L 50 90"), 5.4, k.accent)
	c.at = inPlace
	c.fill(circle(26, 76, 8), rgb(0xd5e05a))
	c.stroke(svg("M 19.6 71.6 Q 27 74 27.4 83.6"), 1, white.rgb)
}

func drawTent(c *canvas, k ink) {
	c.stroke(svg("M 50 18 L 10 84"), 1.2, k.deep)
	c.fill(svg("M 50 20 L 92 82 L 8 82 Z"), k.main)
	c.fill(svg("M 50 20 L 92 82 L 62 82 Z"), k.dark)
	c.fill(svg("M 50 20 L 62 82 L 38 82 Z"), k.deep)
	c.fill(svg("M 50 20 L 38 82 L 30 82 Q 42 56 50 20 Z"), k.light)
	c.fill(svg("M 50 20 L 62 82 L 69 82 Q 57 56 50 20 Z"), k.light)
	c.stroke(svg("M 50 20 L 50 13"), 1.2, k.deep)
	c.fill(svg("M 50 12 L 60 15.5 L 50 19 Z"), k.accent)
	c.fill(circle(50, 74, 3), yellow.rgb)
	for _, x := range []float64{8, 92} {
		c.stroke(polygon(x, 82, x+(x-50)*0.08, 87), 1.2, k.deep)
	}
}

func drawBicycle(c *canvas, k ink) {
	for _, x := range []float64{26, 74} {
		c.stroke(circle(x, 66, 18), 2.6, black.rgb)
		c.stroke(circle(x, 66, 15.8), 0.8, silver.rgb)
		for i := range 6 {
			sin, cos := math.Sincos(math.Pi * float64(i) / 6)
			c.stroke(polygon(x-15*cos, 66-15*sin, x+15*cos, 66+15*sin), 0.3, grey.rgb)
		}
		c.fill(circle(x, 66, 2.2), k.deep)
	}
	c.stroke(svg("M 26 66 L 40 40 L 66 40 L 47 66 L 26 66"), 2.8, k.main)
	c.stroke(svg("M 40 40 L 47 66"), 2.8, k.main)
	c.stroke(svg("M 74 66 L 64 32"), 2.8, k.main)
	c.stroke(svg("M 38 35 L 40 40"), 2.2, k.deep)
	c.fill(svg("M 30 32 Q 40 29 46 33 Q 40 37 32 36 Z"), k.deep)
	c.stroke(svg("M 64 32 L 62 27 Q 70 24 76 28"), 2.2, k.deep)
	c.fill(circle(47, 66, 4.6), silver.rgb)
	c.stroke(svg("M 47 66 L 52 74"), 1.6, k.deep)
	c.fill(round(49, 73.4, 7, 2, 1), k.deep)
}

func drawRod(c *canvas, k ink) {
	c.at.turn = 40
	c.stroke(svg("M 50 92 L 50 68"), 4.4, rgb(0xc69a6d))
	c.stroke(svg("M 50 70 L 50 4"), 1.8, k.main)
	for _, y := range []float64{58, 42, 28, 16} {
		c.stroke(circle(52.4, y, 1.5), 0.8, silver.rgb)
	}
	c.fill(round(51, 64, 6, 4, 1), k.deep)
	c.fill(circle(60, 66, 7), k.deep)
	c.fill(circle(60, 66, 4.6), silver.rgb)
	c.stroke(svg("M 60 66 L 69 70"), 1.8, k.deep)
	c.fill(circle(69.6, 70.4, 2.2), k.accent)
	c.at = inPlace
	c.stroke(svg("M 82 14 Q 86 40 78 58"), 0.4, grey.rgb)
	c.fill(svg("M 66 62 Q 76 52 86 60 Q 76 70 66 62 Z"), k.accent)
	c.fill(svg("M 67 62 L 60 57 L 61 67 Z"), k.accent)
	c.fill(circle(81, 60, 1.2), black.rgb)
}

func drawDumbbell(c *canvas, k ink) {
	c.at.turn = -20
	c.fill(round(26, 47, 48, 7, 2), silver.rgb)
	c.fill(round(26, 47, 48, 2.4, 1), veil(true, 130))
	for _, x := range []float64{14, 74} {
		c.fill(round(x, 30, 12, 41, 3.5), k.main)
		c.fill(round(x+7.6, 30, 4.4, 41, 2.2), veil(false, 30))
	}
	for _, x := range []float64{8.6, 86} {
		c.fill(round(x, 38, 5.4, 25, 2), k.deep)
	}
	c.fill(round(26, 38, 4, 25, 1.5), k.accent)
	c.fill(round(70, 38, 4, 25, 1.5), k.accent)
	c.at = inPlace
}

func drawGolf(c *canvas, k ink) {
	for i, x := range []float64{40, 47, 54, 61} {
		c.stroke(polygon(x, 44, x+2*float64(i)-4, 14+3*float64(i%2)), 1.5, silver.rgb)
		c.fill(ellipse(x+2*float64(i)-6, 13+3*float64(i%2), 5, 3.4), k.deep)
	}
	c.fill(svg("M 32 38 L 70 38 L 66 88 L 36 88 Z"), k.main)
	c.fill(svg("M 60 38 L 70 38 L 66 88 L 58 88 Z"), veil(false, 22))
	c.fill(ellipse(51, 38, 19, 5), k.deep)
	c.fill(ellipse(51, 38, 16, 3.6), black.rgb)
	c.fill(round(38, 58, 22, 22, 3), k.dark)
	c.fill(round(41, 63, 16, 1.4, 0.7), k.light)
	c.stroke(svg("M 33 46 Q 18 58 35 76"), 2.4, k.deep)
	c.fill(round(34, 48, 34, 4, 1), k.accent)
}
