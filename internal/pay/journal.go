package pay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/furima/furima/internal/market"
)

// kindPayout marks entries that are payouts. What has no mark is a charge.
const kindPayout = "payout"

// entry is a line of the journal: a charge as it is from then on, or a payout.
type entry struct {
	Kind     string    `json:"kind,omitempty"`
	Key      string    `json:"key"`
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	Amount   int64     `json:"amount"`
	Currency string    `json:"currency"`
	Failure  string    `json:"failure,omitempty"`
	Time     time.Time `json:"time"`
}

func entryOf(c market.Charge) entry {
	return entry{
		Key: c.Key, ID: c.ID, Status: string(c.Status), Amount: int64(c.Amount), Currency: c.Currency,
		Failure: string(c.Failure), Time: c.CreatedAt,
	}
}

func (e entry) charge() (market.Charge, error) {
	c := market.Charge{
		Key: e.Key, ID: e.ID, Status: market.ChargeStatus(e.Status), Amount: market.Money(e.Amount), Currency: e.Currency,
		Failure: market.Reason(e.Failure), CreatedAt: e.Time,
	}
	switch c.Status {
	case market.ChargeSucceeded, market.ChargeDeclined, market.ChargeRefunded:
	default:
		return market.Charge{}, fmt.Errorf("status %q is none", e.Status)
	}
	if c.Key == "" {
		return market.Charge{}, errors.New("no key")
	}
	return c, nil
}

// journal is a file of entries, one JSON object a line, that only grows. A line
// counts once its end is there: what a crash left without one is cut off by
// whoever takes the lock next.
type journal struct {
	file *os.File
	read int64 // how far the file has been read
	line int   // lines in that
}

func openJournal(name string) (*journal, error) {
	if dir := filepath.Dir(name); dir != "." {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// The file's name must survive as its lines do.
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("sync directory of %s: %w", name, err), f.Close())
	}
	return &journal{file: f}, nil
}

func (j *journal) close() error { return j.file.Close() }

// lock keeps other processes out until unlock.
func (j *journal) lock() error {
	if err := lockFile(j.file); err != nil {
		return fmt.Errorf("lock %s: %w", j.file.Name(), err)
	}
	return nil
}

func (j *journal) unlock() error {
	if err := unlockFile(j.file); err != nil {
		return fmt.Errorf("unlock %s: %w", j.file.Name(), err)
	}
	return nil
}

// catchUp reads what was written since the last time and gives each entry to
// apply. An unfinished line at the end is cut off; dropped is its length. The
// lock must be held.
func (j *journal) catchUp(apply func(entry) error) (dropped int64, err error) {
	info, err := j.file.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() == j.read {
		return 0, nil
	}
	if info.Size() < j.read {
		return 0, fmt.Errorf("%s has been cut by another program", j.file.Name())
	}
	tail, err := io.ReadAll(io.NewSectionReader(j.file, j.read, info.Size()-j.read))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", j.file.Name(), err)
	}
	for {
		line, rest, whole := bytes.Cut(tail, []byte{'\n'})
		if !whole {
			break
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("%s: line %d is no charge: %w", j.file.Name(), j.line+1, err)
		}
		if err := apply(e); err != nil {
			return 0, fmt.Errorf("%s: line %d is no charge: %w", j.file.Name(), j.line+1, err)
		}
		j.line++
		j.read += int64(len(line)) + 1
		tail = rest
	}
	if len(tail) == 0 {
		return 0, nil
	}
	return int64(len(tail)), j.cut()
}

// cut removes what is behind the last whole line.
func (j *journal) cut() error {
	if err := j.file.Truncate(j.read); err != nil {
		return fmt.Errorf("cut %s: %w", j.file.Name(), err)
	}
	return nil
}

// append writes an entry and returns when it is on disk. The lock must be held
// and the journal be caught up.
func (j *journal) append(e entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if _, err := j.file.WriteAt(b, j.read); err != nil {
		// A disk that is full may have taken a part.
		return errors.Join(fmt.Errorf("write %s: %w", j.file.Name(), err), j.cut())
	}
	if err := j.file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", j.file.Name(), err), j.cut())
	}
	j.read += int64(len(b))
	j.line++
	return nil
}
