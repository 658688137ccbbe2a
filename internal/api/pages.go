package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/furima/furima/client"
)

// pages adds what is made once and never changes: the document, the page that
// explains it, a page for each kind of problem.
func (a *API) pages(version string) error {
	document, err := a.OpenAPI()
	if err != nil {
		return err
	}
	page, style, err := documentation(a.huma.OpenAPI(), a.order, version)
	if err != nil {
		return err
	}
	r := router{a}
	r.HandleFunc("GET /openapi.json", newStatic("application/json", "", document).ServeHTTP)
	r.HandleFunc("GET /docs", page.ServeHTTP)
	r.HandleFunc("GET /docs/docs.css", style.ServeHTTP)
	problems := map[string][2]static{}
	for _, k := range kinds {
		page, err := problemPage(k)
		if err != nil {
			return err
		}
		data, err := json.Marshal(map[string]any{"type": "/problems/" + k.slug, "title": k.title, "status": k.status, "code": k.code, "about": k.about})
		if err != nil {
			return fmt.Errorf("encode problem %s: %w", k.slug, err)
		}
		problems[k.slug] = [2]static{page, newStatic("application/json", "", append(data, '\n'))}
	}
	a.handle("GET /problems/{slug}", func(w http.ResponseWriter, r *http.Request) error {
		p, ok := problems[r.PathValue("slug")]
		if !ok {
			return refuse(kindNotFound, "there is no such kind of problem")
		}
		w.Header().Add("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			p[0].ServeHTTP(w, r)
		} else {
			p[1].ServeHTTP(w, r)
		}
		return nil
	})
	return nil
}

// OpenAPI returns the OpenAPI document, indented.
func (a *API) OpenAPI() ([]byte, error) {
	compact, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("encode OpenAPI document: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		return nil, fmt.Errorf("indent OpenAPI document: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// finishDocument mends what cannot be said by a type: answers may grow fields, so that only
// requests are closed, and an order may be answered by 202.
func finishDocument(doc *huma.OpenAPI) {
	open := map[string]*huma.Schema{}
	closed := map[string]*huma.Schema{}
	for _, item := range doc.Paths {
		for _, op := range operationsOf(item) {
			if op.RequestBody != nil {
				for _, media := range op.RequestBody.Content {
					reach(doc, media.Schema, closed)
				}
			}
			for _, r := range op.Responses {
				for _, media := range r.Content {
					reach(doc, media.Schema, open)
				}
			}
		}
	}
	for name, s := range open {
		if closed[name] == nil {
			s.AdditionalProperties = nil
		}
	}
	buy := doc.Paths["/v1/orders"].Post
	buy.Responses["202"] = &huma.Response{
		Description: "Accepted: the payment is not decided yet", Headers: buy.Responses["201"].Headers,
		Content: map[string]*huma.MediaType{"application/json": {
			Schema: doc.Components.Schemas.Schema(reflect.TypeFor[client.Order](), true, ""),
		}},
	}
}

// reach collects the named schemas that a schema leads to.
func reach(doc *huma.OpenAPI, s *huma.Schema, into map[string]*huma.Schema) {
	s, name := resolve(doc, s)
	if s == nil || (name != "" && into[name] != nil) {
		return
	}
	if name != "" {
		into[name] = s
	}
	reach(doc, s.Items, into)
	for _, p := range s.Properties {
		reach(doc, p, into)
	}
}
