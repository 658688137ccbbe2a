package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// Registration makes an account.
type Registration struct {
	Email    string `json:"email" minLength:"3" maxLength:"254" doc:"E-mail address; it is the name to log in with and is shown to nobody." example:"hanako@example.com"`
	Password string `json:"password" minLength:"10" maxLength:"128" writeOnly:"true" doc:"At least 10 characters, and none of the passwords that everyone knows."`
	Name     string `json:"name" minLength:"1" maxLength:"40" doc:"The name that other people see." example:"Hanako"`
	Locale   string `json:"locale,omitempty" enum:"ja,en" doc:"Language of notifications. Default: ja."`
}

// Credentials prove who somebody is.
type Credentials struct {
	Email    string `json:"email" minLength:"1" maxLength:"254" doc:"E-mail address." example:"hanako@example.com"`
	Password string `json:"password" minLength:"1" maxLength:"128" writeOnly:"true" doc:"Password."`
}

// Session is a fresh log-in.
type Session struct {
	Token     string `json:"token" doc:"Bearer token. It is shown this once: only its hash is stored."`
	ExpiresAt Time   `json:"expires_at" doc:"When the session ends if it is not used before; use prolongs it."`
	User      Me     `json:"user" doc:"Whose session it is."`
}

// Me is what a person sees of their own account.
type Me struct {
	ID     string `json:"id" doc:"Id of the user." example:"us_0c2tn5w8q1z4x"`
	Name   string `json:"name" doc:"The name that other people see."`
	Email  string `json:"email" doc:"E-mail address."`
	Locale string `json:"locale" enum:"ja,en" doc:"Language of notifications."`
	Bio    string `json:"bio,omitempty" doc:"What other people read about you."`
	// Address is nil if there is none.
	Address   *Address `json:"address,omitempty" doc:"Where things are sent to. Nobody else sees it."`
	Muted     []string `json:"muted,omitempty" nullable:"false" doc:"Events that are not pushed to your devices."`
	Unread    int      `json:"unread" doc:"Notifications that you have not read; 100 means that or more."`
	Todo      int      `json:"todo" doc:"Orders that wait for you; 100 means that or more."`
	Version   int64    `json:"version" doc:"Grows with every change; for If-Match."`
	CreatedAt Time     `json:"created_at" doc:"When the account was made."`
}

// Address is where things are sent to.
type Address struct {
	Name       string `json:"name" maxLength:"100" doc:"Who gets it."`
	PostalCode string `json:"postal_code" maxLength:"100" doc:"Postal code." example:"100-0001"`
	Region     string `json:"region,omitempty" maxLength:"100" doc:"Prefecture, state or province."`
	City       string `json:"city" maxLength:"100" doc:"City or town."`
	Street     string `json:"street" maxLength:"100" doc:"Street or block, and number."`
	Building   string `json:"building,omitempty" maxLength:"100" doc:"Building and room."`
	Phone      string `json:"phone,omitempty" maxLength:"100" doc:"For the carrier."`
}

// MePatch changes the caller's account: what is nil stays as it is.
type MePatch struct {
	Name          *string   `json:"name,omitempty" minLength:"1" maxLength:"40" doc:"A new name."`
	Locale        *string   `json:"locale,omitempty" enum:"ja,en" doc:"Another language of notifications."`
	Bio           *string   `json:"bio,omitempty" maxLength:"1000" doc:"What other people shall read about you."`
	Address       *Address  `json:"address,omitempty" doc:"Where things are to be sent to."`
	RemoveAddress bool      `json:"remove_address,omitempty" doc:"Forget the address."`
	Muted         *[]string `json:"muted,omitempty" maxItems:"32" nullable:"false" doc:"All events that are not to be pushed: item.liked, item.commented, order.paid, order.shipped, order.delivered, order.received, order.completed, order.disputed, order.refund, order.refunded, order.message."`

	// IfVersion makes the change happen only if the account has this version; 0
	// means any. It travels as If-Match; another version is a Problem with
	// Status 412.
	IfVersion int64 `json:"-"`
}

// NewPassword replaces a password.
type NewPassword struct {
	Current string `json:"current_password" minLength:"1" maxLength:"128" writeOnly:"true" doc:"The password so far."`
	New     string `json:"new_password" minLength:"10" maxLength:"128" writeOnly:"true" doc:"At least 10 characters, and none of the passwords that everyone knows."`
}

// AccountDeletion proves that it is meant.
type AccountDeletion struct {
	Password string `json:"password" minLength:"1" maxLength:"128" writeOnly:"true" doc:"The account's password."`
}

// User is what everyone sees of a person.
type User struct {
	ID        string `json:"id" doc:"Id of the user." example:"us_0c2tn5w8q1z4x"`
	Name      string `json:"name" doc:"The name that other people see."`
	Bio       string `json:"bio,omitempty" doc:"What the person says about themselves."`
	Good      int64  `json:"good" doc:"Good reviews."`
	Bad       int64  `json:"bad" doc:"Bad reviews."`
	CreatedAt Time   `json:"created_at" doc:"When the account was made."`
}

// Person names a user inside another answer.
type Person struct {
	ID   string `json:"id" doc:"Id of the user." example:"us_0c2tn5w8q1z4x"`
	Name string `json:"name" doc:"The name that other people see."`
}

// Register makes an account and logs in. A taken address is a Problem with
// Reason "email_taken".
func (c *Client) Register(ctx context.Context, r Registration) (Session, error) {
	var out Session
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/users", json: r}, &out); err != nil {
		return Session{}, fmt.Errorf("register: %w", err)
	}
	return out, nil
}

// LogIn opens a session. Give its token to WithToken. An unknown address and a
// wrong password are the same Problem, with code Unauthenticated.
func (c *Client) LogIn(ctx context.Context, cr Credentials) (Session, error) {
	var out Session
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/sessions", json: cr}, &out); err != nil {
		return Session{}, fmt.Errorf("log in: %w", err)
	}
	return out, nil
}

// LogOut ends the session of the client's token.
func (c *Client) LogOut(ctx context.Context) error {
	if err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/sessions/current"}, nil); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// Me returns the account of the client's token.
func (c *Client) Me(ctx context.Context) (Me, error) {
	var out Me
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/me"}, &out); err != nil {
		return Me{}, fmt.Errorf("get me: %w", err)
	}
	return out, nil
}

// User returns a person's public profile.
func (c *Client) User(ctx context.Context, id string) (User, error) {
	var out User
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/users/" + segment(id)}, &out); err != nil {
		return User{}, fmt.Errorf("get user: %w", err)
	}
	return out, nil
}

// ChangeMe changes the caller's account and returns it as it is then.
func (c *Client) ChangeMe(ctx context.Context, p MePatch) (Me, error) {
	k := call{method: http.MethodPatch, path: "/v1/me", json: p}
	if p.IfVersion != 0 {
		k.header = http.Header{"If-Match": {`"` + strconv.FormatInt(p.IfVersion, 10) + `"`}}
	}
	var out Me
	if err := c.do(ctx, k, &out); err != nil {
		return Me{}, fmt.Errorf("change me: %w", err)
	}
	return out, nil
}

// ChangePassword replaces the caller's password and ends all of the caller's
// other sessions. A wrong current password is a Problem with Reason
// "wrong_password".
func (c *Client) ChangePassword(ctx context.Context, p NewPassword) error {
	if err := c.do(ctx, call{method: http.MethodPut, path: "/v1/me/password", json: p}, nil); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return nil
}

// DeleteAccount ends the caller's account for good. It is refused while an order
// is not at its end (Reason "open_orders") or money is left ("balance_left").
func (c *Client) DeleteAccount(ctx context.Context, password string) error {
	if err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/me", json: AccountDeletion{password}}, nil); err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	return nil
}
