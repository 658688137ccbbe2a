package api

import (
	"cmp"
	"context"
	"net/http"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// conditionNames are what people read for a condition.
var conditionNames = map[market.Condition]client.Text{
	market.ConditionNew:     {JA: "新品、未使用", EN: "New"},
	market.ConditionLikeNew: {JA: "未使用に近い", EN: "Like new"},
	market.ConditionGood:    {JA: "目立った傷や汚れなし", EN: "Good"},
	market.ConditionFair:    {JA: "やや傷や汚れあり", EN: "Fair"},
	market.ConditionWorn:    {JA: "傷や汚れあり", EN: "Worn"},
	market.ConditionPoor:    {JA: "全体的に状態が悪い", EN: "Poor"},
}

func (a *API) getCatalog(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	return a.cache.Serve(w, r, "/v1/catalog", a.loadCatalog)
}

func (a *API) loadCatalog(ctx context.Context) (cache.Answer, error) {
	tree, err := a.store.Categories(ctx)
	if err != nil {
		return cache.Answer{}, err
	}
	brands, err := a.store.Brands(ctx)
	if err != nil {
		return cache.Answer{}, err
	}
	out := client.Catalog{Currency: a.store.Rules().Currency, Categories: categoriesOut(tree, 0), Brands: []client.Brand{}}
	for _, b := range brands.All {
		out.Brands = append(out.Brands, client.Brand{ID: int(b.ID), Name: client.Text{JA: cmp.Or(b.NameJA, b.Name), EN: b.Name}})
	}
	for _, c := range market.Conditions() {
		out.Conditions = append(out.Conditions, client.Condition{ID: string(c), Name: conditionNames[c]})
	}
	body, err := encode(out)
	return cache.Answer{ContentType: contentJSON[0], Body: body, Tags: []string{store.TagCategories}}, err
}

// categoriesOut is the tree below a category. Its depth is bounded by market.MaxCategoryDepth.
func categoriesOut(tree *market.Tree, below market.CategoryID) []client.Category {
	out := []client.Category{}
	for _, id := range tree.Children(below) {
		c, _ := tree.Category(id)
		node := client.Category{ID: int(id), Name: client.Text{JA: c.NameJA, EN: c.Name}}
		if len(tree.Children(id)) > 0 {
			node.Children = categoriesOut(tree, id)
		}
		out = append(out, node)
	}
	return out
}
