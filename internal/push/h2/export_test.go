package h2

// SetFirstStreamID makes new connections begin with a stream id, so that tests
// see ids run out. It returns a function that puts things back.
func SetFirstStreamID(id uint32) (restore func()) {
	old := firstStreamID
	firstStreamID = id
	return func() { firstStreamID = old }
}

// The limits that tests run into.
const (
	OurWindow  = ourWindow
	MaxControl = maxControl
	MaxTosses  = maxTosses
)
