package market

import "time"

// Rating is what one side of an order thinks of the other.
type Rating string

// The ratings.
const (
	RatingGood Rating = "good"
	RatingBad  Rating = "bad"
)

// Review is what one side of an order says about the other. Both are hidden
// until the order is completed, so that none is an answer to the other.
type Review struct {
	ID         ReviewID
	Order      OrderID
	Author     UserID
	AuthorName string // filled by reads
	Subject    UserID
	Role       Role // the author's
	Rating     Rating
	Body       string
	CreatedAt  time.Time
}

// ReviewDraft is what somebody gives to review the other side of an order.
type ReviewDraft struct {
	ID     ReviewID
	Author UserID
	Rating Rating
	Body   string // may be empty
}

// NewReview checks a review. The event that it makes of the order is the
// buyer's receipt or the seller's completion.
func (r Rules) NewReview(o Order, d ReviewDraft, now time.Time) (Review, Step, error) {
	role, err := o.RoleOf(d.Author)
	if err != nil {
		return Review{}, Step{}, err
	}
	if d.Rating != RatingGood && d.Rating != RatingBad {
		return Review{}, Step{}, Fieldf("rating", ReasonMalformed, "must be good or bad")
	}
	body, err := text("body", d.Body, r.CommentRunes, false, cleanText)
	if err != nil {
		return Review{}, Step{}, err
	}
	review := Review{ID: d.ID, Order: o.ID, Author: d.Author, Role: role, Rating: d.Rating, Body: body, CreatedAt: now.UTC()}
	if role == RoleSeller {
		review.Subject = o.Buyer
		return review, Step{Event: OrderSellerReview, By: ActorSeller}, nil
	}
	review.Subject = o.Seller
	return review, Step{Event: OrderBuyerReview, By: ActorBuyer}, nil
}
