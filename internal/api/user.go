package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

func meOut(p market.Profile) client.Me {
	out := client.Me{
		ID: p.ID.String(), Name: p.Name, Email: p.Email, Locale: string(p.Locale), Bio: p.Bio, Version: p.Version, CreatedAt: client.TimeOf(p.CreatedAt),
	}
	if p.Address != (market.Address{}) {
		a := client.Address(p.Address)
		out.Address = &a
	}
	for _, k := range p.Muted {
		out.Muted = append(out.Muted, string(k))
	}
	return out
}

// me is a person as the person sees it.
func (a *API) me(ctx context.Context, id market.UserID) (client.Me, error) {
	p, err := a.store.Profile(ctx, id)
	if err != nil {
		return client.Me{}, err
	}
	out := meOut(p)
	out.Unread, out.Todo, err = a.store.Waiting(ctx, p)
	return out, err
}

type registerIn struct {
	Body client.Registration
}

type sessionOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Session
}

func (a *API) registerUser(ctx context.Context, in *registerIn) (*sessionOut, error) {
	reg := market.Registration{Email: in.Body.Email, Name: in.Body.Name, Locale: in.Body.Locale}
	// All that is wrong is told at once, and before the password is hashed,
	// which is dear.
	_, err := a.store.Rules().NewUser(reg, a.now())
	if err := errors.Join(err, checkPassword(in.Body.Password, in.Body.Email)); err != nil {
		return nil, err
	}
	if reg.PasswordHash, err = a.hasher.hash(ctx, in.Body.Password); err != nil {
		return nil, err
	}
	user, err := a.store.RegisterUser(ctx, reg)
	if err != nil {
		return nil, err
	}
	return a.openSession(ctx, user)
}

type logInIn struct {
	Body client.Credentials
}

func (a *API) logIn(ctx context.Context, in *logInIn) (*sessionOut, error) {
	// Only failures count against an account, known or not.
	account := keyOfAccount(in.Body.Email)
	if err := a.limits.take(classLogIn, ofAccount, account); err != nil {
		return nil, err
	}
	known, err := a.store.UserByEmail(ctx, in.Body.Email)
	if err != nil && market.CodeOf(err) != market.CodeNotFound {
		return nil, err
	}
	if known.PasswordHash != "" {
		if _, err := parsePHC(known.PasswordHash); err != nil {
			a.log.LogAttrs(ctx, slog.LevelWarn, "password hash cannot be read", slog.String("user_id", known.User.ID.String()))
		}
	}
	// An address that nobody has goes the same way, so that it takes the same time.
	ok, err := a.hasher.verify(ctx, known.PasswordHash, in.Body.Password)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, &refusal{kind: kindCredentials}
	}
	a.limits.giveBack(classLogIn, ofAccount, account)
	return a.openSession(ctx, known.User)
}

// openSession logs a user in. The token leaves here once; its hash stays.
func (a *API) openSession(ctx context.Context, user market.User) (*sessionOut, error) {
	token := newToken()
	session, err := a.store.CreateSession(ctx, user.ID, market.HashToken(token))
	if err != nil {
		return nil, err
	}
	me, err := a.me(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	return &sessionOut{CacheControl: noStore, Body: client.Session{Token: token, ExpiresAt: client.TimeOf(session.ExpiresAt), User: me}}, nil
}

func (a *API) logOut(ctx context.Context, _ *struct{}) (*struct{}, error) {
	hash := callerOf(ctx).session
	// Also if the store fails half way: then the next request looks.
	defer a.sessions.forget(hash)
	return nil, a.store.DeleteSession(ctx, hash)
}

var errNoUser = market.Errorf(market.CodeNotFound, "", "there is no such person")

func (a *API) getUser(w http.ResponseWriter, r *http.Request) error {
	id, err := market.ParseUserID(r.PathValue("id"))
	if err != nil {
		return errNoUser
	}
	if err := noQuery(r); err != nil {
		return err
	}
	return a.cache.Serve(w, r, "/v1/users/"+id.String(), func(ctx context.Context) (cache.Answer, error) {
		user, err := a.store.User(ctx, id)
		if err != nil {
			return cache.Answer{}, err
		}
		body, err := encode(client.User{ID: user.ID.String(), Name: user.Name, Bio: user.Bio, Good: user.Good, Bad: user.Bad, CreatedAt: client.TimeOf(user.CreatedAt)})
		return cache.Answer{ContentType: contentJSON[0], Body: body, Tags: []string{store.TagUser(id)}}, err
	})
}
