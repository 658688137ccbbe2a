package market

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Profile is a person with what only the person sees.
type Profile struct {
	User
	Address  Address
	Muted    []NoticeKind // what is not pushed; sorted
	ReadUpTo NotificationID
}

// Address is where things are sent to. The zero value is none.
type Address struct {
	Name       string `json:"name,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Region     string `json:"region,omitempty"`
	City       string `json:"city,omitempty"`
	Street     string `json:"street,omitempty"`
	Building   string `json:"building,omitempty"`
	Phone      string `json:"phone,omitempty"`
}

// NoticeKind is an event that a person is told of.
type NoticeKind string

// The events that people are told of. They have the names of the jobs that tell.
const (
	NoticeLiked     NoticeKind = "item.liked"
	NoticeCommented NoticeKind = "item.commented"
	NoticePaid      NoticeKind = "order.paid"
	NoticeShipped   NoticeKind = "order.shipped"
	NoticeDelivered NoticeKind = "order.delivered"
	NoticeReceived  NoticeKind = "order.received"
	NoticeCompleted NoticeKind = "order.completed"
	NoticeDisputed  NoticeKind = "order.disputed"
	NoticeCancelled NoticeKind = "order.refund"
	NoticeRefunded  NoticeKind = "order.refunded"
	NoticeMessage   NoticeKind = "order.message"
)

// NoticeKinds returns every kind.
func NoticeKinds() []NoticeKind {
	return []NoticeKind{
		NoticeLiked, NoticeCommented, NoticePaid, NoticeShipped, NoticeDelivered, NoticeReceived, NoticeCompleted, NoticeDisputed,
		NoticeCancelled, NoticeRefunded, NoticeMessage,
	}
}

// ProfileEdit is a person's change of the own account; what is nil stays as it
// is.
type ProfileEdit struct {
	ID      UserID
	Version int64 // the version that the person saw; 0 = any
	Name    *string
	Locale  *string
	Bio     *string
	Address *Address
	Muted   *[]NoticeKind
}

// EditProfile returns the profile after a person's change. The same version
// comes back if the change changes nothing.
func (r Rules) EditProfile(p Profile, e ProfileEdit, now time.Time) (Profile, error) {
	if e.Version != 0 && e.Version != p.Version {
		return Profile{}, Errorf(CodeConflict, ReasonVersionMismatch, "the account has been changed since it was read")
	}
	after := p
	var errs []error
	var err error
	if e.Name != nil {
		after.Name, err = line("name", *e.Name, r.NameRunes)
		errs = append(errs, err)
	}
	if e.Locale != nil {
		after.Locale, err = ParseLocale(*e.Locale)
		errs = append(errs, err)
	}
	if e.Bio != nil {
		after.Bio, err = text("bio", *e.Bio, r.BioRunes, false, cleanText)
		errs = append(errs, err)
	}
	if e.Address != nil {
		after.Address, err = cleanAddress(*e.Address)
		errs = append(errs, err)
	}
	if e.Muted != nil {
		after.Muted, err = cleanMuted(*e.Muted)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return Profile{}, err
	}
	if after.Name == p.Name && after.Locale == p.Locale && after.Bio == p.Bio && after.Address == p.Address && slices.Equal(after.Muted, p.Muted) {
		return p, nil
	}
	after.Version++
	after.UpdatedAt = now.UTC()
	return after, nil
}

// addressRunes is the longest line of an address.
const addressRunes = 100

// cleanAddress checks an address: all of it or nothing. Which lines an address
// needs differs by country; the carriers' are these.
func cleanAddress(a Address) (Address, error) {
	var errs []error
	given := a != Address{}
	for _, f := range []struct {
		name     string
		value    *string
		required bool
	}{
		{"name", &a.Name, true}, {"postal_code", &a.PostalCode, true}, {"region", &a.Region, false}, {"city", &a.City, true},
		{"street", &a.Street, true}, {"building", &a.Building, false}, {"phone", &a.Phone, false},
	} {
		var err error
		*f.value, err = text("address/"+f.name, *f.value, addressRunes, f.required && given, cleanLine)
		errs = append(errs, err)
	}
	return a, errors.Join(errs...)
}

func cleanMuted(kinds []NoticeKind) ([]NoticeKind, error) {
	for _, k := range kinds {
		if !slices.Contains(NoticeKinds(), k) {
			return nil, Fieldf("muted", ReasonMalformed, "must be events that are pushed")
		}
	}
	kinds = slices.Clone(kinds)
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}

// JoinKinds writes kinds as one text, and SplitKinds reads it.
func JoinKinds(kinds []NoticeKind) string {
	all := make([]string, len(kinds))
	for i, k := range kinds {
		all[i] = string(k)
	}
	return strings.Join(all, ",")
}

// SplitKinds reads what JoinKinds has written.
func SplitKinds(s string) []NoticeKind {
	if s == "" {
		return nil
	}
	var kinds []NoticeKind
	for k := range strings.SplitSeq(s, ",") {
		kinds = append(kinds, NoticeKind(k))
	}
	return kinds
}

// Pushed reports whether a person wants to be told of such an event on the phone.
func (p Profile) Pushed(k NoticeKind) bool { return !slices.Contains(p.Muted, k) }

// DeletedName is what everybody sees of a person who has left.
const DeletedName = "–"

// CanLeave says whether a person's account can be deleted: open is whether an
// order is not at its end, money whether some is available or on its way.
func (u User) CanLeave(open, money bool) error {
	switch {
	case u.State == UserDeleted:
		return Errorf(CodeNotFound, "", "there is no such person")
	case open:
		return Errorf(CodeConflict, ReasonOpenOrders, "there are orders that are not at their end")
	case money:
		return Errorf(CodeConflict, ReasonBalanceLeft, "there is money to be paid out first")
	}
	return nil
}

// ErrSuspended is the error for a person whom the operator has suspended.
var ErrSuspended = Errorf(CodeForbidden, ReasonSuspended, "the account is suspended")
