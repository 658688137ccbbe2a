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

func commentOut(c market.Comment) client.Comment {
	return client.Comment{
		ID: c.ID.String(), Author: client.Person{ID: c.Author.String(), Name: c.AuthorName}, Body: c.Body, Deleted: !c.DeletedAt.IsZero(), CreatedAt: client.TimeOf(c.CreatedAt),
	}
}

func (a *API) getComments(w http.ResponseWriter, r *http.Request) error {
	id, err := itemID(r.PathValue("id"))
	if err != nil {
		return err
	}
	limit, cursor := defaultPage, ""
	err = eachParameter(r.URL.RawQuery, func(name, value string) (err error) {
		switch name {
		case "limit":
			limit, err = parseLimit(value, maxPage)
		case "cursor":
			cursor, err = parseCursor(value)
		default:
			err = unknownParameter(name)
		}
		return err
	})
	if err != nil {
		return err
	}
	path := itemsPath + "/" + id.String() + "/comments"
	key := path + "?limit=" + strconv.Itoa(limit) + "&cursor=" + cursor
	return a.cache.Serve(w, r, key, func(ctx context.Context) (cache.Answer, error) { return a.loadComments(ctx, path, id, cursor, limit) })
}

func (a *API) loadComments(ctx context.Context, path string, id market.ItemID, cursor string, limit int) (cache.Answer, error) {
	item, err := a.store.Item(ctx, id)
	if err == nil {
		err = item.CanSee(0)
	}
	if err != nil {
		return cache.Answer{}, err
	}
	page, err := a.store.Comments(ctx, id, cursor, limit)
	if err != nil {
		return cache.Answer{}, err
	}
	out := client.CommentPage{Items: make([]client.Comment, len(page.Comments)), NextCursor: page.Next}
	tags := []string{store.TagItem(id), store.TagDetail(id)}
	for i, c := range page.Comments {
		out.Items[i] = commentOut(c)
		if tag := store.TagUser(c.Author); !slices.Contains(tags, tag) {
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

type commentItemIn struct {
	ID   string `path:"id" doc:"Id of the item."`
	Body client.NewComment
}

type commentOutput struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Comment
}

func (a *API) commentItem(ctx context.Context, in *commentItemIn) (*commentOutput, error) {
	id, err := itemID(in.ID)
	if err != nil {
		return nil, err
	}
	c, change, err := a.store.CommentItem(ctx, market.CommentDraft{Item: id, Author: callerOf(ctx).user, Body: in.Body.Body})
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return &commentOutput{CacheControl: noStore, Body: commentOut(c)}, nil
}

type deleteCommentIn struct {
	ID      string `path:"id" doc:"Id of the item."`
	Comment string `path:"comment_id" doc:"Id of the comment."`
}

func (a *API) deleteComment(ctx context.Context, in *deleteCommentIn) (*struct{}, error) {
	id, err := itemID(in.ID)
	if err != nil {
		return nil, err
	}
	comment, err := market.ParseCommentID(in.Comment)
	if err != nil {
		return nil, market.ErrCommentNotFound
	}
	change, err := a.store.DeleteComment(ctx, id, comment, callerOf(ctx).user)
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return nil, nil
}
