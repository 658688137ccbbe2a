package api

import (
	"context"
	"net/http"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
)

type reportIn struct {
	Body client.NewReport
}

type reportOutput struct {
	CacheControl string `header:"Cache-Control" doc:"Nobody may keep it."`
	Body         client.Report
}

// addReport tells the operator. A report of an order is a dispute.
func (a *API) addReport(ctx context.Context, in *reportIn) (*reportOutput, error) {
	d := market.ReportDraft{
		Reporter: callerOf(ctx).user, Kind: market.ReportKind(in.Body.Kind), Reason: market.ReportReason(in.Body.Reason), Note: in.Body.Note,
	}
	var err error
	switch in.Body.Kind {
	case "item":
		var id market.ItemID
		id, err = market.ParseItemID(in.Body.SubjectID)
		d.Subject = int64(id)
	case "comment":
		var id market.CommentID
		id, err = market.ParseCommentID(in.Body.SubjectID)
		d.Subject = int64(id)
	case "user":
		var id market.UserID
		id, err = market.ParseUserID(in.Body.SubjectID)
		d.Subject = int64(id)
	case "order":
		return a.reportOrder(ctx, in.Body)
	}
	if err != nil {
		return nil, errReportSubject
	}
	r, err := a.store.AddReport(ctx, d)
	if err != nil {
		return nil, err
	}
	return &reportOutput{CacheControl: noStore, Body: client.Report{
		ID: r.ID.String(), Kind: string(r.Kind), SubjectID: r.SubjectID(), Reason: string(r.Reason), CreatedAt: client.TimeOf(r.CreatedAt),
	}}, nil
}

var errReportSubject = invalidField("/subject_id", "is not the id of what kind says")

func (a *API) reportOrder(ctx context.Context, r client.NewReport) (*reportOutput, error) {
	id, err := market.ParseOrderID(r.SubjectID)
	if err != nil {
		return nil, errReportSubject
	}
	o, change, err := a.store.DisputeOrder(ctx, id, callerOf(ctx).user, r.Note)
	if err != nil {
		return nil, err
	}
	a.purge(change)
	return &reportOutput{CacheControl: noStore, Body: client.Report{
		ID: o.ID.String(), Kind: r.Kind, SubjectID: o.ID.String(), Reason: r.Reason, CreatedAt: client.TimeOf(o.UpdatedAt),
	}}, nil
}

// reportRoutes are the operations of those who find something wrong.
func (a *API) reportRoutes(small int64) {
	register(a, operation{
		id: "addReport", method: http.MethodPost, path: "/v1/reports", access: accessUser, tag: "people", maxBody: small, status: http.StatusCreated,
		errors:  []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
		summary: "Report something",
		about: "An item, a person or a comment that the operator should look at; the same thing reported twice is one report. " +
			"An order, by its buyer: it is disputed, as by POST /v1/orders/{id}/problem.",
	}, a.addReport)
}
