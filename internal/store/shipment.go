package store

import (
	"context"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

var errShipmentNotFound = market.Errorf(market.CodeNotFound, "", "there is no label for this order")

const fromShipments = "SELECT order_id, carrier, tracking, code, created_at FROM shipments"

func scanShipment(row scanner) (market.Shipment, error) {
	var sh market.Shipment
	var created int64
	err := row.Scan((*int64)(&sh.Order), &sh.Carrier, &sh.Tracking, &sh.Code, &created)
	sh.CreatedAt = sqldb.FromMicros(created)
	return sh, err
}

// AddShipment writes down the label that a carrier has made. There is one an
// order: if there is one already, that one is returned.
func (s *Store) AddShipment(ctx context.Context, by market.UserID, sh market.Shipment) (market.Shipment, error) {
	var out market.Shipment
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		o, err := s.lockOrder(ctx, tx, sh.Order)
		if err != nil {
			return err
		}
		if err := o.CanLabel(by); err != nil {
			return err
		}
		out, err = scanShipment(tx.QueryRowContext(ctx, fromShipments+" WHERE order_id = ?", int64(sh.Order)))
		if err = orNotFound(err, errShipmentNotFound); market.CodeOf(err) != market.CodeNotFound {
			return err
		}
		out = sh
		out.CreatedAt = now
		_, err = tx.ExecContext(ctx, "INSERT INTO shipments (order_id, carrier, tracking, code, created_at) VALUES (?, ?, ?, ?, ?)",
			int64(out.Order), out.Carrier, out.Tracking, out.Code, sqldb.Micros(now))
		return err
	})
	if err != nil {
		return market.Shipment{}, failed(err, "add shipment of order %d", int64(sh.Order))
	}
	return out, nil
}

// Shipment returns the label of an order.
func (s *Store) Shipment(ctx context.Context, id market.OrderID) (market.Shipment, error) {
	sh, err := scanShipment(s.db.QueryRowContext(ctx, fromShipments+" WHERE order_id = ?", int64(id)))
	if err != nil {
		return market.Shipment{}, failed(orNotFound(err, errShipmentNotFound), "read shipment of order %d", int64(id))
	}
	return sh, nil
}

// ShipmentByTracking returns the label that a carrier tells about.
func (s *Store) ShipmentByTracking(ctx context.Context, carrier, tracking string) (market.Shipment, error) {
	sh, err := scanShipment(s.db.QueryRowContext(ctx, fromShipments+" WHERE carrier = ? AND tracking = ?", carrier, tracking))
	if err != nil {
		return market.Shipment{}, failed(orNotFound(err, errShipmentNotFound), "read shipment by tracking number")
	}
	return sh, nil
}
