package market

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// User is a person who sells and buys.
type User struct {
	ID        UserID
	Email     string // normalised by Rules.NewUser; private: never in a public answer
	Name      string
	Locale    Locale
	State     UserState
	Version   int64 // grows with every change that the person makes
	Bio       string
	Good, Bad int64 // reviews that are shown
	CreatedAt time.Time
	UpdatedAt time.Time
}

// UserState is whether a person takes part.
type UserState string

// The states of a person.
const (
	UserActive    UserState = "active"
	UserSuspended UserState = "suspended" // by the operator: cannot log in, for a while
	UserDeleted   UserState = "deleted"   // by the person, for good: nothing of the person is left
)

// Locale is the language in which a person is written to.
type Locale string

// The locales.
const (
	LocaleJA Locale = "ja"
	LocaleEN Locale = "en"
)

// ParseLocale reads a locale; "" is Japanese.
func ParseLocale(s string) (Locale, error) {
	switch Locale(s) {
	case "", LocaleJA:
		return LocaleJA, nil
	case LocaleEN:
		return LocaleEN, nil
	}
	return "", Fieldf("locale", ReasonMalformed, "must be ja or en")
}

// Registration is what a person gives to become a User.
type Registration struct {
	ID     UserID
	Email  string
	Name   string
	Locale string // "" = ja
	// PasswordHash is made by the caller (a PHC string); rules do not see passwords.
	PasswordHash string
}

// Credentials are what logging in is checked against.
type Credentials struct {
	User         User
	PasswordHash string
}

// NewUser checks a registration and returns the user that it makes.
func (r Rules) NewUser(reg Registration, now time.Time) (User, error) {
	email, errEmail := NormalizeEmail(reg.Email)
	name, errName := line("name", reg.Name, r.NameRunes)
	locale, errLocale := ParseLocale(reg.Locale)
	if err := errors.Join(errEmail, errName, errLocale); err != nil {
		return User{}, err
	}
	now = now.UTC()
	return User{ID: reg.ID, Email: email, Name: name, Locale: locale, State: UserActive, Version: 1, CreatedAt: now, UpdatedAt: now}, nil
}

// Longest parts of an address by RFC 5321.
const (
	maxEmail      = 254
	maxEmailLocal = 64
)

// NormalizeEmail returns the form under which an address is stored and looked
// for: without space around it, in lower case. It refuses what cannot be an
// address; whether mail arrives there it cannot tell.
func NormalizeEmail(s string) (string, error) {
	whole := utf8.ValidString(s) // before ToLower repairs it
	s = strings.ToLower(strings.TrimSpace(s))
	local, domain, ok := cutLast(s, '@')
	switch {
	case s == "":
		return "", Fieldf("email", ReasonRequired, "must not be empty")
	case len(s) > maxEmail:
		return "", Fieldf("email", ReasonTooLong, "must have at most %d bytes", maxEmail)
	case !ok, local == "", len(local) > maxEmailLocal, !whole,
		strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || dropped(r) }),
		strings.ContainsAny(local, `@"(),:;<>[\]`), !validDomain(domain):
		return "", Fieldf("email", ReasonMalformed, "must be an address like name@example.com")
	}
	return s, nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func validDomain(s string) bool {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		}) {
			return false
		}
	}
	return len(labels) > 1
}
