package market

import "time"

// Photo is a stored picture that somebody has sent in.
type Photo struct {
	ID            PhotoID
	Owner         UserID
	Name          string // the content address in the photo storage
	Width, Height int    // of the largest stored size
	CreatedAt     time.Time
}
