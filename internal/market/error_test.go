package market_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/furima/furima/internal/market"
)

func TestErrorCodes(t *testing.T) {
	base := market.Errorf(market.CodeConflict, market.ReasonItemSold, "somebody else was first")
	for name, c := range map[string]struct {
		err    error
		code   market.Code
		reason market.Reason
	}{
		"nil":            {nil, "", ""},
		"plain":          {io.EOF, market.CodeInternal, ""},
		"direct":         {base, market.CodeConflict, market.ReasonItemSold},
		"wrapped":        {fmt.Errorf("reserve item 7: %w", base), market.CodeConflict, market.ReasonItemSold},
		"joined":         {errors.Join(io.EOF, base), market.CodeConflict, market.ReasonItemSold},
		"with a cause":   {market.Wrap(market.CodeUnavailable, "", io.EOF, "try again"), market.CodeUnavailable, ""},
		"first of two":   {errors.Join(market.Fieldf("price", market.ReasonOutOfRange, "no"), base), market.CodeInvalid, market.ReasonOutOfRange},
		"inside another": {market.Wrap(market.CodeNotFound, "", base, "gone"), market.CodeNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := market.CodeOf(c.err); got != c.code {
				t.Errorf("CodeOf = %q, want %q", got, c.code)
			}
			if got := market.ReasonOf(c.err); got != c.reason {
				t.Errorf("ReasonOf = %q, want %q", got, c.reason)
			}
		})
	}
	if !errors.Is(market.Wrap(market.CodeUnavailable, "", io.EOF, "try again"), io.EOF) {
		t.Error("the cause of an error is lost")
	}
	if n := len(market.Codes()); n != 8 {
		t.Errorf("%d codes: the set is closed at 8", n)
	}
}

func TestFaultsFindsEveryField(t *testing.T) {
	rules := market.DefaultRules()
	_, err := rules.NewItem(market.ItemDraft{Title: " ", Price: 1, Condition: "shiny", Photos: []market.PhotoID{1, 1}}, noon)
	var fields []string
	for _, f := range market.Faults(fmt.Errorf("list item: %w", err)) {
		fields = append(fields, f.Field)
	}
	if got, want := strings.Join(fields, " "), "title price category_id condition photo_ids"; got != want {
		t.Errorf("fields at fault: %s, want %s (%v)", got, want, err)
	}
	if faults := market.Faults(io.EOF); faults != nil {
		t.Errorf("Faults of another's error: %v", faults)
	}
}
