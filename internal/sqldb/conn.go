package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// maxStatements is how many statements a connection keeps prepared. The texts of a
// program are few and constant; of those that are made up (lists of many
// lengths) the least used go. A server has max_prepared_stmt_count for all
// connections together, 16,382 by default.
const maxStatements = 256

// connector makes connections that keep their statements prepared: to prepare
// one is a third of the time of a primary-key read in SQLite, and a round trip
// to a server. database/sql could keep them too, but as objects that callers
// have to hold, and with a lock that all connections share.
type connector struct {
	driver.Connector
	setup []string // statements that begin a connection
	// patient: statements do not end with their context, only before they begin.
	// In SQLite a context that can end costs a goroutine for each statement.
	patient bool
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(fullConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver lacks something"), inner.Close())
	}
	for _, text := range c.setup {
		if _, err := full.ExecContext(ctx, text, nil); err != nil {
			return nil, errors.Join(err, inner.Close())
		}
	}
	return &conn{fullConn: full, patient: c.patient, byText: map[string]*statement{}}, nil
}

// fullConn is what both drivers offer.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// fullStmt is what both drivers' statements offer.
type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is a connection with its prepared statements. database/sql sees to it
// that one goroutine uses it at a time.
type conn struct {
	fullConn
	patient bool
	byText  map[string]*statement
	list    statement // ring of all, the last used first
}

// statement is a prepared statement in a conn.
type statement struct {
	fullStmt
	text       string
	busy       bool // its rows are being read
	prev, next *statement
}

func (s *statement) unlink() { s.prev.next, s.next.prev = s.next, s.prev }

func (c *conn) toFront(s *statement) {
	l := &c.list
	if l.next == nil {
		l.next, l.prev = l, l
	}
	s.prev, s.next = l, l.next
	s.prev.next, s.next.prev = s, s
}

// keeps reports whether to keep a statement prepared. Others run as they are: it
// would be of no use, or a server cannot prepare them.
func keeps(text string) bool {
	if len(text) < 6 {
		return false
	}
	switch text[0] {
	case 'S', 'I', 'U', 'D', 'W':
		return strings.HasPrefix(text, "SELECT ") || strings.HasPrefix(text, "INSERT ") || strings.HasPrefix(text, "UPDATE ") ||
			strings.HasPrefix(text, "DELETE ") || strings.HasPrefix(text, "WITH ")
	}
	return false
}

// statement returns the prepared statement for a text. Free is for one that could not
// be kept.
func (c *conn) statement(ctx context.Context, text string) (s *statement, kept bool, err error) {
	s = c.byText[text]
	if s != nil && !s.busy {
		if c.list.next != s {
			s.unlink()
			c.toFront(s)
		}
		return s, true, nil
	}
	prepared, err := c.fullConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, false, err
	}
	full, ok := prepared.(fullStmt)
	if !ok {
		return nil, false, errors.Join(errors.New("the driver lacks something"), prepared.Close())
	}
	made := &statement{fullStmt: full, text: text}
	if s != nil { // busy: a second one of the same text, for once
		return made, false, nil
	}
	if len(c.byText) >= maxStatements {
		if err := c.evict(); err != nil {
			return nil, false, errors.Join(err, made.Close())
		}
	}
	c.byText[text] = made
	c.toFront(made)
	return made, true, nil
}

// evict closes the statement whose last use is longest ago.
func (c *conn) evict() error {
	for s := c.list.prev; s != &c.list; s = s.prev {
		if !s.busy {
			return c.drop(s)
		}
	}
	return nil
}

func (c *conn) drop(s *statement) error {
	s.unlink()
	delete(c.byText, s.text)
	return s.Close()
}

// outdated reports whether a server has forgotten a prepared statement. It has
// not run.
func outdated(err error) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (e.Number == 1243 || e.Number == 1615) // unknown statement; needs to be prepared again
}

// use runs f with the prepared statement for a text, once more if the server
// has forgotten it.
func (c *conn) use(ctx context.Context, text string, f func(s *statement, kept bool) error) error {
	for try := 1; ; try++ {
		s, kept, err := c.statement(ctx, text)
		if err != nil {
			return err
		}
		err = f(s, kept)
		if err == nil || !kept || !outdated(err) {
			return err
		}
		if derr := c.drop(s); derr != nil || try == 2 {
			return err
		}
	}
}

func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (res driver.Result, err error) {
	if c.patient {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ctx = context.WithoutCancel(ctx)
	}
	if !keeps(text) {
		return c.fullConn.ExecContext(ctx, text, args)
	}
	err = c.use(ctx, text, func(s *statement, kept bool) error {
		var err error
		res, err = s.ExecContext(ctx, args)
		if !kept {
			err = errors.Join(err, s.Close())
		}
		return err
	})
	return res, err
}

func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (r driver.Rows, err error) {
	if c.patient {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ctx = context.WithoutCancel(ctx)
	}
	if !keeps(text) {
		return c.fullConn.QueryContext(ctx, text, args)
	}
	err = c.use(ctx, text, func(s *statement, kept bool) error {
		inner, err := s.QueryContext(ctx, args)
		if err != nil {
			if !kept {
				err = errors.Join(err, s.Close())
			}
			return err
		}
		s.busy = true
		r = &rows{inner, s, kept}
		return nil
	})
	return r, err
}

// rows free their statement when they are closed.
type rows struct {
	driver.Rows
	s    *statement
	kept bool
}

func (r *rows) Close() error {
	err := r.Rows.Close()
	r.s.busy = false
	if !r.kept && r.s.fullStmt != nil {
		err = errors.Join(err, r.s.Close())
		r.s.fullStmt = nil
	}
	return err
}

// CheckNamedValue makes a value what the drivers take. The common types pass
// without a look at their type by reflection.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	switch x := v.Value.(type) {
	case int64, string, []byte, nil, bool, float64:
		return nil
	case int:
		v.Value = int64(x)
		return nil
	}
	if checker, ok := c.fullConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	var err error
	v.Value, err = driver.DefaultParameterConverter.ConvertValue(v.Value)
	return err
}

// Close closes what is prepared, then the connection.
func (c *conn) Close() error {
	var err error
	for _, s := range c.byText {
		if !s.busy {
			err = errors.Join(err, s.Close())
		}
	}
	c.byText = nil
	return errors.Join(err, c.fullConn.Close())
}
