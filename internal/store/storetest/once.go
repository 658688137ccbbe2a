package storetest

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

func onceOf(key string) *store.Once {
	return &store.Once{Scope: sha256.Sum256([]byte(key)), Fingerprint: sha256.Sum256([]byte("body"))}
}

func testOnce(w *World) {
	hana, taro := w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	comment := func(o *store.Once) error {
		_, _, err := w.Store.CommentItem(store.WithOnce(w.Ctx, o), market.CommentDraft{Item: item.ID, Author: taro, Body: "hello"})
		return err
	}
	first := onceOf("k")
	_, err := w.Store.Answered(w.Ctx, first.Scope)
	w.refused("before", err, market.CodeNotFound, "")
	w.ok(comment(first))
	if !first.Claimed() {
		w.Error("the request is not claimed")
	}
	again := onceOf("k")
	w.refused("again", comment(again), market.CodeConflict, market.ReasonRepeated)
	if again.Claimed() {
		w.Error("the repetition has claimed")
	}
	got, err := w.Store.Answered(w.Ctx, first.Scope)
	if err != nil || got.Status != 0 || got.Fingerprint != first.Fingerprint || !got.At.Equal(w.Clock.Now()) {
		w.Errorf("claimed: %+v, %v", got, err)
	}
	w.ok(w.Store.SaveAnswer(w.Ctx, first.Scope, 201, "h", []byte("b")))
	if got, err = w.Store.Answered(w.Ctx, first.Scope); err != nil || got.Status != 201 || got.Header != "h" || string(got.Body) != "b" {
		w.Errorf("answered: %+v, %v", got, err)
	}
	// Later transactions of the same request are its own.
	w.ok(comment(first))
	// What is refused is not carried out, and may be asked again.
	o := onceOf("refused")
	_, _, err = w.Store.ReserveItem(store.WithOnce(w.Ctx, o), market.Purchase{Item: item.ID, Buyer: taro, ExpectedPrice: 1})
	w.refused("refused", err, market.CodeConflict, market.ReasonPriceChanged)
	_, err = w.Store.Answered(w.Ctx, o.Scope)
	w.refused("a refused request", err, market.CodeNotFound, "")
	w.Clock.Add(25 * time.Hour)
	if n, more, err := w.Store.ForgetAnswers(w.Ctx); n != 1 || more || err != nil {
		w.Errorf("forgotten: %d, %v, %v", n, more, err)
	}
	if got := w.reread(item.ID); got.CommentCount != 2 {
		w.Errorf("%d comments", got.CommentCount)
	}
}

// testOnceRace repeats a request while it is carried out.
func testOnceRace(w *World) {
	hana, taro := w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			ctx := store.WithOnce(w.Ctx, onceOf("race"))
			_, _, errs[i] = w.Store.CommentItem(ctx, market.CommentDraft{Item: item.ID, Author: taro, Body: "hello"})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if market.ReasonOf(err) != market.ReasonRepeated {
			w.Errorf("%v", err)
		}
	}
	if got := w.reread(item.ID); won != 1 || got.CommentCount != 1 {
		w.Errorf("%d won, %d comments", won, got.CommentCount)
	}
}
