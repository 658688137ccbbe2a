package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

func testLikes(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	like := func(f func(context.Context, market.ItemID, market.UserID) (int64, store.Change, error), by market.UserID, want int64, tags ...string) {
		w.Helper()
		n, change, err := f(w.Ctx, item.ID, by)
		if n != want || err != nil {
			w.Errorf("%d likes, %v; want %d", n, err, want)
		}
		w.tagged("like", change, tags...)
		if got := w.reread(item.ID); got.LikeCount != want || got.Version != 1 {
			w.Errorf("the item has %d likes at version %d, want %d at 1", got.LikeCount, got.Version, want)
		}
	}
	tag := "detail:" + item.ID.String()
	like(w.Store.LikeItem, taro, 1, tag)
	like(w.Store.LikeItem, taro, 1) // again
	like(w.Store.LikeItem, jun, 2, tag)
	liked := func(by market.UserID, want ...market.ItemID) {
		w.Helper()
		got, err := w.Store.Liked(w.Ctx, by, item.ID, item.ID+1, item.ID+2)
		if err != nil || !slices.Equal(got, want) {
			w.Errorf("user %d likes %v, %v; want %v", by, got, err, want)
		}
	}
	liked(taro, item.ID)
	liked(hana)
	like(w.Store.UnlikeItem, taro, 1, tag)
	like(w.Store.UnlikeItem, taro, 1) // again
	like(w.Store.UnlikeItem, hana, 1) // never liked
	liked(taro)
	like(w.Store.LikeItem, taro, 2, tag)

	_, _, err := w.Store.LikeItem(w.Ctx, item.ID, hana)
	w.refused("one's own", err, market.CodeConflict, market.ReasonOwnItem)
	_, _, err = w.Store.LikeItem(w.Ctx, item.ID+1, taro)
	w.refused("no item", err, market.CodeNotFound, "")
	_, _, err = w.Store.UnlikeItem(w.Ctx, item.ID+1, taro)
	w.refused("no item to unlike", err, market.CodeNotFound, "")
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Event: market.ItemPause})
	w.ok(err)
	_, _, err = w.Store.LikeItem(w.Ctx, item.ID, w.User())
	w.refused("a paused one", err, market.CodeNotFound, "")
	if _, _, err := w.Store.UnlikeItem(w.Ctx, item.ID, taro); err != nil {
		w.Errorf("a like of a paused item cannot be taken back: %v", err)
	}
}

func testLikesRace(w *World) {
	hana := w.User()
	item := w.Item(hana, tables, 3000)
	var people []market.UserID
	for range 10 {
		people = append(people, w.User())
	}
	errs := everyone(40, func(i int) error { // everybody likes four times at once
		_, _, err := w.Store.LikeItem(w.Ctx, item.ID, people[i%10])
		return err
	})
	if got := tally(errs); got != "ok 40" {
		w.Errorf("%s", got)
	}
	if n := w.reread(item.ID).LikeCount; n != 10 {
		w.Errorf("%d likes of 10 people", n)
	}
	w.jobs("ten likes at once", "item.liked ready 1", "item.liked scheduled 1")
	errs = everyone(20, func(i int) error { // half of them come back while the other half leaves
		if i%2 == 0 {
			_, _, err := w.Store.UnlikeItem(w.Ctx, item.ID, people[i/2])
			return err
		}
		_, _, err := w.Store.LikeItem(w.Ctx, item.ID, people[i/2])
		return err
	})
	if got := tally(errs); got != "ok 20" {
		w.Errorf("%s", got)
	}
}

func testLikeNotices(w *World) {
	hana := w.User()
	item := w.Item(hana, tables, 3000)
	like := func() {
		w.Helper()
		_, _, err := w.Store.LikeItem(w.Ctx, item.ID, w.User())
		w.ok(err)
	}
	like()
	w.jobs("the first like", "item.liked ready 1")
	w.Clock.Add(10 * time.Minute)
	like()
	w.jobs("the second, soon after", "item.liked ready 1", "item.liked scheduled 1")
	w.Clock.Add(10 * time.Minute)
	like()
	w.jobs("the third is told with the second", "item.liked ready 1", "item.liked scheduled 1")
	w.Clock.Add(3 * time.Hour)
	like()
	if got := w.runJobs(3)[store.KindItemLiked]; len(got) != 3 {
		w.Errorf("four likes in three and a half hours are told by %d jobs, want 3", len(got))
	}
	w.jobs("after all were told")
}

func testComments(w *World) {
	hana, taro := w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	var want []market.Comment
	for i := range 7 {
		w.Clock.Add(time.Second)
		author := []market.UserID{taro, hana}[i%2]
		c, change, err := w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: author, Body: fmt.Sprintf(" number %d 🪑", i)})
		w.ok(err)
		w.tagged("comment", change, "detail:"+item.ID.String())
		want = append(want, market.Comment{
			ID: c.ID, Item: item.ID, Author: author, AuthorName: []string{"Person 2", "Person 1"}[i%2], Body: fmt.Sprintf("number %d 🪑", i), CreatedAt: w.Clock.Now(),
		})
		if diff := gocmp.Diff(want[i], c); diff != "" {
			w.Errorf("written (-want +got):\n%s", diff)
		}
		got, err := w.Store.Comment(w.Ctx, c.ID)
		if diff := gocmp.Diff(want[i], got); err != nil || diff != "" {
			w.Errorf("read: %v (-want +got):\n%s", err, diff)
		}
	}
	w.jobs("the seller hears of others' comments alone", "item.commented ready 4")
	if got := w.reread(item.ID); got.CommentCount != 7 || got.Version != 1 {
		w.Errorf("%d comments at version %d", got.CommentCount, got.Version)
	}
	for _, limit := range []int{1, 3, 7, 0} {
		var got []market.Comment
		cursor := ""
		for {
			page, err := w.Store.Comments(w.Ctx, item.ID, cursor, limit)
			w.ok(err)
			got = append(got, page.Comments...)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			w.Errorf("by %d (-want +got):\n%s", limit, diff)
		}
	}
	if page, err := w.Store.Comments(w.Ctx, item.ID+1, "", 0); err != nil || len(page.Comments) != 0 {
		w.Errorf("comments of no item: %+v, %v", page, err)
	}
	_, _, err := w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID + 1, Author: taro, Body: "x"})
	w.refused("no item", err, market.CodeNotFound, "")
	_, _, err = w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: 12345, Body: "x"})
	w.refused("nobody's comment", err, market.CodeNotFound, "")
	_, _, err = w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: taro, Body: " \n"})
	w.refused("nothing", err, market.CodeInvalid, market.ReasonRequired)
	_, err = w.Store.Comment(w.Ctx, 12345)
	w.refused("no comment", err, market.CodeNotFound, "")

	errs := everyone(20, func(i int) error {
		_, _, err := w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: taro, Body: fmt.Sprint(i)})
		return err
	})
	if got := tally(errs); got != "ok 20" {
		w.Errorf("twenty at once: %s", got)
	}
	if got := w.reread(item.ID); got.CommentCount != 27 {
		w.Errorf("%d comments, want 27", got.CommentCount)
	}
}

// runJobs works on the jobs that are due until n have been done, and returns
// their payloads by kind.
func (w *World) runJobs(n int) map[string][]json.RawMessage {
	w.Helper()
	type done struct {
		kind    string
		payload []byte
	}
	work := make(chan done)
	handler := func(_ context.Context, j *job.Job) error {
		work <- done{j.Kind, slices.Clone(j.Payload)}
		return nil
	}
	handlers := map[string]job.Handler{}
	for _, kind := range store.Kinds() {
		handlers[kind] = handler
	}
	handlers[store.KindItemIndex] = func(context.Context, *job.Job) error { return nil } // which tells nobody
	ctx, cancel := context.WithTimeout(w.Ctx, time.Minute)
	defer cancel()
	queueCtx, stopQueue := context.WithCancel(context.WithoutCancel(w.Ctx))
	queueDone := make(chan error, 1)
	go func() { queueDone <- w.Queue.Run(queueCtx) }()
	workerDone := make(chan error, 1)
	workerCtx, stopWorker := context.WithCancel(ctx)
	go func() {
		workerDone <- w.Queue.NewWorker(job.WorkerOptions{Handlers: handlers, Concurrency: 1}).Run(workerCtx)
	}()
	got := map[string][]json.RawMessage{}
	for range n {
		select {
		case d := <-work:
			got[d.kind] = append(got[d.kind], d.payload)
		case <-ctx.Done():
			w.Errorf("%d jobs did not come: %v", n, got)
		}
	}
	stopWorker()
	err := <-workerDone
	stopQueue()
	if err := errors.Join(err, <-queueDone); err != nil {
		w.Error(err)
	}
	return got
}
