package market

import (
	"errors"
	"slices"
	"time"
)

// ReportKind is what a report is about.
type ReportKind string

// What can be reported. A problem with an order is no report: it is a dispute,
// which holds the money.
const (
	ReportItem    ReportKind = "item"
	ReportUser    ReportKind = "user"
	ReportComment ReportKind = "comment"
)

// ReportReason is why somebody reports.
type ReportReason string

// ReportReasons returns every reason.
func ReportReasons() []ReportReason {
	return []ReportReason{"prohibited", "counterfeit", "fraud", "harassment", "spam", "other"}
}

// ReportState is whether an operator has looked at a report.
type ReportState string

// The states of a report.
const (
	ReportOpen   ReportState = "open"
	ReportClosed ReportState = "closed"
)

// Report is what somebody tells the operator about another's item, comment or
// behaviour.
type Report struct {
	ID        ReportID
	Reporter  UserID
	Kind      ReportKind
	Subject   int64 // the id of an item, user or comment, as Kind says
	Reason    ReportReason
	Note      string
	Quote     string // what was reported, as it was then
	State     ReportState
	CreatedAt time.Time
}

// SubjectID returns the external form of the subject's id.
func (r Report) SubjectID() string {
	switch r.Kind {
	case ReportItem:
		return ItemID(r.Subject).String()
	case ReportComment:
		return CommentID(r.Subject).String()
	}
	return UserID(r.Subject).String()
}

// ReportDraft is what somebody gives to report.
type ReportDraft struct {
	ID       ReportID
	Reporter UserID
	Kind     ReportKind
	Subject  int64
	Reason   ReportReason
	Note     string
}

// NewReport checks a report. Whether its subject exists and may be seen is the
// caller's business; owner is whose it is, quote what it says.
func (r Rules) NewReport(d ReportDraft, owner UserID, quote string, now time.Time) (Report, error) {
	note, errNote := text("note", d.Note, r.CommentRunes, d.Reason == "other", cleanText)
	var errReason error
	if !slices.Contains(ReportReasons(), d.Reason) {
		errReason = Fieldf("reason", ReasonMalformed, "must be prohibited, counterfeit, fraud, harassment, spam or other")
	}
	if err := errors.Join(errReason, errNote); err != nil {
		return Report{}, err
	}
	if owner == d.Reporter {
		return Report{}, Errorf(CodeConflict, ReasonOwnItem, "nobody reports themselves")
	}
	return Report{
		ID: d.ID, Reporter: d.Reporter, Kind: d.Kind, Subject: d.Subject, Reason: d.Reason, Note: note, Quote: quote,
		State: ReportOpen, CreatedAt: now.UTC(),
	}, nil
}
