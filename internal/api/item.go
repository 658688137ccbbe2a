package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/cache"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/photo"
	"github.com/furima/furima/internal/store"
)

// photoURL is where a size of a photo is.
func photoURL(p market.Photo, s photo.Size) string { return "/photos/" + photo.File(p.Name, s) }

func photoOut(p market.Photo) client.Photo {
	return client.Photo{
		ID: p.ID.String(), Width: p.Width, Height: p.Height,
		URLs: client.PhotoURLs{Small: photoURL(p, photo.Small), Medium: photoURL(p, photo.Medium), Large: photoURL(p, photo.Large)},
	}
}

func summaryOut(i market.Item) client.ItemSummary {
	s := client.ItemSummary{
		ID: i.ID.String(), Title: i.Title, Price: int64(i.Price), State: client.ItemState(i.State), CreatedAt: client.TimeOf(i.CreatedAt),
	}
	if len(i.Photos) > 0 {
		s.Photo = photoURL(i.Photos[0], photo.Small)
	}
	return s
}

func pageOut(p store.ItemPage) client.ItemPage {
	out := client.ItemPage{Items: make([]client.ItemSummary, len(p.Items)), NextCursor: p.Next}
	for i, item := range p.Items {
		out.Items[i] = summaryOut(item)
	}
	return out
}

func itemOut(i market.Item, sellerName string) client.Item {
	out := client.Item{
		ID: i.ID.String(), Version: i.Version, State: client.ItemState(i.State), Title: i.Title, Description: i.Description,
		Price: int64(i.Price), CategoryID: int(i.Category), BrandID: int(i.Brand), Condition: string(i.Condition),
		Seller: client.Person{ID: i.Seller.String(), Name: sellerName}, Photos: make([]client.Photo, len(i.Photos)),
		LikeCount: i.LikeCount, CommentCount: i.CommentCount, CreatedAt: client.TimeOf(i.CreatedAt), UpdatedAt: client.TimeOf(i.UpdatedAt),
	}
	for n, p := range i.Photos {
		out.Photos[n] = photoOut(p)
	}
	return out
}

const itemsPath = "/v1/items"

func (a *API) getItem(w http.ResponseWriter, r *http.Request) error {
	id, err := itemID(r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	return a.cache.Serve(w, r, itemsPath+"/"+id.String(), func(ctx context.Context) (cache.Answer, error) { return a.loadItem(ctx, id) })
}

// itemID reads an id out of a path: what cannot be one is nothing's.
func itemID(s string) (market.ItemID, error) {
	id, err := market.ParseItemID(s)
	if err != nil {
		return 0, market.ErrItemNotFound
	}
	return id, nil
}

func (a *API) loadItem(ctx context.Context, id market.ItemID) (cache.Answer, error) {
	d, err := a.store.ItemDetail(ctx, id)
	if err != nil {
		return cache.Answer{}, err
	}
	// For nobody in particular: what only the seller sees is not here.
	if err := d.Item.CanSee(0); err != nil {
		return cache.Answer{}, err
	}
	body, err := encode(itemOut(d.Item, d.SellerName))
	if err != nil {
		return cache.Answer{}, err
	}
	return cache.Answer{ContentType: contentJSON[0], Body: body, Tags: []string{
		store.TagItem(id), store.TagDetail(id), store.TagUser(d.Item.Seller),
	}}, nil
}

type getMyItemsIn struct {
	Away   bool   `query:"away" doc:"What is paused, withdrawn or hidden, instead of what everybody sees."`
	Limit  int    `query:"limit" minimum:"1" maximum:"60" default:"30" doc:"Rows of a page."`
	Cursor string `query:"cursor" maxLength:"128" doc:"next_cursor of the page before."`
}

type itemPageOut struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.ItemPage
}

func (a *API) getMyItems(ctx context.Context, in *getMyItemsIn) (*itemPageOut, error) {
	page, err := a.store.Items(ctx, store.ItemQuery{Seller: callerOf(ctx).user, Away: in.Away, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	return &itemPageOut{CacheControl: noStore, Body: pageOut(page)}, nil
}

// noStore is the Cache-Control of what concerns one person.
const noStore = "private, no-store"

type listItemIn struct {
	Body client.NewItem
}

type itemOutput struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Location     string `header:"Location" doc:"Where the item is."`
	Body         client.Item
}

func (a *API) listItem(ctx context.Context, in *listItemIn) (*itemOutput, error) {
	photos, err := photoIDs(in.Body.PhotoIDs)
	if err != nil {
		return nil, err
	}
	item, change, err := a.store.ListItem(ctx, market.ItemDraft{
		Seller: callerOf(ctx).user, Category: market.CategoryID(in.Body.CategoryID), Brand: market.BrandID(in.Body.BrandID), Title: in.Body.Title, Description: in.Body.Description,
		Price: market.Money(in.Body.Price), Condition: market.Condition(in.Body.Condition), Photos: photos,
	})
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return a.ownItem(ctx, item)
}

// ownItem answers a seller with an item after a change.
func (a *API) ownItem(ctx context.Context, item market.Item) (*itemOutput, error) {
	seller, err := a.store.User(ctx, item.Seller)
	if err != nil {
		return nil, err
	}
	return &itemOutput{CacheControl: noStore, Location: itemsPath + "/" + item.ID.String(), Body: itemOut(item, seller.Name)}, nil
}

func photoIDs(names []string) ([]market.PhotoID, error) {
	ids := make([]market.PhotoID, len(names))
	for i, name := range names {
		id, err := market.ParsePhotoID(name)
		if err != nil {
			return nil, invalidField("/photo_ids/"+strconv.Itoa(i), "is not the id of a photo")
		}
		ids[i] = id
	}
	return ids, nil
}

type changeItemIn struct {
	ID      string `path:"id" doc:"Id of the item."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The version that the change is meant for, in quotes; another one is refused." example:"\"3\""`
	Body    client.ItemPatch
}

func (a *API) changeItem(ctx context.Context, in *changeItemIn) (*itemOutput, error) {
	id, err := itemID(in.ID)
	if err != nil {
		return nil, err
	}
	edit, err := itemEdit(in.Body)
	if err != nil {
		return nil, err
	}
	edit.ID, edit.By = id, callerOf(ctx).user
	if edit.Version, err = ifMatch(in.IfMatch); err != nil {
		return nil, err
	}
	item, change, err := a.store.EditItem(ctx, edit)
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return a.ownItem(ctx, item)
}

func itemEdit(p client.ItemPatch) (market.ItemEdit, error) {
	e := market.ItemEdit{Title: p.Title, Description: p.Description, Price: (*market.Money)(p.Price), Condition: (*market.Condition)(p.Condition)}
	if p.CategoryID != nil {
		category := market.CategoryID(*p.CategoryID)
		e.Category = &category
	}
	if p.BrandID != nil {
		brand := market.BrandID(*p.BrandID)
		e.Brand = &brand
	}
	if p.PhotoIDs != nil {
		photos, err := photoIDs(*p.PhotoIDs)
		if err != nil {
			return e, err
		}
		e.Photos = &photos
	}
	if p.Action != nil {
		e.Event = market.ItemEvent(*p.Action)
	}
	return e, nil
}

// ifMatch reads the version out of If-Match; 0 means any.
func ifMatch(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "" || s == "*" {
		return 0, nil
	}
	quoted, ok := strings.CutPrefix(s, `"`)
	quoted, ok2 := strings.CutSuffix(quoted, `"`)
	n, err := strconv.ParseInt(quoted, 10, 64)
	if !ok || !ok2 || err != nil || n < 1 {
		return 0, invalidField("header/If-Match", `must be a version in quotes, as in "3"`)
	}
	return n, nil
}

type itemPathIn struct {
	ID string `path:"id" doc:"Id of the item."`
}

func (a *API) likeItem(ctx context.Context, in *itemPathIn) (*struct{}, error) {
	id, err := itemID(in.ID)
	if err != nil {
		return nil, err
	}
	_, change, err := a.store.LikeItem(ctx, id, callerOf(ctx).user)
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return nil, nil
}

func (a *API) unlikeItem(ctx context.Context, in *itemPathIn) (*struct{}, error) {
	id, err := itemID(in.ID)
	if err != nil {
		return nil, err
	}
	_, change, err := a.store.UnlikeItem(ctx, id, callerOf(ctx).user)
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return nil, nil
}
