package seed

import "image/color"

// colour is a colour that things are sold in, with its names.
type colour struct {
	en, ja string
	rgb    color.RGBA
}

func rgb(v uint32) color.RGBA { return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255} }

// The colours.
var (
	white  = colour{"white", "ホワイト", rgb(0xf6f3ec)}
	black  = colour{"black", "ブラック", rgb(0x33353b)}
	grey   = colour{"grey", "グレー", rgb(0x9aa0a6)}
	silver = colour{"silver", "シルバー", rgb(0xc4cad0)}
	beige  = colour{"beige", "ベージュ", rgb(0xdcc7a1)}
	brown  = colour{"brown", "ブラウン", rgb(0x8a5a3c)}
	camel  = colour{"camel", "キャメル", rgb(0xbf8a4e)}
	navy   = colour{"navy", "ネイビー", rgb(0x2f4468)}
	blue   = colour{"blue", "ブルー", rgb(0x4a86c5)}
	sky    = colour{"light blue", "ライトブルー", rgb(0x93c3e0)}
	green  = colour{"green", "グリーン", rgb(0x5a9b6a)}
	khaki  = colour{"khaki", "カーキ", rgb(0x7f8057)}
	mint   = colour{"mint", "ミント", rgb(0x9ed3bf)}
	yellow = colour{"yellow", "イエロー", rgb(0xedc24c)}
	orange = colour{"orange", "オレンジ", rgb(0xe5874a)}
	red    = colour{"red", "レッド", rgb(0xcd4c48)}
	wine   = colour{"burgundy", "ボルドー", rgb(0x873f50)}
	pink   = colour{"pink", "ピンク", rgb(0xe9a3b2)}
	purple = colour{"purple", "パープル", rgb(0x8f77b5)}
	gold   = colour{"gold", "ゴールド", rgb(0xd6ac54)}
	wood   = colour{"natural wood", "ナチュラル", rgb(0xcf9f66)}
	walnut = colour{"walnut", "ウォールナット", rgb(0x7c5436)}
)

// Sets of colours that go with kinds of things.
var (
	fabrics  = []colour{white, black, navy, beige, sky, green, pink, red}
	denims   = []colour{navy, blue, black, beige, khaki, grey}
	warm     = []colour{beige, grey, navy, wine, mint, camel}
	leathers = []colour{black, brown, camel, wine, beige, navy}
	sporty   = []colour{red, blue, yellow, black, green, orange}
	metals   = []colour{gold, silver}
	woods    = []colour{wood, walnut, white}
	kitchen  = []colour{white, red, mint, navy, yellow}
	gadgets  = []colour{black, white, silver, blue}
	prints   = []colour{red, blue, green, yellow, purple, orange, navy}
	pastels  = []colour{pink, mint, sky, yellow, white, purple}
)

// backdrops are pairs of a wall and a table that things look well on.
var backdrops = []struct{ wall, table color.RGBA }{
	{rgb(0xf3ebe0), rgb(0xe2d3bf)}, // linen
	{rgb(0xdfe9ec), rgb(0xc9d8dc)}, // mist
	{rgb(0xf4dfd8), rgb(0xe8c9be)}, // blush
	{rgb(0xe3ead9), rgb(0xcedabd)}, // sage
	{rgb(0xe6e1f0), rgb(0xd2cae3)}, // lilac
	{rgb(0xf7ecc9), rgb(0xead9a4)}, // butter
	{rgb(0xe9e9e7), rgb(0xd6d5d1)}, // plaster
	{rgb(0xd6e6e2), rgb(0xb9d2cb)}, // sea
}

// ink is what a thing is drawn with.
type ink struct {
	main, dark, deep, light, accent color.RGBA
}

func inkOf(c, accent color.RGBA) ink {
	return ink{main: c, dark: tone(c, -0.16), deep: tone(c, -0.38), light: tone(c, 0.35), accent: accent}
}

// differ is how far two colours are from each other.
func differ(a, b color.RGBA) int {
	d := func(x, y uint8) int { return max(int(x)-int(y), int(y)-int(x)) }
	return d(a.R, b.R) + d(a.G, b.G) + d(a.B, b.B)
}
