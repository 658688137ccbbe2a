package market

import (
	"slices"
	"time"
)

// Step is one event of an order: what happens, by whom.
type Step struct {
	Event OrderEvent
	By    Actor // never ActorParties
	// Note is why, for those who have to decide: the problem that a buyer
	// reports, the reason of a cancellation. It may be empty.
	Note string
}

// Advance returns the order after a step. The table of transitions decides
// whether the step can be taken and by whom, and guards of time when; what
// else belongs to the event (a review, a label) is the caller's.
//
// To be paid, declined or expired is the business of Settle and Release.
func (r Rules) Advance(o Order, s Step, now time.Time) (Order, error) {
	t, ok := transition(o.State, s.Event)
	if !ok || o.State == OrderPendingPayment {
		return Order{}, Errorf(CodeConflict, ReasonOrderState, "an order that is %s cannot do this", o.State)
	}
	if !t.allows(s.By) {
		return Order{}, Errorf(CodeForbidden, ReasonNotYours, "this is for the %s to do", t.By[0])
	}
	now = now.UTC()
	if wait := r.notBefore(o, s); now.Before(wait) {
		return Order{}, Errorf(CodeConflict, ReasonTooEarly, "not before %s", wait.Format(time.RFC3339))
	}
	o.State = t.To
	o.Version++
	o.UpdatedAt = now
	o.DeadlineAt = r.deadline(o, now)
	if s.Note != "" {
		o.Note = s.Note
	}
	switch {
	case s.Event == OrderShip:
		o.ShippedAt = now
	case o.State.Final():
		o.EndedAt = now
	}
	return o, nil
}

// CheckNote checks the note of a step.
func (r Rules) CheckNote(note string) (string, error) {
	return text("note", note, r.CommentRunes, false, cleanText)
}

// notBefore is the earliest time for a step; zero if it may be taken at once.
func (r Rules) notBefore(o Order, s Step) time.Time {
	switch {
	case s.By == ActorTimer:
		return o.DeadlineAt
	case s.Event == OrderCancel && s.By == ActorBuyer:
		return r.ShipBy(o)
	}
	return time.Time{}
}

// ShipBy is until when the seller is to send what was paid. Afterwards the
// buyer may cancel.
func (r Rules) ShipBy(o Order) time.Time { return o.PaidAt.Add(r.ShipWithin) }

// deadline is when the timer of the order's state rings; zero if it has none.
func (r Rules) deadline(o Order, now time.Time) time.Time {
	switch o.State {
	case OrderAwaitingShipment:
		return now.Add(r.CancelUnshipped)
	case OrderShipped:
		return now.Add(r.ReceiveAfterShipping)
	case OrderDelivered:
		return now.Add(r.ReceiveAfterDelivery)
	case OrderReceived:
		return now.Add(r.ReviewWithin)
	}
	return time.Time{}
}

// Overdue returns the step that the clock takes, once the deadline of an order
// has passed. Orders that wait for their payment are the business of Sweep.
func Overdue(o Order, now time.Time) (Step, bool) {
	if o.DeadlineAt.IsZero() || now.Before(o.DeadlineAt) || o.State == OrderPendingPayment {
		return Step{}, false
	}
	for _, t := range orderTransitions {
		if t.From == o.State && t.allows(ActorTimer) {
			return Step{Event: t.Event, By: ActorTimer}, true
		}
	}
	return Step{}, false
}

// Actions returns what a person can do with an order now, in the order of the
// table.
func (r Rules) Actions(o Order, role Role, now time.Time) []OrderEvent {
	var events []OrderEvent
	for _, t := range orderTransitions {
		if t.From == o.State && t.allows(role.actor()) && !now.Before(r.notBefore(o, Step{Event: t.Event, By: role.actor()})) {
			events = append(events, t.Event)
		}
	}
	return events
}

// Todo is what an order waits for somebody to do.
type Todo string

// What there is to do.
const (
	TodoShip          Todo = "ship"           // the seller is to send it
	TodoReceive       Todo = "receive"        // the buyer is to say that it came, and to rate
	TodoReview        Todo = "review"         // the seller is to rate
	TodoWaitPayment   Todo = "wait_payment"   // the provider has not said yet
	TodoAwaitOperator Todo = "await_operator" // somebody decides the dispute
)

// Todo returns what a person has to do next, "" if it is nothing. It follows
// from the state alone, so that it is never out of date.
func (o Order) Todo(role Role) Todo {
	switch {
	case o.State == OrderAwaitingShipment && role == RoleSeller:
		return TodoShip
	case (o.State == OrderShipped || o.State == OrderDelivered) && role == RoleBuyer:
		return TodoReceive
	case o.State == OrderReceived && role == RoleSeller:
		return TodoReview
	case o.State == OrderPendingPayment && role == RoleBuyer:
		return TodoWaitPayment
	case o.State == OrderDisputed:
		return TodoAwaitOperator
	}
	return ""
}

// TodoStates are the states in which a person of that role has something to do.
func TodoStates(role Role) []OrderState {
	if role == RoleSeller {
		return []OrderState{OrderAwaitingShipment, OrderReceived}
	}
	return []OrderState{OrderShipped, OrderDelivered}
}

func (r Role) actor() Actor {
	if r == RoleSeller {
		return ActorSeller
	}
	return ActorBuyer
}

// ActorOf returns the person of a role as who makes an event happen.
func ActorOf(r Role) Actor { return r.actor() }

func transition(from OrderState, e OrderEvent) (OrderTransition, bool) {
	for _, t := range orderTransitions {
		if t.From == from && t.Event == e {
			return t, true
		}
	}
	return OrderTransition{}, false
}

// allows reports whether the actor may make the transition happen.
func (t OrderTransition) allows(by Actor) bool {
	party := by == ActorBuyer || by == ActorSeller
	return slices.Contains(t.By, by) || party && slices.Contains(t.By, ActorParties)
}
