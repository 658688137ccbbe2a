package seed

import (
	"strings"

	"github.com/furima/furima/internal/market"
)

// node is a category. A leaf has goods.
type node struct {
	id       market.CategoryID
	en, ja   string
	children []node
	goods    *goods
}

// goods say what is sold in a leaf.
type goods struct {
	category market.CategoryID
	kind     kind
	drawing  string
	colours  []colour
	median   float64 // of the prices, in yen
	spread   float64 // standard deviation of their logarithm
	things   []thing
}

// thing is what an item is called, in both languages.
type thing struct{ ja, en string }

// kind is what there is to say about goods.
type kind uint8

const (
	plain     kind = iota // a colour
	bare                  // nothing but its name
	wear                  // size S to XL
	shoes                 // size in centimetres
	kidswear              // size by height
	furniture             // measures
	tableware             // one or a set
	reading               // no colour
	series                // volumes
	media                 // no colour
	device                // works
	food                  // no condition to speak of
	paper                 // tickets, cards
)

func group(id market.CategoryID, en, ja string, children ...node) node {
	return node{id: id, en: en, ja: ja, children: children}
}

// leaf makes a category with goods. A thing is "Japanese|English".
func leaf(id market.CategoryID, en, ja string, k kind, drawing string, colours []colour, median, spread float64, things ...string) node {
	g := &goods{category: id, kind: k, drawing: drawing, colours: colours, median: median, spread: spread}
	for _, t := range things {
		ja, en, _ := strings.Cut(t, "|")
		g.things = append(g.things, thing{ja, en})
	}
	return node{id: id, en: en, ja: ja, goods: g}
}

// Catalog returns the categories of a flea market, parents before their
// children. Ids never change their meaning: a sub-category's id begins with its
// parent's. New ones may be added.
func Catalog() []market.Category {
	var all []market.Category
	var add func(parent market.CategoryID, nodes []node)
	add = func(parent market.CategoryID, nodes []node) {
		for i, n := range nodes {
			all = append(all, market.Category{ID: n.id, Parent: parent, Position: i + 1, Name: n.en, NameJA: n.ja})
			add(n.id, n.children)
		}
	}
	add(0, tree())
	return all
}

// shelves returns the goods of all leaves, in the order of the tree.
func shelves() []*goods {
	var all []*goods
	var add func(nodes []node)
	add = func(nodes []node) {
		for _, n := range nodes {
			if n.goods != nil {
				all = append(all, n.goods)
			}
			add(n.children)
		}
	}
	add(tree())
	return all
}

func tree() []node {
	return []node{
		women(), men(), kids(), home(), kitchenware(), books(), musicAndFilm(), games(), hobby(), electronics(), sports(), outdoors(),
		vehicles(), beauty(), handmade(), instruments(), art(), garden(), pets(), groceries(), tickets(), toolsAndOffice(),
	}
}
