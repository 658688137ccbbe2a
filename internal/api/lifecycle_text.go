package api

import (
	"fmt"

	"github.com/furima/furima/internal/market"
)

func short(o market.Order) string { return cut(o.ItemTitle, noticeTitle) }

func shippedText(l market.Locale, o market.Order) (string, string) {
	if l == market.LocaleEN {
		return "It is on its way", fmt.Sprintf("“%s” was sent. Please rate once it is there.", short(o))
	}
	return "商品が発送されました", fmt.Sprintf("「%s」が発送されました。届いたら評価をお願いします。", short(o))
}

func deliveredText(l market.Locale, o market.Order) (string, string) {
	if l == market.LocaleEN {
		return "It was delivered", fmt.Sprintf("“%s” is there. Please look at it and rate.", short(o))
	}
	return "商品が配達されました", fmt.Sprintf("「%s」が届きました。中身を確認して評価をお願いします。", short(o))
}

func receivedText(l market.Locale, o market.Order) (string, string) {
	if l == market.LocaleEN {
		return "The buyer has it", fmt.Sprintf("“%s” has arrived. Rate the buyer and the money is yours.", short(o))
	}
	return "購入者が受け取りました", fmt.Sprintf("「%s」が受け取られました。購入者を評価すると売上金が反映されます。", short(o))
}

func completedText(l market.Locale, o market.Order) (string, string) {
	if l == market.LocaleEN {
		return "The purchase is complete", fmt.Sprintf("The seller of “%s” has rated you.", short(o))
	}
	return "取引が完了しました", fmt.Sprintf("「%s」の出品者から評価がつきました。", short(o))
}

func disputedText(l market.Locale, o market.Order) (string, string) {
	if l == market.LocaleEN {
		return "A problem was reported", fmt.Sprintf("“%s”: %s", short(o), cut(o.Note, noticeBody))
	}
	return "問題が報告されました", fmt.Sprintf("「%s」：%s", short(o), cut(o.Note, noticeBody))
}

func refundedText(l market.Locale, o market.Order) (string, string) {
	if l == market.LocaleEN {
		return "You have your money back", fmt.Sprintf("The purchase of “%s” was cancelled: %s went back.", short(o), amount(o.Price, o.Currency))
	}
	return "返金されました", fmt.Sprintf("「%s」の購入がキャンセルされ、%sが返金されました。", short(o), amount(o.Price, o.Currency))
}

func cancelledText(l market.Locale, o market.Order) (string, string) {
	if l == market.LocaleEN {
		return "A sale was cancelled", fmt.Sprintf("The sale of “%s” was cancelled. Resume the item to sell it again.", short(o))
	}
	return "取引がキャンセルされました", fmt.Sprintf("「%s」の取引がキャンセルされました。再開すると再び出品できます。", short(o))
}

func messageText(l market.Locale, o market.Order, author, body string) (string, string) {
	author, body = cut(author, noticeTitle), cut(body, noticeBody)
	if l == market.LocaleEN {
		return fmt.Sprintf("Message about “%s”", short(o)), fmt.Sprintf("%s: %s", author, body)
	}
	return fmt.Sprintf("「%s」の取引メッセージ", short(o)), fmt.Sprintf("%sさん：%s", author, body)
}
