// Package carrier is what the market asks of those who carry parcels: a label
// for an order, and where it is.
//
// Open gives the configured one:
//
//	c, err := carrier.Open(cfg.Carrier)
//	if err != nil {
//		return err
//	}
//	label, err := c.Label(ctx, carrier.LabelRequest{Key: order.ShipmentKey(), Order: order.ID})
//	// The seller shows label.Code, as QR(label.Code) draws it, at the counter.
//
// The sandbox, the only carrier yet, makes labels that no counter takes: a real
// one needs a contract. A carrier learns both addresses from the market and
// tells neither side the other's.
//
// The package keeps nothing and starts no goroutine. Everything in it may be
// used by several goroutines at once.
package carrier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"image/png"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"github.com/furima/furima/internal/market"
)

// Carrier makes labels.
//
// Errors are market errors. CodeUnavailable: it is not known what happened; the
// same call again is safe.
type Carrier interface {
	// Name is the carrier's name in labels.
	Name() string
	// Label makes the label of an order, once a key: the same key again gives
	// the same label.
	Label(ctx context.Context, r LabelRequest) (market.Shipment, error)
}

// LabelRequest asks for a label.
type LabelRequest struct {
	Key   string // market.Order.ShipmentKey
	Order market.OrderID
}

// Config is the table [carrier].
type Config struct {
	// Name of the carrier; "sandbox", whose labels no counter takes, is the only one yet. Default: "sandbox".
	Name string `toml:"name"`
}

const nameSandbox = "sandbox"

// DefaultConfig returns the configuration that an empty table means.
func DefaultConfig() Config { return Config{Name: nameSandbox} }

// Validate reports every fault with its key.
func (c Config) Validate(fault func(key, problem string)) {
	if c.Name != "" && c.Name != nameSandbox {
		fault("name", fmt.Sprintf("is %q, must be %q", c.Name, nameSandbox))
	}
}

// Open returns the configured carrier.
func Open(c Config) (Carrier, error) {
	if c.Name != "" && c.Name != nameSandbox {
		return nil, fmt.Errorf("open carrier: unknown carrier %q", c.Name)
	}
	return sandbox{}, nil
}

// sandbox makes labels out of their keys.
type sandbox struct{}

func (sandbox) Name() string { return nameSandbox }

func (sandbox) Label(ctx context.Context, r LabelRequest) (market.Shipment, error) {
	if r.Key == "" || r.Order == 0 {
		return market.Shipment{}, market.Errorf(market.CodeInvalid, market.ReasonMalformed, "a label needs a key and an order")
	}
	if err := ctx.Err(); err != nil {
		return market.Shipment{}, market.Wrap(market.CodeUnavailable, "", err, "the carrier does not answer")
	}
	sum := sha256.Sum256([]byte(r.Key))
	tracking := "SB" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10])
	return market.Shipment{Order: r.Order, Carrier: nameSandbox, Tracking: tracking, Code: "furima-sandbox:" + tracking}, nil
}

// qrPixels is the width of a QR code in pixels: sharp on a phone's screen.
const qrPixels = 360

// QR draws the code of a label as a PNG picture.
func QR(code string) ([]byte, error) {
	symbol, err := qr.Encode(code, qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("encode QR code: %w", err)
	}
	scaled, err := barcode.Scale(symbol, qrPixels, qrPixels)
	if err != nil {
		return nil, fmt.Errorf("scale QR code: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, scaled); err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	return b.Bytes(), nil
}
