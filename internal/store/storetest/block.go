package storetest

import (
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

func testBlocks(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	blocked := func(a, b market.UserID, want bool) {
		w.Helper()
		for range 2 { // whoever asks
			if got, err := w.Store.Blocked(w.Ctx, a, b); got != want || err != nil {
				w.Errorf("%d and %d: blocked %v, %v; want %v", a, b, got, err, want)
			}
			a, b = b, a
		}
	}
	blocked(hana, taro, false)
	at := w.Clock.Now()
	w.ok(w.Store.BlockUser(w.Ctx, hana, taro))
	w.Clock.Add(time.Hour)
	w.ok(w.Store.BlockUser(w.Ctx, hana, taro)) // again
	w.ok(w.Store.BlockUser(w.Ctx, hana, jun))
	blocked(hana, taro, true)
	blocked(taro, jun, false)
	blocked(hana, hana, false)
	page, err := w.Store.Blocks(w.Ctx, hana, "", 1)
	w.ok(err)
	if diff := gocmp.Diff([]market.Block{{User: hana, Blocked: taro, Name: "Person 2", CreatedAt: at}}, page.Blocks); diff != "" || page.Next == "" {
		w.Errorf("the first page: next %q\n%s", page.Next, diff)
	}
	page, err = w.Store.Blocks(w.Ctx, hana, page.Next, 1)
	w.ok(err)
	if len(page.Blocks) != 1 || page.Blocks[0].Blocked != jun || page.Next != "" {
		w.Errorf("the second page: %+v", page)
	}
	_, err = w.Store.Blocks(w.Ctx, taro, "x", 1)
	w.refused("no cursor", err, market.CodeInvalid, market.ReasonInvalidCursor)
	if page, err := w.Store.Blocks(w.Ctx, taro, "", 0); len(page.Blocks) != 0 || err != nil {
		w.Errorf("who is blocked has blocked: %+v, %v", page, err)
	}
	w.refused("oneself", w.Store.BlockUser(w.Ctx, hana, hana), market.CodeInvalid, market.ReasonMalformed)
	w.refused("nobody", w.Store.BlockUser(w.Ctx, hana, jun+1), market.CodeNotFound, "")
	w.ok(w.Store.UnblockUser(w.Ctx, hana, taro))
	w.ok(w.Store.UnblockUser(w.Ctx, hana, taro)) // again
	blocked(hana, taro, false)

	// Many at once are one.
	errs := everyone(8, func(int) error { return w.Store.BlockUser(w.Ctx, taro, jun) })
	if got := tally(errs); got != "ok 8" {
		w.Errorf("%s", got)
	}
}

// testBlocksAgainst holds that a block stops everything between two people, in
// both directions, and nothing else.
func testBlocksAgainst(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	paid := w.bought(hana, taro)
	do := map[string]func(by market.UserID) error{
		"like": func(by market.UserID) error {
			_, _, err := w.Store.LikeItem(w.Ctx, item.ID, by)
			return err
		},
		"comment": func(by market.UserID) error {
			_, _, err := w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: by, Body: "hello"})
			return err
		},
		"message": func(market.UserID) error {
			_, err := w.Store.SendMessage(w.Ctx, paid.ID, taro, "hello")
			return err
		},
		"message back": func(market.UserID) error {
			_, err := w.Store.SendMessage(w.Ctx, paid.ID, hana, "hello")
			return err
		},
		"buy": func(by market.UserID) error {
			_, _, err := w.Store.ReserveItem(w.Ctx, market.Purchase{Item: item.ID, Buyer: by, ExpectedPrice: 3000})
			return err
		},
	}
	for _, pair := range [][2]market.UserID{{hana, taro}, {taro, hana}} {
		w.ok(w.Store.BlockUser(w.Ctx, pair[0], pair[1]))
		for what, f := range do {
			w.refused(what, f(taro), market.CodeForbidden, market.ReasonBlocked)
		}
		w.ok(w.Store.UnblockUser(w.Ctx, pair[0], pair[1]))
	}
	if got := w.reread(item.ID); got.State != market.ItemOnSale || got.LikeCount+got.CommentCount != 0 {
		w.Errorf("after all was refused: %+v", got)
	}
	w.ok(w.Store.BlockUser(w.Ctx, hana, taro))
	// The order goes on: what is paid is sent.
	_, _, err := w.Store.ShipOrder(w.Ctx, paid.ID, hana)
	w.ok(err)
	w.ok(do["like"](jun))
	w.ok(w.Store.UnblockUser(w.Ctx, hana, taro))
	for _, what := range []string{"like", "comment", "message", "message back", "buy"} {
		if err := do[what](taro); err != nil {
			w.Errorf("%s after the block: %v", what, err)
		}
	}
}

func testLikedItems(w *World) {
	hana, taro := w.User(), w.User()
	var want []market.ItemID
	for range 7 {
		item := w.Item(hana, tables, 3000)
		_, _, err := w.Store.LikeItem(w.Ctx, item.ID, taro)
		w.ok(err)
		want = append(want, item.ID)
	}
	// Some likes are of one instant.
	w.ok(w.DB.Tx(w.Ctx, func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(w.Ctx, "UPDATE likes SET created_at = ? WHERE item_id IN (?, ?, ?)",
			sqldb.Micros(w.Clock.Now().Add(time.Second)), int64(want[4]), int64(want[5]), int64(want[6]))
		return err
	}))
	slices.Reverse(want)
	all := func(rows int) (ids []market.ItemID) {
		w.Helper()
		cursor := ""
		for range 20 {
			page, err := w.Store.LikedItems(w.Ctx, taro, cursor, rows)
			w.ok(err)
			for _, i := range page.Items {
				ids = append(ids, i.ID)
			}
			if cursor = page.Next; cursor == "" {
				return ids
			}
		}
		w.Error("the list does not end")
		return ids
	}
	for _, rows := range []int{0, 1, 2, 3, 7} {
		if got := all(rows); !slices.Equal(got, want) {
			w.Errorf("pages of %d: %v, want %v", rows, got, want)
		}
	}
	_, _, err := w.Store.UnlikeItem(w.Ctx, want[2], taro)
	w.ok(err)
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: want[4], By: hana, Event: market.ItemPause})
	w.ok(err)
	w.reserve(w.reread(want[0]), taro)
	want = slices.Concat(want[:2], want[3:4], want[5:])
	for _, rows := range []int{0, 1, 3} {
		if got := all(rows); !slices.Equal(got, want) {
			w.Errorf("later, pages of %d: %v, want %v", rows, got, want)
		}
	}
	_, err = w.Store.LikedItems(w.Ctx, taro, "x", 0)
	w.refused("no cursor", err, market.CodeInvalid, market.ReasonInvalidCursor)
	if page, err := w.Store.LikedItems(w.Ctx, hana, "", 0); len(page.Items) != 0 || err != nil {
		w.Errorf("%+v, %v", page, err)
	}
}
