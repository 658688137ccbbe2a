package market

import (
	"errors"
	"slices"
	"time"
)

// Item is one thing that a person sells. There is one of it.
type Item struct {
	ID           ItemID
	Seller       UserID
	Category     CategoryID
	Brand        BrandID // 0 = none; not read in lists
	Title        string
	Description  string // empty in lists
	Price        Money
	Condition    Condition
	State        ItemState
	Photos       []Photo // in the order that the seller chose; Owner and CreatedAt are not filled
	Version      int64   // grows with every change that the seller or a sale makes; likes and comments leave it
	LikeCount    int64
	CommentCount int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
	LikeNotice   time.Time // when the seller hears, or heard, of likes; zero = never yet, or not read: lists leave it out
}

// Condition is how good a thing still is.
type Condition string

// The conditions, best first.
const (
	ConditionNew     Condition = "new"      // never used
	ConditionLikeNew Condition = "like_new" // hardly used
	ConditionGood    Condition = "good"     // no visible damage
	ConditionFair    Condition = "fair"     // some marks
	ConditionWorn    Condition = "worn"     // marks and stains
	ConditionPoor    Condition = "poor"     // bad all over
)

// Conditions returns every condition, best first.
func Conditions() []Condition {
	return []Condition{ConditionNew, ConditionLikeNew, ConditionGood, ConditionFair, ConditionWorn, ConditionPoor}
}

// ParseCondition reads a condition.
func ParseCondition(s string) (Condition, error) {
	if !slices.Contains(Conditions(), Condition(s)) {
		return "", Fieldf("condition", ReasonMalformed, "must be new, like_new, good, fair, worn or poor")
	}
	return Condition(s), nil
}

// Sort is an order of a list of items.
type Sort string

// The sorts. Equal prices are ordered by age.
const (
	SortNew       Sort = "new" // newest first; the default
	SortPriceAsc  Sort = "price_asc"
	SortPriceDesc Sort = "price_desc"
)

// ParseSort reads a sort; "" is SortNew.
func ParseSort(s string) (Sort, error) {
	switch Sort(s) {
	case "", SortNew:
		return SortNew, nil
	case SortPriceAsc, SortPriceDesc:
		return Sort(s), nil
	}
	return "", Fieldf("sort", ReasonMalformed, "must be new, price_asc or price_desc")
}

// ItemDraft is what a seller gives to list an item.
type ItemDraft struct {
	ID          ItemID
	Seller      UserID
	Category    CategoryID
	Brand       BrandID // 0 = none
	Title       string
	Description string
	Price       Money
	Condition   Condition
	Photos      []PhotoID
}

// NewItem checks a draft and returns the item that it makes, on sale, without
// its photos: whether they, the brand and the category exist is not for a rule to know.
func (r Rules) NewItem(d ItemDraft, now time.Time) (Item, error) {
	now = now.UTC()
	item := Item{
		ID: d.ID, Seller: d.Seller, Category: d.Category, Brand: d.Brand, Title: d.Title, Description: d.Description,
		Price: d.Price, Condition: d.Condition, State: ItemOnSale, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := errors.Join(r.checkItem(&item), r.checkPhotos(d.Photos)); err != nil {
		return Item{}, err
	}
	return item, nil
}

// checkItem checks what a seller has written and cleans the texts.
func (r Rules) checkItem(item *Item) error {
	title, errTitle := line("title", item.Title, r.TitleRunes)
	description, errDescription := text("description", item.Description, r.DescriptionRunes, false, cleanText)
	var errCategory, errBrand, errCondition error
	if item.Category <= 0 {
		errCategory = Fieldf("category_id", ReasonRequired, "must be a category")
	}
	if item.Brand < 0 {
		errBrand = Fieldf("brand_id", ReasonUnknownBrand, "must be a brand")
	}
	if !slices.Contains(Conditions(), item.Condition) {
		errCondition = Fieldf("condition", ReasonMalformed, "must be new, like_new, good, fair, worn or poor")
	}
	item.Title, item.Description = title, description
	return errors.Join(errTitle, errDescription, r.checkPrice(item.Price), errCategory, errBrand, errCondition)
}

func (r Rules) checkPrice(price Money) error {
	if price < r.MinPrice || price > r.MaxPrice {
		return Fieldf("price", ReasonOutOfRange, "must be from %d to %d", r.MinPrice, r.MaxPrice)
	}
	return nil
}

func (r Rules) checkPhotos(ids []PhotoID) error {
	switch sorted := slices.Sorted(slices.Values(ids)); {
	case len(ids) < r.MinPhotos:
		return Fieldf("photo_ids", ReasonRequired, "must name at least %d", r.MinPhotos)
	case len(ids) > r.MaxPhotos:
		return Fieldf("photo_ids", ReasonTooMany, "must name at most %d", r.MaxPhotos)
	case len(slices.Compact(sorted)) < len(ids):
		return Fieldf("photo_ids", ReasonMalformed, "must not name a photo twice")
	}
	return nil
}

// ItemEdit is a change that a seller makes; what is nil stays as it is.
type ItemEdit struct {
	ID          ItemID
	By          UserID
	Version     int64 // the version that was seen; 0 = do not check
	Title       *string
	Description *string
	Price       *Money
	Category    *CategoryID
	Brand       *BrandID // 0 = none from now on
	Condition   *Condition
	Photos      *[]PhotoID
	Event       ItemEvent // ItemPause, ItemResume or ItemWithdraw; "" = none
}

// CanEdit says whether a person may change the item now: nil, or the error
// that tells why not.
func (i Item) CanEdit(by UserID) error {
	switch {
	case i.Seller != by && !i.State.Public():
		return ErrItemNotFound
	case i.Seller != by:
		return Errorf(CodeForbidden, ReasonNotYours, "only the seller may change an item")
	case i.State == ItemReserved, i.State == ItemSold:
		return Errorf(CodeConflict, ReasonItemLocked, "the item has been bought")
	case i.State == ItemHidden, i.State == ItemWithdrawn:
		return Errorf(CodeConflict, ReasonItemNotOnSale, "the item is no longer offered")
	}
	return nil
}

// ErrItemNotFound is the error for an item that does not exist or that may not
// be seen.
var ErrItemNotFound = Errorf(CodeNotFound, "", "there is no such item")

// Edit returns the item after a seller's change. The same version comes back if
// the change changes nothing. Photos are left to the caller, who knows them.
func (r Rules) Edit(item Item, e ItemEdit, now time.Time) (Item, error) {
	if err := item.CanEdit(e.By); err != nil {
		return Item{}, err
	}
	if e.Version != 0 && e.Version != item.Version {
		return Item{}, Errorf(CodeConflict, ReasonVersionMismatch, "the item has been changed since it was read")
	}
	after := item
	set(&after.Title, e.Title)
	set(&after.Description, e.Description)
	set(&after.Price, e.Price)
	set(&after.Category, e.Category)
	set(&after.Brand, e.Brand)
	set(&after.Condition, e.Condition)
	if err := r.checkEdit(&after, e); err != nil {
		return Item{}, err
	}
	if e.Event != "" {
		to, ok := item.State.After(e.Event)
		if !ok {
			return Item{}, Errorf(CodeConflict, ReasonItemNotOnSale, "an item that is %s cannot %s", item.State, e.Event)
		}
		after.State = to
	}
	if e.Photos == nil && after.same(item) {
		return item, nil
	}
	after.Version++
	after.UpdatedAt = now.UTC()
	return after, nil
}

// checkEdit checks the fields that an edit sets and the event that it names;
// what it leaves alone was checked by the rules of its own time.
func (r Rules) checkEdit(after *Item, e ItemEdit) error {
	var errs []error
	var err error
	if e.Title != nil {
		after.Title, err = line("title", after.Title, r.TitleRunes)
		errs = append(errs, err)
	}
	if e.Description != nil {
		after.Description, err = text("description", after.Description, r.DescriptionRunes, false, cleanText)
		errs = append(errs, err)
	}
	if e.Price != nil {
		errs = append(errs, r.checkPrice(after.Price))
	}
	if e.Category != nil && after.Category <= 0 {
		errs = append(errs, Fieldf("category_id", ReasonRequired, "must be a category"))
	}
	if e.Brand != nil && after.Brand < 0 {
		errs = append(errs, Fieldf("brand_id", ReasonUnknownBrand, "must be a brand"))
	}
	if e.Condition != nil && !slices.Contains(Conditions(), after.Condition) {
		errs = append(errs, Fieldf("condition", ReasonMalformed, "must be new, like_new, good, fair, worn or poor"))
	}
	if e.Photos != nil {
		errs = append(errs, r.checkPhotos(*e.Photos))
	}
	switch e.Event {
	case "", ItemPause, ItemResume, ItemWithdraw:
	default:
		errs = append(errs, Fieldf("action", ReasonMalformed, "must be pause, resume or withdraw"))
	}
	return errors.Join(errs...)
}

func (i Item) same(o Item) bool {
	return i.Title == o.Title && i.Description == o.Description && i.Price == o.Price &&
		i.Category == o.Category && i.Brand == o.Brand && i.Condition == o.Condition && i.State == o.State
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// CanSee says whether a person may see the item: everybody sees a public one,
// the seller also one that is away. UserID 0 is somebody not known.
func (i Item) CanSee(by UserID) error {
	if i.State.Public() || (by != 0 && by == i.Seller && i.State != ItemHidden) {
		return nil
	}
	return ErrItemNotFound
}

// CanLike says whether a person may like the item.
func (i Item) CanLike(by UserID) error {
	if err := i.CanSee(by); err != nil {
		return err
	}
	if i.Seller == by {
		return Errorf(CodeConflict, ReasonOwnItem, "nobody likes an own item")
	}
	return nil
}

// NextLikeNotice decides when the seller hears of a like at now: at once if the
// last news of likes is old enough, else together with later likes when it is.
// Send is false if news is due later anyway.
func (r Rules) NextLikeNotice(last, now time.Time) (at time.Time, send bool) {
	switch next := last.Add(r.LikeNoticeEvery); {
	case last.IsZero() || !now.Before(next):
		return now, true
	case now.Before(last):
		return last, false
	default:
		return next, true
	}
}
