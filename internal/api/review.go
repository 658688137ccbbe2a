package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

func reviewOut(r market.Review) client.Review {
	return client.Review{
		ID: r.ID.String(), Author: client.Person{ID: r.Author.String(), Name: r.AuthorName}, Role: client.Role(r.Role),
		Rating: client.Rating(r.Rating), Body: r.Body, CreatedAt: client.TimeOf(r.CreatedAt),
	}
}

// getReviews answers with what people say about a person.
func (a *API) getReviews(w http.ResponseWriter, r *http.Request) error {
	id, err := market.ParseUserID(r.PathValue("id"))
	if err != nil {
		return errNoUser
	}
	limit, cursor := defaultPage, ""
	if err := eachParameter(r.URL.RawQuery, func(name, value string) (err error) {
		switch name {
		case "limit":
			limit, err = parseLimit(value, maxPage)
		case "cursor":
			cursor, err = parseCursor(value)
		default:
			err = unknownParameter(name)
		}
		return err
	}); err != nil {
		return err
	}
	path := "/v1/users/" + id.String() + "/reviews"
	return a.cache.Serve(w, r, path+"?limit="+strconv.Itoa(limit)+"&cursor="+cursor, func(ctx context.Context) (cache.Answer, error) {
		return a.loadReviews(ctx, path, id, cursor, limit)
	})
}

func (a *API) loadReviews(ctx context.Context, path string, id market.UserID, cursor string, limit int) (cache.Answer, error) {
	if _, err := a.store.User(ctx, id); err != nil {
		return cache.Answer{}, err
	}
	page, err := a.store.Reviews(ctx, id, cursor, limit)
	if err != nil {
		return cache.Answer{}, err
	}
	out := client.ReviewPage{Items: make([]client.Review, len(page.Reviews)), NextCursor: page.Next}
	tags := []string{store.TagUser(id)}
	for i, v := range page.Reviews {
		out.Items[i] = reviewOut(v)
		if tag := store.TagUser(v.Author); !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	body, err := encode(out)
	if err != nil {
		return cache.Answer{}, err
	}
	answer := cache.Answer{ContentType: contentJSON[0], Body: body, Tags: tags}
	if page.Next != "" {
		answer.Header = http.Header{"Link": {nextLink(path, url.Values{"limit": {strconv.Itoa(limit)}}, page.Next)}}
	}
	return answer, nil
}
