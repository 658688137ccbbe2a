package warm

import (
	"errors"
	"fmt"
	"iter"
	"sort"
)

// Plan is an ordered list of combinations: those of its first template, then
// those of the second, and so on. Inside a template the rightmost set changes
// fastest. A Plan cannot be changed and may be used by any number of
// goroutines.
type Plan struct {
	templates []*template
	ends      []int64
}

// NewPlan reads URL templates:
//
//	http://127.0.0.1:8080/v1/items?category={1..300}&sort={new,price}
//	https://market.example/v1/items/it_{001..100}
//	http+unix://%2Frun%2Ffurima%2Fapi.sock/v1/items?page={1..9..2,all}
//
// Braces hold values with commas between them; a value FROM..TO or
// FROM..TO..STEP is a range of whole numbers, zero-padded if one of its ends
// is. A backslash takes the special meaning from the character after it.
// Characters that a URL cannot hold are percent-encoded. An error is or wraps
// a *SyntaxError.
func NewPlan(templates ...string) (*Plan, error) {
	if len(templates) == 0 {
		return nil, errors.New("no URL template")
	}
	parsed := make([]*template, len(templates))
	for i, s := range templates {
		t, err := parseTemplate(s, nil)
		switch {
		case err != nil && len(templates) > 1:
			return nil, fmt.Errorf("template %d: %w", i+1, err)
		case err != nil:
			return nil, err
		}
		parsed[i] = t
	}
	return planOf(parsed...)
}

func planOf(templates ...*template) (*Plan, error) {
	p := &Plan{templates: templates}
	total := int64(0)
	for _, t := range templates {
		if total > maxCombinations-t.count {
			return nil, &SyntaxError{Problem: fmt.Sprintf("more than %d combinations", int64(maxCombinations))}
		}
		total += t.count
		p.ends = append(p.ends, total)
	}
	return p, nil
}

// Count returns the number of combinations, without making any.
func (p *Plan) Count() int64 { return p.ends[len(p.ends)-1] }

// URL returns combination i, from 0. It panics if there is no such.
func (p *Plan) URL(i int64) string {
	t, k := p.at(i)
	return string(t.append(nil, k))
}

// All yields every combination in order, one at a time.
func (p *Plan) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		var buf []byte
		for _, t := range p.templates {
			for i := range t.count {
				buf = t.append(buf[:0], i)
				if !yield(string(buf)) {
					return
				}
			}
		}
	}
}

// at returns the template of combination i and its number there.
func (p *Plan) at(i int64) (*template, int64) {
	if i < 0 || i >= p.Count() {
		panic(fmt.Sprintf("warm: combination %d of %d", i, p.Count()))
	}
	k := sort.Search(len(p.ends), func(k int) bool { return p.ends[k] > i })
	if k > 0 {
		i -= p.ends[k-1]
	}
	return p.templates[k], i
}
