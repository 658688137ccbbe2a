package market

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Cursor is a place in a list: right after the row with this sort key and id.
type Cursor struct {
	Key int64 // the value that the list is sorted by; 0 if that is the id
	ID  int64
}

const (
	cursorVersion = 1
	cursorMAC     = 8
	cursorLen     = 1 + 8 + 8 + cursorMAC
)

// Encode returns the cursor as a string that is safe in a URL, signed with key
// for one list: list names it with all of its filters, and a cursor of another
// list does not decode.
func (c Cursor) Encode(key []byte, list string) string {
	var b [cursorLen]byte
	b[0] = cursorVersion
	binary.BigEndian.PutUint64(b[1:], uint64(c.Key))
	binary.BigEndian.PutUint64(b[9:], uint64(c.ID))
	mac := cursorSum(key, list, b[:17])
	copy(b[17:], mac[:cursorMAC])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// DecodeCursor reads what Encode returned for the same key and list. Anything
// else is CodeInvalid with ReasonInvalidCursor.
func DecodeCursor(key []byte, list, s string) (Cursor, error) {
	var b [cursorLen + 3]byte
	if len(s) == base64.RawURLEncoding.EncodedLen(cursorLen) {
		n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(s))
		if err == nil && n == cursorLen && b[0] == cursorVersion {
			mac := cursorSum(key, list, b[:17])
			if hmac.Equal(mac[:cursorMAC], b[17:cursorLen]) {
				return Cursor{
					Key: int64(binary.BigEndian.Uint64(b[1:])),
					ID:  int64(binary.BigEndian.Uint64(b[9:])),
				}, nil
			}
		}
	}
	return Cursor{}, &Error{Code: CodeInvalid, Reason: ReasonInvalidCursor, Field: "cursor", Message: "not a cursor of this list"}
}

func cursorSum(key []byte, list string, place []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(place)
	h.Write([]byte(list))
	h.Sum(sum[:0])
	return sum
}
