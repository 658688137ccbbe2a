package market

import "time"

// Rules are the settings of the market's rules. DefaultRules gives them; the
// zero value allows nothing.
type Rules struct {
	Currency         string        // ISO 4217 code of the installation's one currency
	MinPrice         Money         // lowest price of an item
	MaxPrice         Money         // highest price of an item
	Fee              BasisPoints   // the market's share of a price, paid by the seller
	NameRunes        int           // longest name of a person, in characters
	TitleRunes       int           // longest title
	DescriptionRunes int           // longest description
	CommentRunes     int           // longest comment
	MinPhotos        int           // an item has at least that many photos
	MaxPhotos        int           // and at most that many
	PayWithin        time.Duration // an order that is not paid by then is cancelled
	SettleAfter      time.Duration // when an order that is still unpaid is looked into for the first time
	LikeNoticeEvery  time.Duration // a seller hears of an item's likes at most that often
	SessionTTL       time.Duration // a session ends when it was not used for that long
}

// DefaultRules returns the rules of a Japanese flea market: yen, prices from
// 300 to 9,999,999, a fee of ten percent.
func DefaultRules() Rules {
	return Rules{
		Currency:         "JPY",
		MinPrice:         300,
		MaxPrice:         9_999_999,
		Fee:              1000,
		NameRunes:        40,
		TitleRunes:       80,
		DescriptionRunes: 3000,
		CommentRunes:     1000,
		MinPhotos:        0,
		MaxPhotos:        10,
		PayWithin:        15 * time.Minute,
		SettleAfter:      time.Minute,
		LikeNoticeEvery:  time.Hour,
		SessionTTL:       90 * 24 * time.Hour,
	}
}
