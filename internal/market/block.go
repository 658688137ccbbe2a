package market

import "time"

// Block is a person's wish to have nothing to do with another. It holds in both
// directions: neither comments on, likes or buys what the other sells, writes to
// the other, or is told of the other.
type Block struct {
	User      UserID
	Blocked   UserID
	Name      string // of the blocked one; filled by reads
	CreatedAt time.Time
}

// ErrBlocked is the error for what two people may not do because one of them
// has blocked the other. It does not say which.
var ErrBlocked = Errorf(CodeForbidden, ReasonBlocked, "the two of you have nothing to do with each other")

// NewBlock checks a wish to block. Count is how many the person has blocked so
// far.
func (r Rules) NewBlock(user, blocked UserID, count int, now time.Time) (Block, error) {
	switch {
	case user == blocked:
		return Block{}, Fieldf("user_id", ReasonMalformed, "nobody blocks themselves")
	case count >= r.MaxBlocks:
		return Block{}, Errorf(CodeConflict, ReasonTooMany, "nobody blocks more than %d people", r.MaxBlocks)
	}
	return Block{User: user, Blocked: blocked, CreatedAt: now.UTC()}, nil
}
