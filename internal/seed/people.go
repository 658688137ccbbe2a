package seed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/furima/furima/internal/market"
)

// Password is the password of every sample person.
const Password = "furima-demo-1"

// Account is a sample person with a known mail address.
type Account struct {
	Email  string
	Name   string
	Locale market.Locale
}

// Accounts returns the people that are in every sample market, whatever its
// seed and size. Their password is Password. The first one sells and buys most.
func Accounts() []Account {
	return []Account{
		{"hanako@example.com", "はなこ", market.LocaleJA},
		{"taro@example.com", "たろう", market.LocaleJA},
		{"alice@example.com", "Alice", market.LocaleEN},
		{"yuki@example.com", "ゆき", market.LocaleJA},
		{"bob@example.com", "Bob", market.LocaleEN},
	}
}

var (
	givenJA = [][2]string{
		{"さくら", "sakura"}, {"はるか", "haruka"}, {"みお", "mio"}, {"けんた", "kenta"}, {"なおこ", "naoko"}, {"ひろ", "hiro"}, {"あおい", "aoi"}, {"まゆみ", "mayumi"},
		{"りく", "riku"}, {"ともや", "tomoya"}, {"かな", "kana"}, {"しんじ", "shinji"}, {"えみ", "emi"}, {"こうへい", "kohei"}, {"ゆい", "yui"}, {"まさと", "masato"},
		{"ちひろ", "chihiro"}, {"だいすけ", "daisuke"}, {"めぐみ", "megumi"}, {"そら", "sora"}, {"のぞみ", "nozomi"}, {"つばさ", "tsubasa"}, {"あかり", "akari"}, {"じゅん", "jun"},
		{"みさき", "misaki"}, {"りょう", "ryo"}, {"ふみ", "fumi"}, {"なつき", "natsuki"}, {"いつき", "itsuki"}, {"ことね", "kotone"}, {"れん", "ren"}, {"すみれ", "sumire"},
	}
	givenEN = []string{
		"Emma", "Noah", "Olivia", "Liam", "Mia", "Lucas", "Sofia", "Leo", "Ella", "Oscar", "Ines", "Hugo", "Clara", "Felix", "Nora", "Max",
		"Lena", "Theo", "Ida", "Sam", "Zoe", "Ben", "Maya", "Tom",
	}
	habitsJA = []string{"", "", "", "＠即購入OK", "＠プロフ必読", "🌸", "の古着屋", "商店", "＠断捨離中", "☆", "のおうち", "_shop"}
	habitsEN = []string{"", "", " S.", " K.", " & co", "’s closet", " vintage", " W."}
)

// person is a sample user with a phone.
type person struct {
	market.User
	token string // of the phone, as Apple makes them: 64 hex digits
}

// peopleSpan is how long before the sample's moment the oldest person joined.
const peopleSpan = 400 * 24 * time.Hour

// people makes n people who joined one after the other up to six weeks and more before now.
func people(seed uint64, n int, now time.Time) []person {
	r := rand.New(rand.NewPCG(seed, streamPeople))
	ids := market.NewIDs(r.Uint64)
	all := make([]person, 0, n)
	for i := range n {
		joined := now.Add(-peopleSpan + time.Duration(float64(peopleSpan-itemSpan)*float64(i)/float64(n)))
		u := market.User{CreatedAt: joined, UpdatedAt: joined, ID: market.UserID(ids.Next(joined))}
		if fixed := Accounts(); i < len(fixed) {
			u.Email, u.Name, u.Locale = fixed[i].Email, fixed[i].Name, fixed[i].Locale
		} else if r.IntN(10) < 7 {
			name := pick(r, givenJA...)
			u.Email, u.Name, u.Locale = fmt.Sprintf("%s%d@example.com", name[1], i), name[0]+pick(r, habitsJA...), market.LocaleJA
		} else {
			name := pick(r, givenEN...)
			u.Email, u.Name, u.Locale = fmt.Sprintf("%s%d@example.com", lower(name), i), name+pick(r, habitsEN...), market.LocaleEN
		}
		all = append(all, person{u, phone(seed, i)})
	}
	return all
}

func lower(s string) string { return string(s[0]|0x20) + s[1:] }

// phone is the token of the i-th person's phone.
func phone(seed uint64, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "furima sample phone %d of %d", i, seed))
	return hex.EncodeToString(sum[:])
}

// Phones returns the names of the people of a sample by the tokens of their
// phones, for whoever shows what the phones receive. Users 0 is DefaultUsers.
func Phones(seed uint64, users int) map[string]string {
	if users == 0 {
		users = DefaultUsers
	}
	names := make(map[string]string, users)
	for _, p := range people(seed, users, time.Unix(0, 0)) {
		names[p.token] = p.Name
	}
	return names
}
