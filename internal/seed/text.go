package seed

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/furima/furima/internal/market"
)

// writer writes what people write about their things.
type writer struct {
	r  *rand.Rand
	ja bool
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// say picks the text of the writer's language.
func (w writer) say(ja, en string) string {
	if w.ja {
		return ja
	}
	return en
}

// listing is what a seller has to say.
type listing struct {
	goods     *goods
	thing     thing
	colour    colour
	condition market.Condition
}

// Brands returns every brand of the sample. None of them exists.
func Brands() []market.Brand {
	var all []market.Brand
	seen := map[string]bool{}
	for _, c := range tree() {
		for _, name := range brands(c.id) {
			if !seen[name] {
				seen[name] = true
				all = append(all, market.Brand{ID: market.BrandID(len(all) + 1), Name: name})
			}
		}
	}
	return all
}

// brandIDs are the ids of Brands by their names.
func brandIDs() map[string]market.BrandID {
	ids := map[string]market.BrandID{}
	for _, b := range Brands() {
		ids[b.Name] = b.ID
	}
	return ids
}

// brands returns the makers of what is sold in a category. None of them exists.
func brands(c market.CategoryID) []string {
	for c >= 100 {
		c /= 100
	}
	switch c {
	case 1, 2, 3, 15:
		return []string{"Komorebi", "NORTH PINE", "Aoi Atelier", "Tidewater", "Maple & Moss", "Hakuba Works", "Sora no Ue", "小春堂", "Lune Claire", "Harbor & Hill"}
	case 4, 5, 18, 20:
		return []string{"木と暮らし", "Fieldnote", "Minato Craft", "Nordlys", "くらし工房", "Hinata"}
	case 14:
		return []string{"Hanairo", "Botanica Mio", "Lune Claire", "Shizuku"}
	case 6, 7, 17, 21:
		return nil
	}
	return []string{"Kurose", "Amberline", "Tsukishima", "Hayase", "Yamabiko", "Orbis", "Hoshino"}
}

// title writes a title of at most 80 characters, and says of which brand the
// thing is; "" is none.
func (w writer) title(l listing) (title, brand string) {
	name := w.say(l.thing.ja, l.thing.en)
	colour := w.say(l.colour.ja, l.colour.en)
	tag := w.tag(l.condition)
	if names := brands(l.goods.category); names != nil {
		brand = pick(w.r, names...)
	}
	switch l.goods.kind {
	case wear, kidswear, shoes:
		size := w.size(l.goods.kind)
		if w.ja {
			return pick(w.r, brand+" "+name+" "+colour+" "+size, tag+name+" "+colour+" "+size, brand+" "+name+" "+size, name+" "+size+" "+colour), brand
		}
		return upper(pick(w.r, brand+" "+name+", "+colour+", "+size, colour+" "+name+", "+size, brand+" "+name+" in "+colour+tag, name+" "+size+tag)), brand
	case furniture:
		wide := 40 + 10*w.r.IntN(9)
		if w.ja {
			return pick(w.r, name+" "+colour, tag+name+fmt.Sprintf(" 幅%dcm", wide), brand+" "+name, name+" "+pick(w.r, "手渡し可", "送料込み", "組立済み")), brand
		}
		return upper(pick(w.r, colour+" "+name, name+fmt.Sprintf(", %d cm wide", wide), brand+" "+name+tag)), brand
	case tableware:
		set := pick(w.r, 1, 1, 2, 2, 4, 5)
		if w.ja {
			return tag + name + " " + colour + pick(w.r, "", fmt.Sprintf(" %d点セット", set+1)), brand
		}
		return upper(pick(w.r, colour+" "+name, fmt.Sprintf("Set of %d: %s, %s", set+1, name, colour), name+tag)), brand
	case series:
		last := 3 + w.r.IntN(25)
		if w.ja {
			return pick(w.r, fmt.Sprintf("%s 全%d巻セット", name, last), fmt.Sprintf("%s 1〜%d巻", name, last), fmt.Sprintf("%s%s 全巻 %d冊", tag, name, last)), brand
		}
		return pick(w.r, fmt.Sprintf("%s complete set, vols. 1–%d", name, last), fmt.Sprintf("%s vols. 1–%d%s", name, last, tag)), brand
	case reading, media:
		if w.ja {
			return tag + name + pick(w.r, "", "", " 帯付き", " 初版", " 送料込み"), brand
		}
		return upper(name + pick(w.r, tag, "", ", first edition", ", postage included")), brand
	case device:
		if w.ja {
			return pick(w.r, brand+" "+name+" "+colour, "【動作確認済み】"+name, tag+brand+" "+name, name+" "+colour+" "+pick(w.r, "箱付き", "付属品あり", "本体のみ")), brand
		}
		return upper(pick(w.r, brand+" "+name+", "+colour, name+", tested and working", brand+" "+name+tag, name+pick(w.r, " with box", ", unit only", " with accessories"))), brand
	case bare:
		if brand == "" {
			return upper(w.say(tag+name, name+tag)), brand
		}
		return upper(w.say(pick(w.r, tag+name, brand+" "+name, name), pick(w.r, brand+" "+name+tag, name+tag))), brand
	case food:
		if w.ja {
			return name + pick(w.r, " 家庭用", " 贈答用", "", " 産地直送"), brand
		}
		return upper(name + pick(w.r, "", ", gift box", ", straight from the farm")), brand
	case paper:
		if w.ja {
			return pick(w.r, "", "【即発送】", "【定価以下】") + name, brand
		}
		return upper(name + pick(w.r, "", ", ships today", ", below face value")), brand
	}
	if w.ja {
		return pick(w.r, name+" "+colour, tag+name, brand+" "+name+" "+colour, tag+brand+" "+name), brand
	}
	return upper(pick(w.r, name+", "+colour, colour+" "+name, brand+" "+name+tag, name+tag)), brand
}

// tag is what a title says about the condition, often nothing.
func (w writer) tag(c market.Condition) string {
	if w.r.IntN(2) == 0 {
		return ""
	}
	switch c {
	case market.ConditionNew:
		return w.say("【新品未使用】", ", brand new")
	case market.ConditionLikeNew:
		return w.say("【美品】", ", like new")
	case market.ConditionWorn, market.ConditionPoor:
		return w.say("【訳あり】", ", with flaws")
	}
	return ""
}

func (w writer) size(k kind) string {
	switch k {
	case shoes:
		cm := 22 + 0.5*float64(w.r.IntN(13))
		return w.say(fmt.Sprintf("%.1fcm", cm), fmt.Sprintf("%.1f cm", cm))
	case kidswear:
		cm := 60 + 10*w.r.IntN(8)
		return w.say(fmt.Sprintf("%dcm", cm), fmt.Sprintf("size %d", cm))
	}
	size := pick(w.r, "S", "M", "M", "L", "L", "XL")
	return w.say(size, "size "+size)
}

// upper makes the first letter of an English title a capital.
func upper(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[n:]
}

// description writes a few lines about a thing.
func (w writer) description(l listing) string {
	var b strings.Builder
	line := func(ja, en string) {
		b.WriteString(w.say(ja, en))
		b.WriteByte('\n')
	}
	if w.r.IntN(3) > 0 {
		line(pick(w.r, "ご覧いただきありがとうございます。", "はじめまして、ご覧いただきありがとうございます。", "数ある中からご覧いただき、ありがとうございます。"),
			pick(w.r, "Thank you for looking.", "Hello, and thanks for stopping by.", "Thanks for your interest."))
		b.WriteByte('\n')
	}
	line(l.thing.ja+pick(w.r, "です。", "を出品します。", "になります。"),
		pick(w.r, "Selling my ", "For sale: ", "Up for sale is this ")+strings.TrimSuffix(l.thing.en, ".")+".")
	if k := l.goods.kind; k != food {
		why := w.why(k)
		line(why, why)
	}
	ja, en := w.state(l)
	line(ja, en)
	b.WriteByte('\n')
	switch l.goods.kind {
	case reading, series, media, food, paper, bare:
	default:
		line("カラー："+l.colour.ja, "Colour: "+l.colour.en)
	}
	w.facts(l.goods.kind, line)
	b.WriteByte('\n')
	line(pick(w.r, "即購入OKです。", "コメントなしでご購入いただけます。", "お値下げは少しでしたらご相談ください。", "まとめ買い割引あります。"),
		pick(w.r, "Feel free to buy without asking.", "Small offers are welcome.", "Discount if you buy more than one.", "Ask me anything before you buy."))
	line(pick(w.r, "24時間以内に発送します。", "土日祝は発送できません。", "簡易包装で発送します。", "匿名配送で送ります。", "ペットを飼っていません。喫煙者もいません。"),
		pick(w.r, "Ships within 24 hours.", "No shipping at weekends.", "Plain, careful packaging.", "From a smoke-free and pet-free home."))
	// A paragraph may have come out empty.
	return strings.TrimSpace(strings.ReplaceAll(b.String(), "\n\n\n", "\n\n"))
}

// why says why somebody sells a thing.
func (w writer) why(k kind) string {
	switch k {
	case wear, shoes, kidswear:
		return w.say(pick(w.r, "サイズが合わなくなったので手放します。", "クローゼットの整理中です。", "着る機会が減ったためお譲りします。"),
			pick(w.r, "It no longer fits me.", "I am tidying my wardrobe.", "I hardly wear it any more."))
	case paper:
		return w.say(pick(w.r, "都合がつかなくなったため、お譲りします。", "コレクションの整理中です。"),
			pick(w.r, "I cannot use it myself after all.", "I am thinning out my collection."))
	}
	return w.say(pick(w.r, "引っ越しのため出品します。", "使う機会が減ったため、使ってくださる方にお譲りします。", "いただきものですが、同じものがあるためお譲りします。", "部屋の整理中です。"),
		pick(w.r, "I am moving and cannot take it along.", "I hardly use it any more, so I hope it finds a good home.", "It was a gift and I already have one.", "Making some room at home."))
}

// state says how good a thing still is.
func (w writer) state(l listing) (ja, en string) {
	if l.goods.kind == food {
		return pick(w.r, "農家から直接お送りします。", "冷暗所で保管してください。"), pick(w.r, "Sent straight from the maker.", "Please keep in a cool place.")
	}
	if l.goods.kind == paper {
		return pick(w.r, "状態は写真でご確認ください。", "すぐに発送できます。"), pick(w.r, "Please see the photos for details.", "Ready to send.")
	}
	switch l.condition {
	case market.ConditionNew:
		return "新品・未使用です。自宅保管のため、ご理解のうえお願いします。", "New and never used. It has only been stored at home."
	case market.ConditionLikeNew:
		return pick(w.r, "数回使用しただけの美品です。", "目立った使用感はなく、きれいな状態です。"), pick(w.r, "Used a few times, looks like new.", "In excellent condition, hardly a sign of use.")
	case market.ConditionGood:
		return pick(w.r, "多少の使用感はありますが、目立つ傷や汚れはありません。", "使用に伴う小さな擦れがある程度です。"), pick(w.r, "Normal signs of use, no visible damage.", "A few light marks, nothing that stands out.")
	case market.ConditionFair:
		return pick(w.r, "やや傷や汚れがあります。写真でご確認ください。", "角に擦れがありますが、まだまだお使いいただけます。"), pick(w.r, "Some marks, please see the photos.", "Worn at the corners but with plenty of life left.")
	}
	return pick(w.r, "傷や汚れがあります。現状のままのお渡しです。", "古いものですので、味として楽しめる方に。"), pick(w.r, "Has scratches and stains. Sold as it is.", "It is old and shows it. For someone who likes patina.")
}

// facts says what one wants to know about a kind of goods.
func (w writer) facts(k kind, line func(ja, en string)) {
	n := func(least, step, count int) int { return least + step*w.r.IntN(count) }
	switch k {
	case wear:
		a, b := n(58, 1, 18), n(46, 1, 14)
		line(fmt.Sprintf("着丈 約%dcm　身幅 約%dcm（平置き）", a, b), fmt.Sprintf("Length about %d cm, width about %d cm, laid flat", a, b))
		m := pick(w.r, [2]string{"綿100%", "100% cotton"}, [2]string{"ウール混", "wool blend"}, [2]string{"麻100%", "100% linen"}, [2]string{"ポリエステル", "polyester"})
		line("素材："+m[0], "Material: "+m[1])
	case shoes:
		h := n(2, 1, 6)
		line(fmt.Sprintf("ヒール・ソールの高さ 約%dcm", h), fmt.Sprintf("Heel or sole about %d cm", h))
	case kidswear:
		line("記名なし", "No name written inside")
	case furniture:
		a, b, c := n(40, 10, 10), n(35, 5, 8), n(40, 10, 10)
		line(fmt.Sprintf("サイズ：幅%d × 奥行%d × 高さ%d cm", a, b, c), fmt.Sprintf("Size: %d × %d × %d cm (W × D × H)", a, b, c))
	case tableware:
		d := n(8, 1, 16)
		line(fmt.Sprintf("直径 約%dcm　電子レンジ可", d), fmt.Sprintf("About %d cm across, microwave safe", d))
	case device:
		line(pick(w.r, "動作確認済みです。初期化してあります。", "動作に問題ありません。充電器をお付けします。", "本体と説明書のみです。"),
			pick(w.r, "Tested and reset to factory settings.", "Works without problems, charger included.", "Unit and manual only."))
	case reading, series:
		line(pick(w.r, "書き込みはありません。", "カバーに少しスレがあります。"), pick(w.r, "No writing inside.", "Light wear on the cover."))
	case media:
		line("再生確認済みです。", "Plays fine.")
	case paper:
		line(pick(w.r, "スリーブに入れて発送します。", "折れないように梱包します。"), pick(w.r, "Sent in a sleeve.", "Packed so that it cannot bend."))
	}
}

// exchange is a question under an item, and what the seller answers.
type exchange struct{ askJA, answerJA, askEN, answerEN string }

var exchanges = []exchange{
	{"コメント失礼します。お値下げは可能でしょうか？", "コメントありがとうございます。500円ほどでしたら可能です。", "Hello, would you take a little less?", "Hi! I could go down by ¥500."},
	{"こちら即購入してもよろしいですか？", "はい、ぜひお願いいたします！", "Can I buy it right away?", "Yes, please go ahead!"},
	{"まだ購入できますか？", "はい、まだございます。よろしくお願いします。", "Is this still available?", "Yes, it is."},
	{"他の角度の写真を見せていただけますか？", "追加しましたのでご確認ください。", "Could you add a photo from another angle?", "Added, please have a look."},
	{"購入時期はいつ頃でしょうか？", "昨年の春に購入しました。", "When did you buy it?", "Last spring."},
	{"明日発送していただくことは可能ですか？", "午前中にお支払いいただければ可能です。", "Could you send it tomorrow?", "Yes, if you pay before noon."},
	{"傷や汚れはありますか？", "目立つものはありません。", "Any scratches or stains?", "None that you would notice."},
	{"おまとめ購入を考えています。", "ありがとうございます！まとめてお安くします。", "I would like to buy two of your items.", "Great, I will make you a price for both."},
	{"サイズを詳しく教えてください。", "説明欄に追記いたしました。", "Could you tell me the exact size?", "I have added it to the description."},
	{"とても素敵ですね！検討させてください。", "ありがとうございます。ごゆっくりどうぞ。", "This is lovely. Let me think about it.", "Take your time, thank you!"},
	{"ペットは飼われていますか？", "飼っておりません。", "Do you have pets at home?", "No, none."},
	{"箱は付きますか？", "はい、箱に入れて発送します。", "Does it come with the box?", "Yes, it does."},
}
