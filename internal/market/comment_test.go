package market_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/market"
)

func TestDeleteComment(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	item := market.Item{ID: 7, Seller: 1, State: market.ItemSold}
	c := market.Comment{ID: 9, Item: 7, Author: 2, AuthorName: "Taro", Body: "hello", CreatedAt: now}
	want := c
	want.Body, want.DeletedAt = "", now.Add(time.Hour)
	for _, by := range []market.UserID{1, 2} {
		got, changed, err := c.Delete(item, by, now.Add(time.Hour))
		if diff := cmp.Diff(want, got); diff != "" || !changed || err != nil {
			t.Errorf("by %d: %v, %v\n%s", by, changed, err, diff)
		}
		again, changed, err := got.Delete(item, by, now.Add(2*time.Hour))
		if diff := cmp.Diff(want, again); diff != "" || changed || err != nil {
			t.Errorf("again by %d: %v, %v\n%s", by, changed, err, diff)
		}
	}
	if _, _, err := c.Delete(item, 3, now); market.CodeOf(err) != market.CodeForbidden || market.ReasonOf(err) != market.ReasonNotYours {
		t.Errorf("a stranger: %v", err)
	}
	if _, _, err := c.Delete(market.Item{ID: 8, Seller: 1}, 1, now); market.CodeOf(err) != market.CodeNotFound {
		t.Errorf("another item: %v", err)
	}
}

func TestNewReport(t *testing.T) {
	rules := market.DefaultRules()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	draft := market.ReportDraft{ID: 5, Reporter: 1, Kind: market.ReportItem, Subject: 7, Reason: "fraud", Note: " a  note "}
	got, err := rules.NewReport(draft, 2, "Chair", now)
	want := market.Report{ID: 5, Reporter: 1, Kind: market.ReportItem, Subject: 7, Reason: "fraud", Note: "a  note", Quote: "Chair", State: market.ReportOpen, CreatedAt: now}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got.SubjectID() != market.ItemID(7).String() {
		t.Errorf("subject %s", got.SubjectID())
	}
	for name, c := range map[string]struct {
		change func(*market.ReportDraft)
		owner  market.UserID
		code   market.Code
		field  string
	}{
		"own":                {func(*market.ReportDraft) {}, 1, market.CodeConflict, ""},
		"unknown reason":     {func(d *market.ReportDraft) { d.Reason = "dull" }, 2, market.CodeInvalid, "reason"},
		"other without note": {func(d *market.ReportDraft) { d.Reason, d.Note = "other", " " }, 2, market.CodeInvalid, "note"},
	} {
		d := draft
		c.change(&d)
		_, err := rules.NewReport(d, c.owner, "", now)
		if f := market.Faults(err); len(f) != 1 || f[0].Code != c.code || f[0].Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}
