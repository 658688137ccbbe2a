package market

import (
	"cmp"
	"slices"
	"time"
)

// Notification is a piece of news for a person, to be read in the app.
type Notification struct {
	ID        NotificationID
	User      UserID
	Kind      NoticeKind
	Item      ItemID
	ItemTitle string  // filled by reads
	Order     OrderID // 0: it is about no order
	Actor     UserID  // who did it; 0: nobody in particular
	ActorName string  // filled by reads
	CreatedAt time.Time
}

// NoticeOf says whom an order's arrival in its state is news for; false if
// nobody.
func NoticeOf(o Order) (Notification, bool) {
	n := Notification{User: o.Buyer, Item: o.Item, Order: o.ID}
	switch o.State {
	case OrderAwaitingShipment:
		n.User, n.Actor, n.Kind = o.Seller, o.Buyer, NoticePaid
	case OrderShipped:
		n.Kind = NoticeShipped
	case OrderDelivered:
		n.Kind = NoticeDelivered
	case OrderReceived:
		n.User, n.Kind = o.Seller, NoticeReceived
	case OrderCompleted:
		n.Kind = NoticeCompleted
	case OrderDisputed:
		n.User, n.Kind = o.Seller, NoticeDisputed
	case OrderRefundPending:
		n.User, n.Kind = o.Seller, NoticeCancelled
	case OrderRefunded:
		n.Kind = NoticeRefunded
	default:
		return Notification{}, false
	}
	return n, true
}

// ByUrgency sorts orders: those whose time runs out first come first.
func ByUrgency(orders []Order) {
	slices.SortFunc(orders, func(a, b Order) int {
		return cmp.Or(a.DeadlineAt.Compare(b.DeadlineAt), cmp.Compare(a.ID, b.ID))
	})
}
