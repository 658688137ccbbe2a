package api_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/api"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/pay"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/store"
)

// detached is an API that has routes and nothing behind them.
func detached(t testing.TB) *api.API {
	t.Helper()
	a, err := api.New(api.DefaultConfig(), api.Deps{
		Store: &store.Store{}, Queue: &job.Queue{}, Cache: cache.New(cache.DefaultConfig(), cache.Options{}), Pay: &pay.Sandbox{}, Photos: &photo.Intake{},
	})
	must(t, err)
	return a
}

// TestOpenAPIGolden holds the contract with the apps: whoever changes it sees what.
func TestOpenAPIGolden(t *testing.T) {
	got, err := detached(t).OpenAPI()
	must(t, err)
	const file = "openapi.json"
	if *update {
		must(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("the document has changed; look at it, then go test -run Golden -update\n%s", cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")))
	}
	again, err := detached(t).OpenAPI()
	must(t, err)
	if !bytes.Equal(got, again) {
		t.Error("two documents of one program differ")
	}
}

type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]map[string]any
	}
}

type operation struct {
	OperationID string
	Summary     string
	Tags        []string
	Parameters  []struct {
		Name, In    string
		Description string
	}
	RequestBody map[string]any
	Responses   map[string]struct {
		Description string
		Content     map[string]struct{ Schema map[string]any }
	}
	Security []map[string][]string
}

func readDocument(t testing.TB) document {
	t.Helper()
	b, err := detached(t).OpenAPI()
	must(t, err)
	var d document
	must(t, json.Unmarshal(b, &d))
	return d
}

// TestRouterAndDocumentAgree holds that every route is documented, and nothing else.
func TestRouterAndDocumentAgree(t *testing.T) {
	undocumented := []string{"GET /openapi.json", "GET /docs", "GET /docs/docs.css", "GET /problems/{slug}"}
	var documented []string
	for path, item := range readDocument(t).Paths {
		for method := range item {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	routes := detached(t).Routes()
	slices.Sort(routes)
	want := slices.Sorted(slices.Values(append(documented, undocumented...)))
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("document (-) and router (+):\n%s", diff)
	}
}

func TestDocumentIsComplete(t *testing.T) {
	d := readDocument(t)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("version %q", d.OpenAPI)
	}
	ids := map[string]bool{}
	for path, item := range d.Paths {
		for method, op := range item {
			at := method + " " + path
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || ids[op.OperationID] {
				t.Errorf("%s: id %q, summary %q, tags %v", at, op.OperationID, op.Summary, op.Tags)
			}
			ids[op.OperationID] = true
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: parameter %s is not described", at, p.Name)
				}
			}
			statuses := slices.Sorted(maps.Keys(op.Responses))
			if !slices.ContainsFunc(statuses, func(s string) bool { return s < "300" }) || !slices.Contains(statuses, "500") || !slices.Contains(statuses, "503") {
				t.Errorf("%s: answers %v", at, statuses)
			}
			if (op.Security != nil) != slices.Contains(statuses, "401") && op.OperationID != "logIn" {
				t.Errorf("%s: session %v, answers %v", at, op.Security, statuses)
			}
			if (op.RequestBody != nil) != slices.Contains(statuses, "413") {
				t.Errorf("%s: a body, and answers %v", at, statuses)
			}
			for status, r := range op.Responses {
				for contentType := range r.Content {
					if problem := contentType == "application/problem+json"; problem != (status >= "400") {
						t.Errorf("%s: %s is %s", at, status, contentType)
					}
				}
			}
		}
	}
	for name, s := range d.Components.Schemas {
		if strings.Contains(name, "ErrorModel") || s["properties"] == nil {
			t.Errorf("schema %s: %v", name, s)
			continue
		}
		for prop, v := range s["properties"].(map[string]any) {
			p := v.(map[string]any)
			if p["description"] == nil && p["$ref"] == nil {
				t.Errorf("schema %s: %s is not described", name, prop)
			}
		}
		// Requests are closed, answers may grow.
		if closed, request := s["additionalProperties"] == false, strings.HasPrefix(name, "New") || slices.Contains([]string{"Registration", "Credentials", "DeviceRegistration", "ItemPatch", "MePatch", "AccountDeletion", "Address", "Note"}, name); closed != request {
			t.Errorf("schema %s: closed %v", name, closed)
		}
	}
}
