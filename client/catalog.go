package client

import (
	"context"
	"fmt"
	"net/http"
)

// Catalog is what an app needs to draw its forms and menus.
type Catalog struct {
	Currency   string      `json:"currency" doc:"ISO 4217 code; amounts are integers of its smallest unit." example:"JPY"`
	Categories []Category  `json:"categories" nullable:"false" doc:"The tree of categories, the roots first."`
	Brands     []Brand     `json:"brands" nullable:"false" doc:"Brands that an item may name."`
	Conditions []Condition `json:"conditions" nullable:"false" doc:"Conditions, the best first."`
}

// Category is a node of the tree that items are filed under.
type Category struct {
	ID       int        `json:"id" doc:"Id of the category."`
	Name     Text       `json:"name" doc:"Its name."`
	Children []Category `json:"children,omitempty" nullable:"false" doc:"The categories below. An item is filed under one without any."`
}

// Brand is a maker of things, or the name that they are sold under.
type Brand struct {
	ID   int  `json:"id" doc:"Id of the brand."`
	Name Text `json:"name" doc:"Its name."`
}

// Condition is how worn an item may be.
type Condition struct {
	ID   string `json:"id" doc:"Id of the condition." example:"good"`
	Name Text   `json:"name" doc:"Its name."`
}

// Text is a text in the languages of the market.
type Text struct {
	JA string `json:"ja" doc:"In Japanese."`
	EN string `json:"en" doc:"In English."`
}

// Catalog returns categories, brands, conditions and the currency.
func (c *Client) Catalog(ctx context.Context) (Catalog, error) {
	var out Catalog
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/catalog"}, &out); err != nil {
		return Catalog{}, fmt.Errorf("get catalog: %w", err)
	}
	return out, nil
}
