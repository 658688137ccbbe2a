package market

import "time"

// Message is what one side of an order writes to the other. Nobody else reads
// it.
type Message struct {
	ID        MessageID
	Order     OrderID
	Author    UserID
	Body      string
	CreatedAt time.Time
}

// NewMessage checks a message about an order. One can write from the payment on
// until some time after the end.
func (r Rules) NewMessage(o Order, id MessageID, author UserID, body string, now time.Time) (Message, error) {
	if _, err := o.RoleOf(author); err != nil {
		return Message{}, err
	}
	switch {
	case o.PaidAt.IsZero():
		return Message{}, Errorf(CodeConflict, ReasonOrderState, "an order that is %s has nothing to talk about", o.State)
	case o.State.Final() && !now.Before(o.EndedAt.Add(r.TalkAfterEnd)):
		return Message{}, Errorf(CodeConflict, ReasonOrderState, "the order has ended long ago")
	}
	body, err := text("body", body, r.CommentRunes, true, cleanText)
	if err != nil {
		return Message{}, err
	}
	return Message{ID: id, Order: o.ID, Author: author, Body: body, CreatedAt: now.UTC()}, nil
}
