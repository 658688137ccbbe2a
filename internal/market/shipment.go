package market

import "time"

// Shipment is the label of an order: what the seller shows at the counter.
// Neither side learns the other's address from it.
type Shipment struct {
	Order     OrderID
	Carrier   string // the carrier's name in the configuration
	Tracking  string // number to ask the carrier for
	Code      string // content of the QR code
	CreatedAt time.Time
}

// ShipmentKey is the idempotency key under which a carrier makes the label of an order.
func (o Order) ShipmentKey() string { return "order:" + o.ID.String() + ":label" }

// CanLabel decides whether a person may have a label made for an order.
func (o Order) CanLabel(user UserID) error {
	switch role, err := o.RoleOf(user); {
	case err != nil:
		return err
	case role != RoleSeller:
		return Errorf(CodeForbidden, ReasonNotYours, "labels are for the seller")
	case o.State != OrderAwaitingShipment:
		return Errorf(CodeConflict, ReasonOrderState, "an order that is %s is not sent", o.State)
	}
	return nil
}
