package api_test

import (
	"testing"

	"github.com/furima/furima/client"
)

func TestDeleteComment(t *testing.T) {
	b := newBench(t, options{noQueue: true})
	ctx := t.Context()
	ken, _ := b.person("Ken")
	eve, eveMe := b.person("Eve")
	mal, _ := b.person("Mal")
	item := b.item(ken, "Chair", 900)
	c, err := eve.Comment(ctx, item.ID, "is it blue?")
	must(t, err)
	must(t, errOf(b.client.Comments(ctx, item.ID, "", 0))) // in the cache
	for what, want := range map[string]struct {
		err    error
		status int
	}{
		"a stranger":   {mal.DeleteComment(ctx, item.ID, c.ID), 403},
		"nobody":       {b.client.DeleteComment(ctx, item.ID, c.ID), 401},
		"no comment":   {eve.DeleteComment(ctx, item.ID, "cm_0000000000001"), 404},
		"no id":        {eve.DeleteComment(ctx, item.ID, "x"), 404},
		"no item":      {eve.DeleteComment(ctx, "it_0000000000001", c.ID), 404},
		"another item": {eve.DeleteComment(ctx, b.item(ken, "Table", 900).ID, c.ID), 404},
	} {
		if p := problem(t, want.err); p.Status != want.status {
			t.Errorf("%s: %v, want %d", what, p, want.status)
		}
	}
	must(t, ken.DeleteComment(ctx, item.ID, c.ID)) // the seller
	must(t, eve.DeleteComment(ctx, item.ID, c.ID)) // again, the author
	page, err := b.client.Comments(ctx, item.ID, "", 0)
	must(t, err)
	want := client.Comment{ID: c.ID, Author: client.Person{ID: eveMe.ID, Name: "Eve"}, Deleted: true, CreatedAt: c.CreatedAt}
	if len(page.Items) != 1 || page.Items[0] != want {
		t.Errorf("%+v", page.Items)
	}
	if got, err := b.client.Item(ctx, item.ID); err != nil || got.CommentCount != 0 {
		t.Errorf("%d comments, %v", got.CommentCount, err)
	}
}

func TestReports(t *testing.T) {
	tr := newTrade(t, options{noQueue: true})
	ctx := t.Context()
	c, err := tr.ken.Comment(ctx, tr.bench.item(tr.ken, "Table", 900).ID, "rude")
	must(t, err)
	for kind, id := range map[string]string{"item": tr.item.ID, "user": tr.kenID, "comment": c.ID} {
		got, err := tr.mal.Report(ctx, client.NewReport{Kind: kind, SubjectID: id, Reason: "spam"})
		if err != nil || got.Kind != kind || got.SubjectID != id || got.Reason != "spam" || got.ID == "" || got.CreatedAt.IsZero() {
			t.Errorf("%s: %+v, %v", kind, got, err)
		}
		if again, err := tr.mal.Report(ctx, client.NewReport{Kind: kind, SubjectID: id, Reason: "fraud"}); err != nil || again != got {
			t.Errorf("%s again: %+v, %v", kind, again, err)
		}
	}
	for what, c := range map[string]struct {
		who    *client.Client
		report client.NewReport
		status int
	}{
		"nobody":            {tr.client, client.NewReport{Kind: "item", SubjectID: tr.item.ID, Reason: "spam"}, 401},
		"own":               {tr.ken, client.NewReport{Kind: "item", SubjectID: tr.item.ID, Reason: "spam"}, 409},
		"no such kind":      {tr.mal, client.NewReport{Kind: "sky", SubjectID: tr.item.ID, Reason: "spam"}, 422},
		"no such reason":    {tr.mal, client.NewReport{Kind: "item", SubjectID: tr.item.ID, Reason: "dull"}, 422},
		"other without":     {tr.mal, client.NewReport{Kind: "item", SubjectID: tr.item.ID, Reason: "other"}, 422},
		"another's id":      {tr.mal, client.NewReport{Kind: "user", SubjectID: tr.item.ID, Reason: "spam"}, 422},
		"no such item":      {tr.mal, client.NewReport{Kind: "item", SubjectID: "it_0000000000001", Reason: "spam"}, 404},
		"a strangers order": {tr.mal, client.NewReport{Kind: "order", SubjectID: tr.order.ID, Reason: "fraud"}, 404},
		"too early":         {tr.eve, client.NewReport{Kind: "order", SubjectID: tr.order.ID, Reason: "fraud"}, 409},
	} {
		if p := problem(t, errOf(c.who.Report(ctx, c.report))); p.Status != c.status {
			t.Errorf("%s: %v, want %d", what, p, c.status)
		}
	}
	must(t, errOf(tr.ken.Ship(ctx, tr.order.ID)))
	got, err := tr.eve.Report(ctx, client.NewReport{Kind: "order", SubjectID: tr.order.ID, Reason: "fraud", Note: "it is broken"})
	if err != nil || got.ID != tr.order.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if o, err := tr.ken.Order(ctx, tr.order.ID); err != nil || o.State != client.Disputed || o.Note != "it is broken" {
		t.Errorf("%+v, %v", o, err)
	}
}
