package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxStatements bounds the statements that are kept prepared. Texts are few and
// constant; a program that makes them up would only lose the gain.
const maxStatements = 256

// statements keeps reading statements prepared: a third of the time of a
// primary-key read is its preparation.
type statements struct {
	db     *sql.DB
	mu     sync.RWMutex
	byText map[string]*sql.Stmt
}

// get returns the prepared statement for a text, or nil if it cannot be
// prepared or there are too many: then the text is used as it is.
func (s *statements) get(ctx context.Context, text string) *sql.Stmt {
	s.mu.RLock()
	st, full := s.byText[text], len(s.byText) >= maxStatements
	s.mu.RUnlock()
	if st != nil || full {
		return st
	}
	st, err := s.db.PrepareContext(ctx, text)
	if err != nil {
		return nil // the caller's own use of the text tells the error
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.byText[text]; other != nil {
		_ = st.Close() // somebody was quicker
		return other
	}
	if s.byText == nil {
		s.byText = map[string]*sql.Stmt{}
	}
	s.byText[text] = st
	return st
}

func (s *statements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, st := range s.byText {
		err = errors.Join(err, st.Close())
	}
	s.byText = nil
	return err
}
