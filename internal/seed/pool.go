package seed

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/photo"
)

const (
	// defaultPhotoSide is the side of a drawn photo, in pixels.
	defaultPhotoSide = 640
	// coloursEach is in how many colours a thing is drawn at most.
	coloursEach = 4
)

// subject is one photo: a thing in a colour.
type subject struct {
	drawing string
	colour  colour
}

// subjects lists the photos of a sample market: every drawing that goods use,
// in some of their colours, and parcels and labels to show besides.
func subjects() []subject {
	colours := map[string][]colour{"parcel": {red, blue, green, camel}, "tag": {beige, navy, grey, pink}}
	for _, g := range shelves() {
		for _, c := range g.colours {
			if have := colours[g.drawing]; len(have) < coloursEach && !slices.Contains(have, c) {
				colours[g.drawing] = append(have, c)
			}
		}
	}
	var all []subject
	for _, name := range slices.Sorted(maps.Keys(colours)) {
		for _, c := range colours[name] {
			all = append(all, subject{name, c})
		}
	}
	return all
}

// picture draws a subject: as seen by one photographer, who is the same for equal seeds.
func picture(seed uint64, s subject, side int) *canvas {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.drawing + "/" + s.colour.en)) // never fails
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	c := newCanvas(side)
	set := pick(r, backdrops...)
	for range 4 {
		if other := pick(r, backdrops...); differ(other.wall, s.colour.rgb) > differ(set.wall, s.colour.rgb) {
			set = other
		}
	}
	accent := pick(r, prints...)
	for differ(accent.rgb, s.colour.rgb) < 120 {
		accent = pick(r, prints...)
	}
	c.backdrop(set.wall, set.table, 68+8*r.Float64())
	draw := drawings[s.drawing]
	if s.drawing != "tag" { // which fills the whole photo
		c.base = placement{turn: 4*r.Float64() - 2, scale: 0.93 + 0.1*r.Float64(), dx: 3*r.Float64() - 1.5}
		least, most := c.extent(draw)
		c.base.scale *= min(1, 88/(most.x-least.x), 80/(most.y-least.y))
		least, most = c.extent(draw)
		c.base.dy = 87 - most.y // it stands on the table
		c.shadow((least.x+most.x)/2, 86.4, 0.56*(most.x-least.x), 4.6)
	}
	draw(c, inkOf(s.colour.rgb, accent.rgb))
	return c
}

// pool holds the photos that items share.
type pool struct {
	byDrawing map[string][]shot
}

type shot struct {
	colour colour
	photo  photo.Photo
}

// drawPool draws all subjects and puts them into the photo storage, on all
// cores. Drawn calls done after each.
func drawPool(ctx context.Context, seed uint64, side int, in *photo.Intake, done func()) (*pool, error) {
	all := subjects()
	shots := make([]shot, len(all))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	work := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range work {
				p, err := in.AddImage(ctx, picture(seed, all[i], side).img)
				if err != nil {
					cancel(fmt.Errorf("draw %s in %s: %w", all[i].drawing, all[i].colour.en, err))
					return
				}
				shots[i] = shot{all[i].colour, p}
				done()
			}
		})
	}
feed:
	for i := range all {
		select {
		case work <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p := &pool{byDrawing: map[string][]shot{}}
	for i, s := range all {
		p.byDrawing[s.drawing] = append(p.byDrawing[s.drawing], shots[i])
	}
	return p, nil
}

// take chooses the photos of an item, the first of which shows it in the colour that it is said to have.
func (p *pool) take(r *rand.Rand, g *goods) (colour, []market.Photo) {
	main := pick(r, p.byDrawing[g.drawing]...)
	photos := []market.Photo{{Name: main.photo.Name, Width: main.photo.Width, Height: main.photo.Height}}
	if r.IntN(3) == 0 {
		more := "parcel"
		if g.kind == wear || g.kind == kidswear {
			more = "tag"
		}
		extra := pick(r, p.byDrawing[more]...)
		photos = append(photos, market.Photo{Name: extra.photo.Name, Width: extra.photo.Width, Height: extra.photo.Height})
	}
	return main.colour, photos
}
