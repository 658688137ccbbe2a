package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// forgetful is a connection whose server forgets prepared statements.
type forgetful struct {
	fullConn
	prepared, executed, closed int
	fail                       []error // what the next executions return
}

type forgetfulStmt struct {
	fullStmt
	c *forgetful
}

func (c *forgetful) PrepareContext(context.Context, string) (driver.Stmt, error) {
	c.prepared++
	return &forgetfulStmt{c: c}, nil
}

func (s *forgetfulStmt) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	s.c.executed++
	if len(s.c.fail) > 0 {
		err := s.c.fail[0]
		s.c.fail = s.c.fail[1:]
		return nil, err
	}
	return driver.RowsAffected(1), nil
}

func (s *forgetfulStmt) Close() error {
	s.c.closed++
	return nil
}

func TestForgottenStatementsArePreparedAgain(t *testing.T) {
	unknown := &mysql.MySQLError{Number: 1243}
	other := errors.New("other")
	for name, test := range map[string]struct {
		fail     []error
		want     error
		executed int
	}{
		"forgotten once":  {[]error{unknown}, nil, 2},
		"forgotten twice": {[]error{unknown, &mysql.MySQLError{Number: 1615}}, &mysql.MySQLError{Number: 1615}, 2},
		"another error":   {[]error{other}, other, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inner := &forgetful{}
			c := &conn{fullConn: inner, byText: map[string]*statement{}}
			if _, err := c.ExecContext(t.Context(), "UPDATE t SET a = ?", nil); err != nil {
				t.Fatal(err)
			}
			inner.fail, inner.executed = test.fail, 0
			if _, err := c.ExecContext(t.Context(), "UPDATE t SET a = ?", nil); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if inner.executed != test.executed {
				t.Errorf("executed %d times, want %d", inner.executed, test.executed)
			}
			if kept := len(c.byText); inner.prepared-inner.closed != kept {
				t.Errorf("%d prepared, %d closed, %d kept", inner.prepared, inner.closed, kept)
			}
		})
	}
}
