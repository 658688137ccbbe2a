package market

import "time"

// Comment is a public remark on an item.
type Comment struct {
	ID         CommentID
	Item       ItemID
	Author     UserID
	AuthorName string
	Body       string
	CreatedAt  time.Time
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
