package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

var errReportNotFound = market.Errorf(market.CodeNotFound, "", "there is no such report")

const (
	fromReports = "SELECT r.id, r.reporter_id, r.kind, r.subject_id, r.reason, r.note, r.quote, r.state, r.created_at FROM reports r"

	sqlReports = fromReports + " WHERE r.state = ? AND r.id > ? ORDER BY r.id LIMIT ?"
)

func scanReport(row scanner) (market.Report, error) {
	var r market.Report
	var created int64
	err := row.Scan((*int64)(&r.ID), (*int64)(&r.Reporter), (*string)(&r.Kind), &r.Subject, (*string)(&r.Reason), &r.Note, &r.Quote,
		(*string)(&r.State), &created)
	r.CreatedAt = sqldb.FromMicros(created)
	return r, err
}

// AddReport writes down what somebody tells the operator; d.ID is not looked
// at. The same person's second report of the same thing is the first one.
func (s *Store) AddReport(ctx context.Context, d market.ReportDraft) (market.Report, error) {
	var report market.Report
	err := s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		owner, quote, err := s.reported(ctx, tx, d)
		if err != nil {
			return err
		}
		d.ID = market.ReportID(s.ids.Next(now))
		fresh, err := s.rules.NewReport(d, owner, quote, now)
		if err != nil {
			return err
		}
		report, err = scanReport(tx.QueryRowContext(ctx, fromReports+" WHERE r.kind = ? AND r.subject_id = ? AND r.reporter_id = ?",
			string(d.Kind), d.Subject, int64(d.Reporter)))
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		report = fresh
		tx.OnCommit(func() { s.metrics.count(eventReported) })
		_, err = tx.ExecContext(ctx, "INSERT INTO reports (id, reporter_id, kind, subject_id, reason, note, quote, state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			int64(report.ID), int64(report.Reporter), string(report.Kind), report.Subject, string(report.Reason), report.Note, report.Quote,
			string(report.State), sqldb.Micros(report.CreatedAt))
		return err
	})
	if err != nil {
		return market.Report{}, failed(err, "report %s %d", d.Kind, d.Subject)
	}
	return report, nil
}

// reported returns whose the subject of a report is, and what it says.
func (s *Store) reported(ctx context.Context, tx *sqldb.Tx, d market.ReportDraft) (owner market.UserID, quote string, err error) {
	switch d.Kind {
	case market.ReportItem:
		item, err := s.readItem(ctx, tx, market.ItemID(d.Subject), false)
		if err == nil {
			err = item.CanSee(d.Reporter)
		}
		return item.Seller, item.Title, err
	case market.ReportComment:
		c, err := scanComment(tx.QueryRowContext(ctx, fromComments+" WHERE c.id = ?", d.Subject))
		if err == nil && !c.DeletedAt.IsZero() {
			err = market.ErrCommentNotFound
		}
		return c.Author, c.Body, orNotFound(err, market.ErrCommentNotFound)
	case market.ReportUser:
		err := tx.QueryRowContext(ctx, "SELECT name FROM users WHERE id = ? AND state <> ?", d.Subject, string(market.UserDeleted)).Scan(&quote)
		return market.UserID(d.Subject), quote, orNotFound(err, errUserNotFound)
	}
	return 0, "", market.Fieldf("kind", market.ReasonMalformed, "must be item, user or comment")
}

// ReportPage is a piece of the list of reports.
type ReportPage struct {
	Reports []market.Report
	Next    string // the cursor of the next page; "" = this is the last
}

// Reports returns reports in a state, oldest first: for the operator. Limit 0
// means 30; at most 100.
func (s *Store) Reports(ctx context.Context, state market.ReportState, cursor string, rows int) (ReportPage, error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return ReportPage{}, err
	}
	list := "reports/" + string(state)
	var after market.Cursor
	if cursor != "" {
		if after, err = market.DecodeCursor(key, list, cursor); err != nil {
			return ReportPage{}, err
		}
	}
	n := limit(rows)
	found, err := s.db.QueryContext(ctx, sqlReports, string(state), after.ID, n+1)
	if err != nil {
		return ReportPage{}, failed(err, "read reports")
	}
	var page ReportPage
	if err := each(found, func(row scanner) error {
		r, err := scanReport(row)
		page.Reports = append(page.Reports, r)
		return err
	}); err != nil {
		return ReportPage{}, failed(err, "read reports")
	}
	if len(page.Reports) > n {
		page.Reports = page.Reports[:n]
		page.Next = market.Cursor{ID: int64(page.Reports[n-1].ID)}.Encode(key, list)
	}
	return page, nil
}

// CloseReport writes down that the operator has looked at a report.
func (s *Store) CloseReport(ctx context.Context, id market.ReportID) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		if _, err := scanReport(tx.QueryRowContext(ctx, fromReports+" WHERE r.id = ?", int64(id))); err != nil {
			return orNotFound(err, errReportNotFound)
		}
		_, err := tx.ExecContext(ctx, "UPDATE reports SET state = ? WHERE id = ?", string(market.ReportClosed), int64(id))
		return err
	})
	return failed(err, "close report %d", int64(id))
}
