package market

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Ids are int64 inside and strings outside: a prefix that tells what the id is
// of, and 13 lower-case digits of Crockford's base 32. One id has one spelling,
// so a URL, a cache key and a log line name the same thing in the same way, and
// the order of the strings is the order of the ids.
type (
	// UserID is the id of a User: us_….
	UserID int64
	// ItemID is the id of an Item: it_….
	ItemID int64
	// OrderID is the id of an Order: or_….
	OrderID int64
	// PhotoID is the id of a Photo: ph_….
	PhotoID int64
	// CommentID is the id of a Comment: cm_….
	CommentID int64
	// DeviceID is the id of a Device: dv_….
	DeviceID int64
	// ReviewID is the id of a Review: rv_….
	ReviewID int64
	// MessageID is the id of a Message: ms_….
	MessageID int64
	// PayoutID is the id of a Payout: po_….
	PayoutID int64
	// ReportID is the id of a Report: rp_….
	ReportID int64
	// NotificationID is the id of a Notification: nt_….
	NotificationID int64
)

const (
	digits     = "0123456789abcdefghjkmnpqrstvwxyz"
	idDigits   = 13 // 13 × 5 bits hold 63
	prefixLen  = 3
	randomBits = 22
	// idEpoch is 2020-01-01 in milliseconds; 41 bits from there reach 2089.
	idEpoch  = 1577836800000
	maxIDMs  = 1<<41 - 1
	stepBits = 8
)

// digitValue maps a byte to its value, or 0xff.
var digitValue = func() (v [256]uint8) {
	for i := range v {
		v[i] = 0xff
	}
	for i := range len(digits) {
		v[digits[i]] = uint8(i)
	}
	return v
}()

func appendID(b []byte, prefix string, id int64) []byte {
	b = append(b, prefix...)
	for shift := 5 * (idDigits - 1); shift >= 0; shift -= 5 {
		b = append(b, digits[uint64(id)>>shift&31])
	}
	return b
}

func formatID(prefix string, id int64) string {
	var buf [prefixLen + idDigits]byte
	return string(appendID(buf[:0], prefix, id))
}

func parseID[S string | []byte](prefix string, s S) (int64, error) {
	if len(s) == prefixLen+idDigits && string(s[:prefixLen]) == prefix {
		var id, bad uint64
		for i := prefixLen; i < len(s); i++ {
			v := digitValue[s[i]]
			bad |= uint64(v)
			id = id<<5 | uint64(v&31)
		}
		// The first digit holds the upper 3 of the 63 bits.
		if bad < 32 && digitValue[s[prefixLen]] < 8 && id != 0 {
			return int64(id), nil
		}
	}
	return 0, Errorf(CodeInvalid, ReasonInvalidID, "not an id: it begins with %s and has %d digits after it", prefix, idDigits)
}

const (
	userPrefix    = "us_"
	itemPrefix    = "it_"
	orderPrefix   = "or_"
	photoPrefix   = "ph_"
	commentPrefix = "cm_"
	devicePrefix  = "dv_"
	reviewPrefix  = "rv_"
	messagePrefix = "ms_"
	payoutPrefix  = "po_"
	reportPrefix  = "rp_"
	noticePrefix  = "nt_"
)

// String returns the external form.
func (id UserID) String() string { return formatID(userPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id UserID) AppendText(b []byte) ([]byte, error) { return appendID(b, userPrefix, int64(id)), nil }

// MarshalText returns the external form; JSON uses it.
func (id UserID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *UserID) UnmarshalText(b []byte) error { return unmarshalID(id, userPrefix, b) }

// ParseUserID reads the external form; anything else is CodeInvalid.
func ParseUserID(s string) (UserID, error) { return parse[UserID](userPrefix, s) }

// String returns the external form.
func (id ItemID) String() string { return formatID(itemPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id ItemID) AppendText(b []byte) ([]byte, error) { return appendID(b, itemPrefix, int64(id)), nil }

// MarshalText returns the external form; JSON uses it.
func (id ItemID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *ItemID) UnmarshalText(b []byte) error { return unmarshalID(id, itemPrefix, b) }

// ParseItemID reads the external form; anything else is CodeInvalid.
func ParseItemID(s string) (ItemID, error) { return parse[ItemID](itemPrefix, s) }

// String returns the external form.
func (id OrderID) String() string { return formatID(orderPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id OrderID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, orderPrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id OrderID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *OrderID) UnmarshalText(b []byte) error { return unmarshalID(id, orderPrefix, b) }

// ParseOrderID reads the external form; anything else is CodeInvalid.
func ParseOrderID(s string) (OrderID, error) { return parse[OrderID](orderPrefix, s) }

// String returns the external form.
func (id PhotoID) String() string { return formatID(photoPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id PhotoID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, photoPrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id PhotoID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *PhotoID) UnmarshalText(b []byte) error { return unmarshalID(id, photoPrefix, b) }

// ParsePhotoID reads the external form; anything else is CodeInvalid.
func ParsePhotoID(s string) (PhotoID, error) { return parse[PhotoID](photoPrefix, s) }

// String returns the external form.
func (id CommentID) String() string { return formatID(commentPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id CommentID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, commentPrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id CommentID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *CommentID) UnmarshalText(b []byte) error { return unmarshalID(id, commentPrefix, b) }

// ParseCommentID reads the external form; anything else is CodeInvalid.
func ParseCommentID(s string) (CommentID, error) { return parse[CommentID](commentPrefix, s) }

// String returns the external form.
func (id DeviceID) String() string { return formatID(devicePrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id DeviceID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, devicePrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id DeviceID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *DeviceID) UnmarshalText(b []byte) error { return unmarshalID(id, devicePrefix, b) }

// ParseDeviceID reads the external form; anything else is CodeInvalid.
func ParseDeviceID(s string) (DeviceID, error) { return parse[DeviceID](devicePrefix, s) }

// String returns the external form.
func (id ReviewID) String() string { return formatID(reviewPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id ReviewID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, reviewPrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id ReviewID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *ReviewID) UnmarshalText(b []byte) error { return unmarshalID(id, reviewPrefix, b) }

// ParseReviewID reads the external form; anything else is CodeInvalid.
func ParseReviewID(s string) (ReviewID, error) { return parse[ReviewID](reviewPrefix, s) }

// String returns the external form.
func (id MessageID) String() string { return formatID(messagePrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id MessageID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, messagePrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id MessageID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *MessageID) UnmarshalText(b []byte) error { return unmarshalID(id, messagePrefix, b) }

// ParseMessageID reads the external form; anything else is CodeInvalid.
func ParseMessageID(s string) (MessageID, error) { return parse[MessageID](messagePrefix, s) }

// String returns the external form.
func (id PayoutID) String() string { return formatID(payoutPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id PayoutID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, payoutPrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id PayoutID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *PayoutID) UnmarshalText(b []byte) error { return unmarshalID(id, payoutPrefix, b) }

// ParsePayoutID reads the external form; anything else is CodeInvalid.
func ParsePayoutID(s string) (PayoutID, error) { return parse[PayoutID](payoutPrefix, s) }

// String returns the external form.
func (id ReportID) String() string { return formatID(reportPrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id ReportID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, reportPrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id ReportID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *ReportID) UnmarshalText(b []byte) error { return unmarshalID(id, reportPrefix, b) }

// ParseReportID reads the external form; anything else is CodeInvalid.
func ParseReportID(s string) (ReportID, error) { return parse[ReportID](reportPrefix, s) }

// String returns the external form.
func (id NotificationID) String() string { return formatID(noticePrefix, int64(id)) }

// AppendText appends the external form; it never fails.
func (id NotificationID) AppendText(b []byte) ([]byte, error) {
	return appendID(b, noticePrefix, int64(id)), nil
}

// MarshalText returns the external form; JSON uses it.
func (id NotificationID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText accepts the external form only.
func (id *NotificationID) UnmarshalText(b []byte) error { return unmarshalID(id, noticePrefix, b) }

// ParseNotificationID reads the external form; anything else is CodeInvalid.
func ParseNotificationID(s string) (NotificationID, error) {
	return parse[NotificationID](noticePrefix, s)
}

func parse[T ~int64](prefix, s string) (T, error) {
	id, err := parseID(prefix, s)
	return T(id), err
}

func unmarshalID[T ~int64](id *T, prefix string, b []byte) error {
	v, err := parseID(prefix, b)
	if err != nil {
		return err
	}
	*id = T(v)
	return nil
}

// IDs makes ids. The upper 41 of an id's 63 bits are the milliseconds since
// 2020, the lower 22 are random, so that ids grow with time (an index on them
// is a list by age) and nobody counts from one to the next.
//
// Within one IDs no id repeats: it hands them out in ascending order, and ids
// of one millisecond differ by random steps. Between processes nothing is
// agreed: two of them that each make one id in the same millisecond take the
// same one once in four million times. That is no promise, and none is needed:
// ids are primary keys, so the database refuses the second row, and store makes
// it again with another id.
//
// An id is no secret: whoever may not see a thing is refused by a rule.
type IDs struct {
	mu     sync.Mutex
	last   int64
	random func() uint64
}

// NewIDs returns a maker of ids. Random gives their random bits: nil means the
// runtime's generator, which is seeded by the system; a fixed sequence makes
// ids reproducible, for sample data.
func NewIDs(random func() uint64) *IDs {
	if random == nil {
		random = rand.Uint64
	}
	return &IDs{random: random}
}

// Next returns an id for something that is made at now. If now is not after the
// time of the last id (a clock that was set back, the same millisecond), the id
// comes right after the last one.
func (g *IDs) Next(now time.Time) int64 {
	ms := min(max(now.UnixMilli()-idEpoch, 0), maxIDMs)
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.random()
	if ms > g.last>>randomBits {
		g.last = ms<<randomBits | int64(r>>(64-randomBits))
		if g.last == 0 {
			g.last = 1
		}
	} else {
		g.last += 1 + int64(r>>(64-stepBits))
	}
	return g.last
}

// IDTime returns the time at which an id was made, exact to a millisecond.
func IDTime[T ~int64](id T) time.Time {
	return time.UnixMilli(int64(id)>>randomBits + idEpoch).UTC()
}

// FirstID returns the smallest id of a time: ids made at or after t are not
// below it.
func FirstID(t time.Time) int64 {
	return min(max(t.UnixMilli()-idEpoch, 0), maxIDMs) << randomBits
}
