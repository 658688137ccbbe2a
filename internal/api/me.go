package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

type getMeIn struct {
	IfNoneMatch string `header:"If-None-Match" doc:"ETag of the answer that the client has."`
}

type meOutput struct {
	Status       int
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	ETag         string `header:"ETag" doc:"Names these bytes; begins with the version."`
	Body         client.Me
}

// ownMe answers a person with the own account.
func ownMe(me client.Me) (*meOutput, error) {
	etag, err := etagOf(strconv.FormatInt(me.Version, 10)+"-", me)
	return &meOutput{Status: http.StatusOK, CacheControl: noStore, Body: me, ETag: etag}, err
}

// etagOf names the bytes of an answer.
func etagOf(prefix string, v any) (string, error) {
	body, err := encode(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return `"` + prefix + base64.RawURLEncoding.EncodeToString(sum[:6]) + `"`, nil
}

func (a *API) getMe(ctx context.Context, in *getMeIn) (*meOutput, error) {
	me, err := a.me(ctx, callerOf(ctx).user)
	if err != nil {
		return nil, err
	}
	out, err := ownMe(me)
	if err == nil && in.IfNoneMatch == out.ETag {
		out.Status = http.StatusNotModified
	}
	return out, err
}

type changeMeIn struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The version that the change is meant for, in quotes, or the ETag; another version is refused." example:"\"3\""`
	Body    client.MePatch
}

func (a *API) changeMe(ctx context.Context, in *changeMeIn) (*meOutput, error) {
	e := market.ProfileEdit{ID: callerOf(ctx).user, Name: in.Body.Name, Locale: in.Body.Locale, Bio: in.Body.Bio, Address: (*market.Address)(in.Body.Address)}
	if in.Body.RemoveAddress {
		if e.Address != nil {
			return nil, invalidField("/remove_address", "must not come with an address")
		}
		e.Address = &market.Address{}
	}
	if in.Body.Muted != nil {
		kinds := make([]market.NoticeKind, len(*in.Body.Muted))
		for i, k := range *in.Body.Muted {
			kinds[i] = market.NoticeKind(k)
		}
		e.Muted = &kinds
	}
	var err error
	if e.Version, err = ifMatch(versionOf(in.IfMatch)); err != nil {
		return nil, err
	}
	p, change, err := a.store.EditProfile(ctx, e)
	if err != nil {
		return nil, err
	}
	a.purge(change)
	me, err := a.me(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return ownMe(me)
}

// versionOf makes the ETag of an account the version in it.
func versionOf(etag string) string {
	if version, _, ok := strings.Cut(etag, "-"); ok && version != `"` {
		return version + `"`
	}
	return etag
}

var errPassword = market.Errorf(market.CodeForbidden, market.ReasonWrongPassword, "the password is not the account's")

// checkOwn checks the password of whoever asks, and returns its hash. Guessing it
// with a stolen session is as hard as by logging in.
func (a *API) checkOwn(ctx context.Context, password string) (hash string, user market.User, err error) {
	if user, err = a.store.User(ctx, callerOf(ctx).user); err != nil {
		return "", user, err
	}
	account := keyOfAccount(user.Email)
	if err := a.limits.take(classLogIn, ofAccount, account); err != nil {
		return "", user, err
	}
	if hash, err = a.store.PasswordHash(ctx, user.ID); err != nil {
		return "", user, err
	}
	switch ok, err := a.hasher.verify(ctx, hash, password); {
	case err != nil:
		return "", user, err
	case !ok:
		return "", user, errPassword
	}
	a.limits.giveBack(classLogIn, ofAccount, account)
	return hash, user, nil
}

type changePasswordIn struct {
	Body client.NewPassword
}

func (a *API) changePassword(ctx context.Context, in *changePasswordIn) (*struct{}, error) {
	was, user, err := a.checkOwn(ctx, in.Body.Current)
	if err != nil {
		return nil, err
	}
	if err := checkPassword(in.Body.New, user.Email); err != nil {
		return nil, atField("/new_password", err)
	}
	hash, err := a.hasher.hash(ctx, in.Body.New)
	if err != nil {
		return nil, err
	}
	keep := callerOf(ctx).session
	// Also if the store fails half way: then the next request looks.
	defer a.sessions.forgetUser(user.ID, keep)
	return nil, a.store.ChangePassword(ctx, user.ID, was, hash, keep)
}

// atField says of a refused field that it has another name here.
func atField(pointer string, err error) error {
	if e, ok := errors.AsType[*refusal](err); ok && len(e.fields) == 1 {
		return invalidField(pointer, e.fields[0].Message)
	}
	return err
}

type deleteMeIn struct {
	Body client.AccountDeletion
}

func (a *API) deleteMe(ctx context.Context, in *deleteMeIn) (*struct{}, error) {
	hash, user, err := a.checkOwn(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	defer a.sessions.forgetUser(user.ID, market.TokenHash{})
	change, err := a.store.DeleteUser(ctx, user.ID, hash)
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return nil, nil
}

// meRoutes are the operations on one's own account.
func (a *API) meRoutes(small int64) {
	register(a, operation{
		id: "getMe", method: http.MethodGet, path: "/v1/me", access: accessUser, tag: "accounts", etag: true,
		summary: "Who am I", about: "The account of the session.",
	}, a.getMe)
	register(a, operation{
		id: "changeMe", method: http.MethodPatch, path: "/v1/me", access: accessUser, tag: "accounts", maxBody: small,
		errors:  []int{http.StatusPreconditionFailed},
		summary: "Change my account", about: "What is not named stays as it is.",
	}, a.changeMe)
	register(a, operation{
		id: "changePassword", method: http.MethodPut, path: "/v1/me/password", access: accessUser, tag: "accounts", maxBody: small,
		errors:  []int{http.StatusConflict},
		summary: "Change my password", about: "All other sessions end, and their devices are no longer notified.",
	}, a.changePassword)
	register(a, operation{
		id: "deleteMe", method: http.MethodDelete, path: "/v1/me", access: accessUser, tag: "accounts", maxBody: small,
		errors:  []int{http.StatusNotFound, http.StatusConflict},
		summary: "Delete my account",
		about: "For good: what is on sale is withdrawn, every session ends, and nothing is left but what others have a part in, under no name. " +
			"Not while an order is open (reason open_orders) or money is left (balance_left).",
	}, a.deleteMe)
}
