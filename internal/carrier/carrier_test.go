package carrier_test

import (
	"bytes"
	"context"
	"image/png"
	"strings"
	"testing"

	"github.com/furima/furima/internal/carrier"
	"github.com/furima/furima/internal/market"
)

func TestSandbox(t *testing.T) {
	c, err := carrier.Open(carrier.DefaultConfig())
	if err != nil || c.Name() != "sandbox" {
		t.Fatal(c, err)
	}
	first, err := c.Label(t.Context(), carrier.LabelRequest{Key: "order:1:label", Order: 1})
	if err != nil || first.Order != 1 || first.Carrier != "sandbox" || first.Tracking == "" || !strings.Contains(first.Code, first.Tracking) {
		t.Errorf("%+v, %v", first, err)
	}
	if again, err := c.Label(t.Context(), carrier.LabelRequest{Key: "order:1:label", Order: 1}); err != nil || again != first {
		t.Errorf("again: %+v, %v", again, err)
	}
	if other, err := c.Label(t.Context(), carrier.LabelRequest{Key: "order:2:label", Order: 2}); err != nil || other.Tracking == first.Tracking {
		t.Errorf("another order's: %+v, %v", other, err)
	}
	if _, err := c.Label(t.Context(), carrier.LabelRequest{}); market.CodeOf(err) != market.CodeInvalid {
		t.Errorf("for nothing: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Label(over, carrier.LabelRequest{Key: "k", Order: 1}); market.CodeOf(err) != market.CodeUnavailable {
		t.Errorf("nobody waits: %v", err)
	}
}

func TestQR(t *testing.T) {
	b, err := carrier.QR("furima-sandbox:SB123")
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil || picture.Bounds().Dx() != 360 || picture.Bounds().Dy() != 360 {
		t.Fatal(err)
	}
	dark := 0
	for x := range 360 {
		for y := range 360 {
			if r, _, _, _ := picture.At(x, y).RGBA(); r < 0x8000 {
				dark++
			}
		}
	}
	if dark < 360*360/5 || dark > 360*360*4/5 {
		t.Errorf("%d dark pixels", dark)
	}
	if _, err := carrier.QR(strings.Repeat("x", 5000)); err == nil {
		t.Error("a code that is too long is drawn")
	}
}

func TestConfig(t *testing.T) {
	faults := 0
	carrier.Config{Name: "pigeon"}.Validate(func(key, _ string) {
		if key != "name" {
			t.Error(key)
		}
		faults++
	})
	carrier.Config{}.Validate(func(string, string) { faults += 10 })
	if _, err := carrier.Open(carrier.Config{Name: "pigeon"}); err == nil || faults != 1 {
		t.Errorf("%d faults, %v", faults, err)
	}
}
