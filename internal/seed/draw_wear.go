package seed

// Things to wear. Each function draws in the middle of a canvas of 100 × 100.

func drawTee(c *canvas, k ink) {
	body := svg("M 38 22 Q 50 31 62 22 L 72 25 L 88 42 L 77 52 L 70 46 L 70 82 Q 50 85 30 82 L 30 46 L 23 52 L 12 42 L 28 25 Z")
	c.fill(body, k.main)
	c.fill(svg("M 70 46 L 70 82 Q 65 83 61 83.3 L 64 40 Z"), veil(false, 18))
	c.fill(svg("M 30 46 L 30 82 Q 33 82.6 36 83 L 33 52 Z"), veil(false, 14))
	c.stroke(svg("M 38 22 Q 50 31 62 22"), 2.2, k.dark)
	c.stroke(svg("M 15.5 39.5 L 26.5 49"), 1, k.dark)
	c.stroke(svg("M 84.5 39.5 L 73.5 49"), 1, k.dark)
	c.fill(circle(50, 50, 9), k.accent)
	c.fill(svg("M 41.6 53 Q 46 46 50 52 Q 54 44 58.4 53 Q 55 59 50 59 Q 45 59 41.6 53 Z"), veil(true, 120))
}

func drawBlouse(c *canvas, k ink) {
	c.fill(svg("M 39 23 L 61 23 L 74 28 L 84 62 L 75 66 L 69 46 L 70 82 Q 50 86 30 82 L 31 46 L 25 66 L 16 62 L 26 28 Z"), k.main)
	c.fill(svg("M 69 46 L 70 82 Q 64 84 60 84.4 L 62 40 Z"), veil(false, 16))
	c.fill(svg("M 39 23 L 50 34 L 43 40 L 34 25 Z"), k.light)
	c.fill(svg("M 61 23 L 50 34 L 57 40 L 66 25 Z"), k.light)
	c.stroke(svg("M 39 23 L 50 34 L 43 40 L 34 25"), 0.7, k.deep)
	c.stroke(svg("M 61 23 L 50 34 L 57 40 L 66 25"), 0.7, k.deep)
	c.stroke(svg("M 50 34 L 50 84"), 0.8, k.dark)
	for y := 43.0; y < 82; y += 9 {
		c.fill(circle(50, y, 1.2), k.deep)
	}
	c.stroke(svg("M 17.3 58 L 26 62"), 1, k.dark)
	c.stroke(svg("M 82.7 58 L 74 62"), 1, k.dark)
	c.fill(round(56, 47, 9, 10, 1), k.dark)
	c.fill(round(56, 47, 9, 9, 1), k.main)
	c.stroke(svg("M 56 49.5 L 65 49.5"), 0.6, k.dark)
}

func drawKnit(c *canvas, k ink) {
	c.fill(svg("M 37 24 L 63 24 L 75 30 L 86 66 L 76 70 L 70 50 L 70 82 L 30 82 L 30 50 L 24 70 L 14 66 L 25 30 Z"), k.main)
	for i := range 5 {
		x := 36 + 7*float64(i)
		for y := 34.0; y < 76; y += 5 {
			c.stroke(polygon(x-2, y, x, y+3, x+2, y), 0.9, k.dark)
		}
	}
	c.fill(round(30, 77, 40, 6, 1.5), k.dark)
	c.fill(svg("M 14 66 L 24 70 L 25.3 65.5 L 15.3 61.5 Z"), k.dark)
	c.fill(svg("M 86 66 L 76 70 L 74.7 65.5 L 84.7 61.5 Z"), k.dark)
	c.fill(svg("M 36 24 Q 50 34 64 24 L 62 20 Q 50 28 38 20 Z"), k.dark)
}

func drawJacket(c *canvas, k ink) {
	c.fill(svg("M 36 22 L 64 22 L 77 28 L 87 68 L 77 71 L 71 50 L 72 84 L 28 84 L 29 50 L 23 71 L 13 68 L 23 28 Z"), k.main)
	c.fill(svg("M 36 22 L 50 40 L 64 22 L 58 20 L 42 20 Z"), k.accent)
	c.fill(svg("M 36 22 L 50 42 L 43 52 L 37 44 L 40 41 L 31 25 Z"), k.dark)
	c.fill(svg("M 64 22 L 50 42 L 57 52 L 63 44 L 60 41 L 69 25 Z"), k.dark)
	c.stroke(svg("M 50 42 L 50 84"), 1, k.deep)
	c.fill(round(33, 64, 12, 2.4, 1), k.deep)
	c.fill(round(55, 64, 12, 2.4, 1), k.deep)
	for _, y := range []float64{54, 63, 72} {
		c.fill(circle(53, y, 1.4), k.light)
	}
	c.fill(svg("M 71 50 L 72 84 L 65 84 L 66 42 Z"), veil(false, 18))
}

func drawCoat(c *canvas, k ink) {
	c.fill(svg("M 37 16 L 63 16 L 75 22 L 84 62 L 75 65 L 70 46 L 75 90 L 25 90 L 30 46 L 25 65 L 16 62 L 25 22 Z"), k.main)
	c.fill(svg("M 37 16 L 50 36 L 42 46 L 31 26 Z"), k.dark)
	c.fill(svg("M 63 16 L 50 36 L 58 46 L 69 26 Z"), k.dark)
	c.fill(svg("M 40 16 L 50 32 L 60 16 Z"), k.accent)
	c.fill(round(28, 56, 44, 4.6, 1), k.dark)
	c.fill(round(46, 55, 8, 6.6, 1), k.deep)
	c.fill(round(47.6, 56.6, 4.8, 3.4, 0.5), k.main)
	c.stroke(svg("M 50 46 L 50 90"), 0.8, k.deep)
	for _, y := range []float64{42, 50, 68, 77} {
		c.fill(circle(45, y, 1.3), k.deep)
		c.fill(circle(55, y, 1.3), k.deep)
	}
	c.stroke(svg("M 33 70 L 38 66"), 1.4, k.deep)
	c.stroke(svg("M 67 70 L 62 66"), 1.4, k.deep)
}

func drawDress(c *canvas, k ink) {
	c.fill(svg("M 38 18 Q 42 30 50 30 Q 58 30 62 18 L 66 20 L 70 32 L 63 38 L 62 48 Q 74 66 80 86 Q 50 93 20 86 Q 26 66 38 48 L 37 38 L 30 32 L 34 20 Z"), k.main)
	c.fill(svg("M 38 47 L 62 47 L 63 51 L 37 51 Z"), k.accent)
	for _, x := range []float64{34, 44, 56, 66} {
		c.stroke(&path{steps: []step{{'M', [3]point{{50 + (x-50)*0.55, 55}}}, {'Q', [3]point{{50 + (x-50)*0.8, 70}, {50 + (x-50)*1.35, 86}}}}}, 0.8, k.dark)
	}
	c.fill(svg("M 62 48 Q 74 66 80 86 Q 74 87.6 68 88.4 Q 66 66 58 51 Z"), veil(false, 16))
	for _, p := range []point{{33, 74}, {42, 66}, {50, 78}, {59, 68}, {67, 79}, {41, 84}, {46, 40}, {55, 38}, {59, 85}} {
		c.fill(circle(p.x, p.y, 1.5), k.light)
	}
}

func drawSkirt(c *canvas, k ink) {
	c.fill(svg("M 34 22 L 66 22 L 84 78 Q 50 86 16 78 Z"), k.main)
	for i, x := range []float64{24, 37, 50, 63, 76} {
		top := 40 + 5*float64(i)
		c.fill(polygon(top, 28, x-3.5, 81.5, x+3.5, 81.5), k.dark)
	}
	c.fill(round(33, 19, 34, 8, 1.5), k.deep)
	c.fill(circle(62, 23, 1.5), k.accent)
}

func drawPants(c *canvas, k ink) {
	c.fill(svg("M 31 14 L 69 14 L 76 88 L 56 90 L 50 42 L 44 90 L 24 88 Z"), k.main)
	c.fill(svg("M 69 14 L 76 88 L 69 88.8 L 61 20 Z"), veil(false, 20))
	c.fill(svg("M 31 14 L 69 14 L 69.6 20 L 30.4 20 Z"), k.dark)
	c.stroke(svg("M 50 20 L 50 42"), 0.9, k.deep)
	c.stroke(svg("M 50 21 Q 55 26 53 36"), 0.6, k.light)
	c.stroke(svg("M 33 21 Q 36 28 30.6 29"), 0.9, k.deep)
	c.stroke(svg("M 67 21 Q 64 28 69.4 29"), 0.9, k.deep)
	c.fill(circle(50, 17, 1.6), k.accent)
	c.stroke(svg("M 24.6 84 L 44.6 86"), 0.8, k.light)
	c.stroke(svg("M 75.4 84 L 55.4 86"), 0.8, k.light)
	for _, x := range []float64{37, 62} {
		c.fill(round(x, 13.4, 1.8, 7.6, 0.5), k.deep)
	}
}

func drawCap(c *canvas, k ink) {
	c.fill(svg("M 22 60 Q 20 28 50 27 Q 80 28 78 60 Z"), k.main)
	c.fill(svg("M 50 27 Q 36 34 36 60 L 22 60 Q 20 28 50 27 Z"), k.dark)
	c.fill(svg("M 50 27 Q 64 34 64 60 L 50 62 L 36 60 Q 36 34 50 27 Z"), k.main)
	c.stroke(svg("M 50 27 Q 36 34 36 60"), 0.7, k.deep)
	c.stroke(svg("M 50 27 Q 64 34 64 60"), 0.7, k.deep)
	c.fill(svg("M 20 60 Q 50 48 80 60 Q 92 68 88 74 Q 50 62 12 74 Q 8 68 20 60 Z"), k.deep)
	c.fill(svg("M 20 60 Q 50 49 80 60 Q 88 66 86 70 Q 50 59 14 70 Q 12 66 20 60 Z"), k.dark)
	c.fill(circle(50, 27, 2), k.deep)
	c.fill(star(50, 46, 7, 3.1, 5), k.accent)
}

func drawScarf(c *canvas, k ink) {
	c.fill(svg("M 56 40 L 70 44 L 66 84 L 50 82 Z"), k.dark)
	c.fill(svg("M 24 34 Q 50 14 76 34 Q 82 46 70 50 Q 50 36 30 50 Q 18 46 24 34 Z"), k.main)
	c.fill(svg("M 30 42 L 46 46 L 44 88 L 27 86 Z"), k.main)
	for _, y := range []float64{58, 66, 74} {
		c.fill(polygon(28.8, y, 45.4, y+1.4, 45.2, y+4.4, 28.5, y+3), k.accent)
		c.fill(polygon(54, y-2, 68.2, y, 67.9, y+3, 53.5, y+1), k.accent)
	}
	c.fill(svg("M 26 34 Q 50 24 74 34 Q 78 46 62 48 Q 50 52 38 48 Q 22 46 26 34 Z"), k.light)
	c.stroke(svg("M 30 38 Q 50 46 70 38"), 1, k.dark)
	for i := range 6 {
		x := 28.5 + 2.9*float64(i)
		c.stroke(polygon(x, 86, x-0.5, 91), 0.9, k.deep)
		c.stroke(polygon(x+23, 82.4, x+22.6, 87), 0.9, k.deep)
	}
}

func drawTote(c *canvas, k ink) {
	c.stroke(svg("M 36 44 Q 36 18 50 18 Q 64 18 64 44"), 3, k.deep)
	c.fill(svg("M 22 40 L 78 40 L 82 84 Q 50 88 18 84 Z"), k.main)
	c.fill(svg("M 22 40 L 78 40 L 78.6 46 L 21.4 46 Z"), k.dark)
	c.stroke(svg("M 36 40 L 36 50"), 3, k.deep)
	c.stroke(svg("M 64 40 L 64 50"), 3, k.deep)
	c.fill(circle(50, 66, 11), k.accent)
	c.fill(svg("M 44 66 Q 50 56 56 66 Q 50 76 44 66 Z"), veil(true, 170))
	c.fill(svg("M 70 46 L 78.6 46 L 82 84 Q 76 85 71 85.6 Z"), veil(false, 16))
}

func drawBackpack(c *canvas, k ink) {
	c.stroke(svg("M 42 24 Q 42 13 50 13 Q 58 13 58 24"), 2.6, k.deep)
	c.fill(round(16, 50, 14, 30, 5), k.dark)
	c.fill(round(70, 50, 14, 30, 5), k.dark)
	c.fill(round(24, 18, 52, 70, 16), k.main)
	c.fill(svg("M 24 44 Q 24 18 50 18 Q 76 18 76 44 L 76 48 Q 50 54 24 48 Z"), k.light)
	c.stroke(svg("M 24 48 Q 50 54 76 48"), 1.2, k.deep)
	c.fill(round(32, 56, 36, 26, 5), k.dark)
	c.stroke(svg("M 35 63 L 65 63"), 1.2, k.deep)
	c.fill(round(62, 62, 2.4, 7, 1), k.accent)
	c.fill(round(44, 30, 12, 8, 2), k.accent)
	c.fill(round(46, 48, 8, 9, 1.5), k.deep)
}

func drawHandbag(c *canvas, k ink) {
	c.stroke(svg("M 34 44 Q 34 18 50 18 Q 66 18 66 44"), 3.4, k.dark)
	c.fill(svg("M 24 42 L 76 42 Q 82 42 83 50 L 86 78 Q 86 84 80 84 L 20 84 Q 14 84 14 78 L 17 50 Q 18 42 24 42 Z"), k.main)
	c.fill(svg("M 24 42 L 76 42 Q 82 42 83 50 L 83.4 54 Q 50 74 16.6 54 L 17 50 Q 18 42 24 42 Z"), k.dark)
	c.stroke(svg("M 16.6 54 Q 50 74 83.4 54"), 0.8, k.light)
	c.fill(round(44, 58, 12, 9, 2), gold.rgb)
	c.fill(round(46.5, 60.5, 7, 4, 1), tone(gold.rgb, -0.3))
	for _, x := range []float64{34, 66} {
		c.fill(circle(x, 45, 2.2), gold.rgb)
	}
	c.stroke(svg("M 18 79 Q 50 83 82 79"), 0.7, k.light)
}

func drawWallet(c *canvas, k ink) {
	c.fill(round(16, 32, 68, 44, 5), k.dark)
	c.fill(round(16, 30, 68, 44, 5), k.main)
	c.stroke(round(19, 33, 62, 38, 3.5), 0.6, k.light)
	c.fill(svg("M 84 44 L 66 44 Q 58 44 58 52 Q 58 60 66 60 L 84 60 Z"), k.dark)
	c.fill(circle(66, 52, 3.4), gold.rgb)
	c.fill(circle(66, 52, 1.6), tone(gold.rgb, -0.3))
	c.fill(round(24, 60, 16, 3, 1), k.deep)
}

func drawSneaker(c *canvas, k ink) {
	c.fill(svg("M 10 66 L 90 66 Q 92 76 84 78 L 16 78 Q 9 78 10 66 Z"), white.rgb)
	c.fill(svg("M 10 72 L 91 72 Q 90 77 84 78 L 16 78 Q 10 78 10 72 Z"), k.accent)
	c.fill(svg("M 12 66 L 14 38 Q 20 32 28 36 Q 34 42 42 38 L 62 54 Q 84 56 90 66 Z"), k.main)
	c.fill(svg("M 62 54 Q 84 56 90 66 L 66 66 Q 60 60 62 54 Z"), k.light)
	c.fill(svg("M 12 66 L 14 38 Q 20 32 26 35 L 28 66 Z"), k.dark)
	for i := range 4 {
		x := 42 + 5.5*float64(i)
		c.stroke(polygon(x-1.5, 41.5+4.3*float64(i), x+5, 38+4.6*float64(i)), 1.8, white.rgb)
	}
	c.stroke(svg("M 30 62 Q 44 62 54 54"), 2.8, k.accent)
	c.stroke(svg("M 12 66 L 90 66"), 0.8, k.deep)
}

func drawPump(c *canvas, k ink) {
	c.fill(svg("M 16 40 Q 24 38 32 50 Q 46 68 66 66 Q 84 64 89 72 Q 90 78 82 78 L 58 78 Q 40 76 28 62 L 24 80 L 18 80 Q 20 60 15 50 Z"), k.main)
	c.fill(svg("M 16 40 Q 24 38 32 50 Q 46 68 66 66 L 60 70 Q 42 70 29 56 Q 22 48 16 46 Z"), k.deep)
	c.fill(svg("M 58 78 Q 40 76 28 62 L 27 67 Q 40 79 58 80 L 84 80 Q 88 79 88.6 76 Q 87 78 82 78 Z"), k.dark)
	c.fill(circle(74, 69, 2.4), k.accent)
	c.fill(svg("M 67 66.5 L 73 69 L 67 72 Z"), k.accent)
	c.fill(svg("M 81 66.5 L 75 69 L 81 72 Z"), k.accent)
}

func drawBoot(c *canvas, k ink) {
	c.fill(svg("M 34 16 L 60 16 L 60 52 Q 64 60 78 62 Q 86 64 86 74 L 34 76 Z"), k.main)
	c.fill(svg("M 34 16 L 44 16 L 42 76 L 34 76 Z"), veil(false, 22))
	c.fill(svg("M 32 74 L 87 74 L 87 81 L 56 81 L 54 78 L 50 78 L 49 84 L 32 84 Z"), k.deep)
	for i := range 5 {
		y := 24 + 7*float64(i)
		c.stroke(polygon(50, y, 59, y+2.5), 1.5, k.light)
		c.stroke(polygon(50, y+2.5, 59, y), 1.5, k.light)
	}
	c.fill(round(32, 13, 30, 6, 2.5), k.dark)
	c.stroke(svg("M 66 61 Q 62 68 62 74"), 0.8, k.deep)
}

func drawWatch(c *canvas, k ink) {
	c.fill(svg("M 41 10 L 59 10 L 61 34 L 39 34 Z"), k.main)
	c.fill(svg("M 39 66 L 61 66 L 59 92 L 41 92 Z"), k.main)
	c.stroke(svg("M 45 12 L 43.5 32"), 0.6, k.light)
	c.stroke(svg("M 55 12 L 56.5 32"), 0.6, k.light)
	for _, y := range []float64{74, 79, 84} {
		c.fill(circle(50, y, 1), k.deep)
	}
	c.fill(round(69, 46, 6, 8, 1.5), silver.rgb)
	c.fill(circle(50, 50, 22), tone(silver.rgb, -0.2))
	c.fill(circle(50, 50, 20.6), silver.rgb)
	c.fill(circle(50, 50, 17.6), white.rgb)
	for i := range 12 {
		c.at.turn = 30 * float64(i)
		l := 1.8
		if i%3 == 0 {
			l = 3.4
		}
		c.fill(round(49.5, 34, 1, l, 0.3), black.rgb)
	}
	c.at.turn = 0
	c.stroke(svg("M 50 50 L 43 44"), 1.8, black.rgb)
	c.stroke(svg("M 50 50 L 60 41"), 1.2, black.rgb)
	c.stroke(svg("M 50 53 L 50 37"), 0.5, k.accent)
	c.fill(circle(50, 50, 1.6), k.accent)
}

func drawGlasses(c *canvas, k ink) {
	c.stroke(svg("M 18 46 Q 14 40 20 34"), 2.4, k.dark)
	c.stroke(svg("M 82 46 Q 86 40 80 34"), 2.4, k.dark)
	for _, x := range []float64{31, 69} {
		c.fill(circle(x, 52, 16), k.main)
		c.fill(circle(x, 52, 13), rgb(0xdfe8ea))
		c.fill(ellipse(x-4, 47, 5, 4), veil(true, 140))
	}
	c.stroke(svg("M 45 49 Q 50 44 55 49"), 3, k.main)
}

func drawNecklace(c *canvas, k ink) {
	c.fill(svg("M 22 12 Q 50 4 78 12 L 86 92 L 14 92 Z"), rgb(0x4b4152))
	c.fill(svg("M 22 12 Q 50 4 78 12 L 80 30 Q 50 22 20 30 Z"), rgb(0x5a5063))
	for i := range 41 {
		t := float64(i)/20 - 1
		x, y := 50+26*t, 24+38*(1-t*t)
		c.fill(circle(x, y, 1.1), k.main)
	}
	c.fill(circle(50, 65, 2.4), k.dark)
	c.fill(polygon(50, 66, 57, 73, 50, 83, 43, 73), k.accent)
	c.fill(polygon(50, 66, 57, 73, 50, 74), veil(true, 90))
	c.fill(polygon(43, 73, 50, 74, 50, 83), veil(false, 50))
}

func drawRing(c *canvas, k ink) {
	c.fill(svg("M 20 66 L 80 66 L 86 86 L 14 86 Z"), rgb(0x5c4a63))
	c.fill(svg("M 20 66 Q 50 58 80 66 Q 50 76 20 66 Z"), rgb(0x796582))
	c.stroke(circle(50, 56, 18), 4.4, k.dark)
	c.stroke(circle(50, 55.4, 18), 3, k.main)
	c.fill(polygon(40, 28, 60, 28, 66, 34, 50, 47, 34, 34), rgb(0xbfe4ee))
	c.fill(polygon(40, 28, 60, 28, 56, 34, 44, 34), rgb(0xeaf8fb))
	c.fill(polygon(44, 34, 56, 34, 50, 47), rgb(0x93cbdd))
	c.fill(polygon(56, 34, 66, 34, 50, 47), rgb(0x76b3c9))
	c.fill(svg("M 20 66 Q 50 76 80 66 L 83 76 Q 50 84 17 76 Z"), rgb(0x6a5772))
}

func drawOnesie(c *canvas, k ink) {
	c.fill(svg("M 38 20 Q 50 30 62 20 L 74 24 L 84 40 L 74 48 L 68 42 L 70 66 Q 66 78 58 84 L 42 84 Q 34 78 30 66 L 32 42 L 26 48 L 16 40 L 26 24 Z"), k.main)
	c.stroke(svg("M 38 20 Q 50 30 62 20"), 2.2, k.accent)
	c.stroke(svg("M 30.6 66 Q 38 70 42 83"), 2, k.accent)
	c.stroke(svg("M 69.4 66 Q 62 70 58 83"), 2, k.accent)
	for _, x := range []float64{46, 50, 54} {
		c.fill(circle(x, 81.4, 1.1), k.deep)
	}
	// A bear looks at you.
	c.fill(circle(43, 44, 4), k.deep)
	c.fill(circle(57, 44, 4), k.deep)
	c.fill(circle(50, 51, 10), k.dark)
	c.fill(circle(46.4, 49.5, 1.2), black.rgb)
	c.fill(circle(53.6, 49.5, 1.2), black.rgb)
	c.fill(ellipse(50, 54.4, 3.8, 3), k.light)
	c.fill(ellipse(50, 53.2, 1.6, 1.1), black.rgb)
}
