package market

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// Platform is the push service that reaches a device.
type Platform string

// The platforms.
const (
	PlatformAPNs    Platform = "apns"
	PlatformFCM     Platform = "fcm"
	PlatformWebPush Platform = "webpush"
)

// Device is an installation of the app that gets a person's notifications.
type Device struct {
	ID           DeviceID
	UserID       UserID
	Name         string // the app's own name of the installation, one a user
	Platform     Platform
	Token        string // a secret of sorts: never in a log
	Locale       Locale // "" = the user's
	CreatedAt    time.Time
	RegisteredAt time.Time // when the token was last given; feedback from before it is void
}

// DeviceRegistration is what an app gives to be notified.
type DeviceRegistration struct {
	ID       DeviceID // of a new device; an old one keeps its own
	UserID   UserID
	Name     string // 1–64 of [A-Za-z0-9._-]
	Platform string
	Token    string
	Locale   string // "" = the user's
	// Session is the session whose end also forgets the device; the zero hash ties it to none.
	Session TokenHash
}

// Longest name and token. A web push subscription, as JSON, is the longest.
const (
	maxDeviceName  = 64
	maxDeviceToken = 4096
)

// NewDevice checks a registration.
func (r Rules) NewDevice(reg DeviceRegistration, now time.Time) (Device, error) {
	var errs []error
	switch {
	case reg.Name == "":
		errs = append(errs, Fieldf("device_id", ReasonRequired, "must not be empty"))
	case len(reg.Name) > maxDeviceName || strings.Trim(reg.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "":
		errs = append(errs, Fieldf("device_id", ReasonMalformed, "must be 1 to %d of A-Z a-z 0-9 . _ -", maxDeviceName))
	}
	switch Platform(reg.Platform) {
	case PlatformAPNs, PlatformFCM, PlatformWebPush:
	default:
		errs = append(errs, Fieldf("platform", ReasonMalformed, "must be apns, fcm or webpush"))
	}
	switch {
	case reg.Token == "":
		errs = append(errs, Fieldf("token", ReasonRequired, "must not be empty"))
	case len(reg.Token) > maxDeviceToken:
		errs = append(errs, Fieldf("token", ReasonTooLong, "must have at most %d bytes", maxDeviceToken))
	case !utf8.ValidString(reg.Token) || strings.ContainsFunc(reg.Token, dropped):
		errs = append(errs, Fieldf("token", ReasonMalformed, "must be UTF-8 without control characters"))
	}
	var locale Locale
	if reg.Locale != "" {
		var err error
		if locale, err = ParseLocale(reg.Locale); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Device{}, err
	}
	now = now.UTC()
	return Device{
		ID: reg.ID, UserID: reg.UserID, Name: reg.Name, Platform: Platform(reg.Platform),
		Token: reg.Token, Locale: locale, CreatedAt: now, RegisteredAt: now,
	}, nil
}

// DeadToken is what a push service said about a token.
type DeadToken struct {
	Platform Platform
	Token    string
	Reason   string
	Time     time.Time // since when it is dead; zero = since it was said
}
