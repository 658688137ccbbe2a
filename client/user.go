package client

import (
	"context"
	"fmt"
	"net/http"
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
	ID        string `json:"id" doc:"Id of the user." example:"us_0c2tn5w8q1z4x"`
	Name      string `json:"name" doc:"The name that other people see."`
	Email     string `json:"email" doc:"E-mail address."`
	Locale    string `json:"locale" enum:"ja,en" doc:"Language of notifications."`
	CreatedAt Time   `json:"created_at" doc:"When the account was made."`
}

// User is what everyone sees of a person.
type User struct {
	ID        string `json:"id" doc:"Id of the user." example:"us_0c2tn5w8q1z4x"`
	Name      string `json:"name" doc:"The name that other people see."`
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
