package market

import "time"

// Rules are the settings of the market's rules. DefaultRules gives them; the
// zero value allows nothing.
type Rules struct {
	Currency             string        // ISO 4217 code of the installation's one currency
	MinPrice             Money         // lowest price of an item
	MaxPrice             Money         // highest price of an item
	Fee                  BasisPoints   // the market's share of a price, paid by the seller
	NameRunes            int           // longest name of a person, in characters
	TitleRunes           int           // longest title
	DescriptionRunes     int           // longest description
	CommentRunes         int           // longest comment
	MinPhotos            int           // an item has at least that many photos
	MaxPhotos            int           // and at most that many
	PayWithin            time.Duration // an order that is not paid by then is cancelled
	SettleAfter          time.Duration // when an order that is still unpaid is looked into for the first time
	ShipWithin           time.Duration // a seller sends what was paid; afterwards the buyer may cancel
	CancelUnshipped      time.Duration // an order that is paid and not sent for that long is cancelled
	ReceiveAfterShipping time.Duration // a buyer who says nothing for that long after the shipping has it
	ReceiveAfterDelivery time.Duration // and after the delivery
	ReviewWithin         time.Duration // a seller rates; afterwards the order is completed without
	TalkAfterEnd         time.Duration // how long the sides can write to each other after the end
	MinPayout            Money         // smallest payout
	LikeNoticeEvery      time.Duration // a seller hears of an item's likes at most that often
	BioRunes             int           // longest text about oneself
	MaxBlocks            int           // nobody blocks more people
	SessionTTL           time.Duration // a session ends when it was not used for that long
}

// DefaultRules returns the rules of a Japanese flea market: yen, prices from
// 300 to 9,999,999, a fee of ten percent.
func DefaultRules() Rules {
	return Rules{
		Currency:             "JPY",
		MinPrice:             300,
		MaxPrice:             9_999_999,
		Fee:                  1000,
		NameRunes:            40,
		TitleRunes:           80,
		DescriptionRunes:     3000,
		CommentRunes:         1000,
		MinPhotos:            0,
		MaxPhotos:            10,
		PayWithin:            15 * time.Minute,
		SettleAfter:          time.Minute,
		ShipWithin:           3 * 24 * time.Hour,
		CancelUnshipped:      7 * 24 * time.Hour,
		ReceiveAfterShipping: 9 * 24 * time.Hour,
		ReceiveAfterDelivery: 3 * 24 * time.Hour,
		ReviewWithin:         3 * 24 * time.Hour,
		TalkAfterEnd:         14 * 24 * time.Hour,
		MinPayout:            200,
		LikeNoticeEvery:      time.Hour,
		BioRunes:             1000,
		MaxBlocks:            1000,
		SessionTTL:           90 * 24 * time.Hour,
	}
}
