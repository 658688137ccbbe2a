package store

import (
	"encoding/json"
	"fmt"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
)

// The kinds of the jobs that the store enqueues. Payloads hold ids only: a
// handler reads the rest when it runs, so that it never tells old news. A
// handler must bear to run twice.
const (
	KindItemLiked     = "item.liked"     // payload ItemLiked: tell the seller
	KindItemCommented = "item.commented" // payload ItemCommented: tell the seller
	KindItemIndex     = "item.index"     // payload ItemRef: make search find the item as it is now
	KindOrderPaid     = "order.paid"     // payload OrderRef: tell the seller
	KindOrderSettle   = "order.settle"   // payload OrderRef: look what became of the payment

	KindOrderShipped   = "order.shipped"   // payload OrderRef: tell the buyer
	KindOrderDelivered = "order.delivered" // payload OrderRef: tell the buyer
	KindOrderReceived  = "order.received"  // payload OrderRef: tell the seller
	KindOrderCompleted = "order.completed" // payload OrderRef: tell the buyer
	KindOrderDisputed  = "order.disputed"  // payload OrderRef: tell the seller
	KindOrderRefund    = "order.refund"    // payload OrderRef: give the money back, and tell both
	KindOrderRefunded  = "order.refunded"  // payload OrderRef: tell the buyer
	KindOrderMessage   = "order.message"   // payload OrderMessage: tell the other side
	KindPayout         = "payout.pay"      // payload PayoutRef: have the provider pay
)

// Kinds returns every kind of job that the store enqueues.
func Kinds() []string {
	return []string{
		KindItemLiked, KindItemCommented, KindItemIndex, KindOrderPaid, KindOrderSettle,
		KindOrderShipped, KindOrderDelivered, KindOrderReceived, KindOrderCompleted, KindOrderDisputed, KindOrderRefund, KindOrderRefunded,
		KindOrderMessage, KindPayout,
	}
}

// ItemLiked is the payload of KindItemLiked. User is one of those who liked the
// item since the seller last heard of it; there may be more, and the like may
// be gone again when the job runs.
type ItemLiked struct {
	Item market.ItemID `json:"item_id"`
	User market.UserID `json:"user_id"`
}

// ItemCommented is the payload of KindItemCommented.
type ItemCommented struct {
	Item    market.ItemID    `json:"item_id"`
	Comment market.CommentID `json:"comment_id"`
}

// ItemRef is the payload of KindItemIndex.
type ItemRef struct {
	Item market.ItemID `json:"item_id"`
}

// OrderRef is the payload of the kinds about an order.
type OrderRef struct {
	Order market.OrderID `json:"order_id"`
}

// OrderMessage is the payload of KindOrderMessage.
type OrderMessage struct {
	Order   market.OrderID   `json:"order_id"`
	Message market.MessageID `json:"message_id"`
}

// PayoutRef is the payload of KindPayout.
type PayoutRef struct {
	Payout market.PayoutID `json:"payout_id"`
}

// newJob encodes a payload; the types above always encode.
func newJob(kind string, payload any) job.New {
	b, err := json.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("encode payload of %s: %v", kind, err))
	}
	return job.New{Kind: kind, Payload: b}
}
