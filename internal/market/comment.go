package market

import "time"

// Comment is a public remark on an item.
type Comment struct {
	ID         CommentID
	Item       ItemID
	Author     UserID
	AuthorName string
	Body       string // empty once it is deleted
	CreatedAt  time.Time
	DeletedAt  time.Time // zero: it is there
}

// CommentDraft is what somebody gives to comment.
type CommentDraft struct {
	ID     CommentID
	Item   ItemID
	Author UserID
	Body   string
}

// NewComment checks a comment on an item.
func (r Rules) NewComment(item Item, d CommentDraft, now time.Time) (Comment, error) {
	if err := item.CanSee(d.Author); err != nil {
		return Comment{}, err
	}
	if item.State == ItemSold {
		return Comment{}, Errorf(CodeConflict, ReasonItemSold, "the item has been sold")
	}
	body, err := text("body", d.Body, r.CommentRunes, true, cleanText)
	if err != nil {
		return Comment{}, err
	}
	return Comment{ID: d.ID, Item: d.Item, Author: d.Author, Body: body, CreatedAt: now.UTC()}, nil
}

// ErrCommentNotFound is the error for a comment that does not exist.
var ErrCommentNotFound = Errorf(CodeNotFound, "", "there is no such comment")

// Delete returns the comment after its author or the item's seller has taken it
// away: that there was one stays to be seen. Changed is false if it was taken
// away before.
func (c Comment) Delete(item Item, by UserID, now time.Time) (after Comment, changed bool, err error) {
	switch {
	case c.Item != item.ID:
		return Comment{}, false, ErrCommentNotFound
	case by != c.Author && by != item.Seller:
		return Comment{}, false, Errorf(CodeForbidden, ReasonNotYours, "only its author and the seller take a comment away")
	case !c.DeletedAt.IsZero():
		return c, false, nil
	}
	c.Body = ""
	c.DeletedAt = now.UTC()
	return c, true, nil
}
