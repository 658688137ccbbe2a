package api

import (
	"fmt"
	"strconv"

	"github.com/furima/furima/internal/market"
)

// Texts of notifications. A phone's lock screen shows about a hundred
// characters, and a whole payload has 4,096 bytes, so that long ones are cut.
const (
	noticeTitle = 40  // characters of an item's title
	noticeBody  = 120 // characters of what somebody wrote
)

// cut shortens a text to at most limit characters.
func cut(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// likedText tells that somebody, and more others, like an item.
func likedText(l market.Locale, title, name string, others int64) (string, string) {
	title, name = cut(title, noticeTitle), cut(name, noticeTitle)
	if l == market.LocaleEN {
		switch {
		case others == 1:
			return "Your item is liked", fmt.Sprintf("%s and one other person like “%s”", name, title)
		case others > 1:
			return "Your item is liked", fmt.Sprintf("%s and %d others like “%s”", name, others, title)
		}
		return "Your item is liked", fmt.Sprintf("%s likes “%s”", name, title)
	}
	if others > 0 {
		return "「いいね！」がつきました", fmt.Sprintf("%sさんほか%d人が「%s」に「いいね！」しました", name, others, title)
	}
	return "「いいね！」がつきました", fmt.Sprintf("%sさんが「%s」に「いいね！」しました", name, title)
}

// commentedText tells that somebody has commented on an item.
func commentedText(l market.Locale, title, author, comment string) (string, string) {
	title, author, comment = cut(title, noticeTitle), cut(author, noticeTitle), cut(comment, noticeBody)
	if l == market.LocaleEN {
		return fmt.Sprintf("New comment on “%s”", title), fmt.Sprintf("%s: %s", author, comment)
	}
	return fmt.Sprintf("「%s」にコメントがつきました", title), fmt.Sprintf("%sさん：%s", author, comment)
}

// paidText tells that an item is sold and paid.
func paidText(l market.Locale, title, buyer string, price market.Money, currency string) (string, string) {
	title, buyer = cut(title, noticeTitle), cut(buyer, noticeTitle)
	if l == market.LocaleEN {
		return fmt.Sprintf("Sold: “%s”", title), fmt.Sprintf("%s paid %s. Please send it.", buyer, amount(price, currency))
	}
	return fmt.Sprintf("「%s」が売れました", title), fmt.Sprintf("%sさんが%sで購入しました。発送をお願いします。", buyer, amount(price, currency))
}

// amount writes money for people: digits in groups of three, the currency before them.
func amount(m market.Money, currency string) string {
	digits := strconv.FormatInt(int64(m), 10)
	if currency != "JPY" {
		return currency + " " + digits // in its smallest unit: how many of its digits are decimals is not known here
	}
	b := []byte("¥")
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b = append(b, ',')
		}
		b = append(b, digits[i])
	}
	return string(b)
}
