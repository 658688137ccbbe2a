package storetest

import (
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

func testCommentsDeleted(w *World) {
	hana, taro, jun := w.User(), w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	comment := func() market.Comment {
		w.Clock.Add(time.Second)
		c, _, err := w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: taro, Body: "hello"})
		w.ok(err)
		return c
	}
	first, second, third := comment(), comment(), comment()
	w.Clock.Add(time.Minute)
	_, err := w.Store.DeleteComment(w.Ctx, item.ID, first.ID, jun)
	w.refused("a stranger", err, market.CodeForbidden, market.ReasonNotYours)
	_, err = w.Store.DeleteComment(w.Ctx, w.Item(hana, tables, 500).ID, first.ID, taro)
	w.refused("another item", err, market.CodeNotFound, "")
	_, err = w.Store.DeleteComment(w.Ctx, item.ID, third.ID+1, taro)
	w.refused("no comment", err, market.CodeNotFound, "")
	change, err := w.Store.DeleteComment(w.Ctx, item.ID, first.ID, taro)
	w.ok(err)
	w.tagged("by its author", change, "detail:"+item.ID.String())
	change, err = w.Store.DeleteComment(w.Ctx, item.ID, first.ID, taro)
	w.ok(err)
	w.tagged("again", change)
	_, err = w.Store.DeleteComment(w.Ctx, item.ID, second.ID, hana)
	w.ok(err)
	first.Body, first.DeletedAt = "", w.Clock.Now()
	second.Body, second.DeletedAt = "", w.Clock.Now()
	page, err := w.Store.Comments(w.Ctx, item.ID, "", 0)
	w.ok(err)
	if diff := gocmp.Diff([]market.Comment{first, second, third}, page.Comments); diff != "" {
		w.Errorf("comments (-want +got):\n%s", diff)
	}
	if n := w.reread(item.ID).CommentCount; n != 1 {
		w.Errorf("%d comments are counted", n)
	}
	errs := everyone(8, func(i int) error {
		_, err := w.Store.DeleteComment(w.Ctx, item.ID, third.ID, []market.UserID{hana, taro}[i%2])
		return err
	})
	if got := tally(errs); got != "ok 8" {
		w.Errorf("%s", got)
	}
	if n := w.reread(item.ID).CommentCount; n != 0 {
		w.Errorf("%d comments are counted in the end", n)
	}
}

func testReports(w *World) {
	hana, taro := w.User(), w.User()
	item := w.Item(hana, tables, 3000)
	c, _, err := w.Store.CommentItem(w.Ctx, market.CommentDraft{Item: item.ID, Author: hana, Body: "rude"})
	w.ok(err)
	report := func(kind market.ReportKind, subject int64) (market.Report, error) {
		w.Clock.Add(time.Second)
		return w.Store.AddReport(w.Ctx, market.ReportDraft{Reporter: taro, Kind: kind, Subject: subject, Reason: "other", Note: "look"})
	}
	var want []market.Report
	for _, s := range []struct {
		kind    market.ReportKind
		subject int64
		quote   string
	}{{market.ReportItem, int64(item.ID), item.Title}, {market.ReportComment, int64(c.ID), "rude"}, {market.ReportUser, int64(hana), "Person 1"}} {
		got := must[market.Report](w)(report(s.kind, s.subject))
		expect := market.Report{
			ID: got.ID, Reporter: taro, Kind: s.kind, Subject: s.subject, Reason: "other", Note: "look", Quote: s.quote, State: market.ReportOpen, CreatedAt: w.Clock.Now(),
		}
		if diff := gocmp.Diff(expect, got); diff != "" {
			w.Errorf("%s (-want +got):\n%s", s.kind, diff)
		}
		if again, err := report(s.kind, s.subject); err != nil || again != got {
			w.Errorf("%s again: %+v, %v", s.kind, again, err)
		}
		want = append(want, expect)
	}
	// What was reported can be read although it is gone.
	_, err = w.Store.DeleteComment(w.Ctx, item.ID, c.ID, hana)
	w.ok(err)
	page, err := w.Store.Reports(w.Ctx, market.ReportOpen, "", 2)
	w.ok(err)
	rest, err := w.Store.Reports(w.Ctx, market.ReportOpen, page.Next, 2)
	w.ok(err)
	if diff := gocmp.Diff(want, append(page.Reports, rest.Reports...)); diff != "" || page.Next == "" || rest.Next != "" {
		w.Errorf("open (-want +got):\n%s", diff)
	}
	w.ok(w.Store.CloseReport(w.Ctx, want[1].ID))
	page, err = w.Store.Reports(w.Ctx, market.ReportClosed, "", 0)
	w.ok(err)
	want[1].State = market.ReportClosed
	if diff := gocmp.Diff(want[1:2], page.Reports); diff != "" {
		w.Errorf("closed (-want +got):\n%s", diff)
	}
	w.refused("close none", w.Store.CloseReport(w.Ctx, want[2].ID+1), market.CodeNotFound, "")

	_, err = report(market.ReportComment, int64(c.ID))
	w.refused("a deleted comment", err, market.CodeNotFound, "")
	_, err = report(market.ReportItem, int64(item.ID)+1)
	w.refused("no item", err, market.CodeNotFound, "")
	_, err = report(market.ReportUser, int64(taro))
	w.refused("oneself", err, market.CodeConflict, market.ReasonOwnItem)
	_, err = report("weather", 1)
	w.refused("no kind", err, market.CodeInvalid, market.ReasonMalformed)
	_, _, err = w.Store.EditItem(w.Ctx, market.ItemEdit{ID: item.ID, By: hana, Event: market.ItemPause})
	w.ok(err)
	_, err = report(market.ReportItem, int64(item.ID))
	w.refused("a paused item", err, market.CodeNotFound, "")
}
