package campaign

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// State is how far a campaign has come, as it is in the state file.
type State struct {
	Version  int    `json:"version"`
	Campaign string `json:"campaign"` // made up at the start; part of every idempotency key
	Text     string `json:"text"`     // SHA-256 of what every line is combined with
	Batch    int    `json:"batch"`

	// Position is where everything before is settled: acknowledged by the
	// gateway, or bad.
	Position position `json:"position"`
	// Clean means that nothing after Position has been sent.
	Clean bool `json:"clean"`
	// Done means that Position was the end of the input.
	Done bool `json:"done"`

	Accepted int64 `json:"accepted"` // notifications
	Requests int64 `json:"requests"`
	Lines    int64 `json:"lines"` // without blank ones
	Bad      int64 `json:"bad"`   // of these

	StartedAt time.Time `json:"started_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

const stateVersion = 1

// newID makes up the id of a campaign.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// fingerprint tells campaigns apart that must not share a state file.
func fingerprint(o *Options) (string, error) {
	b, err := json.Marshal(struct {
		App    string
		Format Format
		Text   any
	}{o.App, o.Format, o.Text})
	if err != nil {
		return "", fmt.Errorf("encode the text: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

var errOtherText = errors.New("the state file belongs to a campaign with another text, app or format: use what it was begun with, or another state file")

// loadState reads the state file, or makes a state if there is none.
func loadState(o *Options, now time.Time) (st State, found bool, err error) {
	text, err := fingerprint(o)
	if err != nil {
		return State{}, false, err
	}
	st = State{Version: stateVersion, Campaign: newID(), Text: text, Batch: o.Batch, Clean: true, StartedAt: now.UTC()}
	if o.ID != "" {
		st.Campaign = o.ID
	}
	if o.StatePath == "" {
		return st, false, nil
	}
	raw, err := os.ReadFile(o.StatePath)
	if errors.Is(err, fs.ErrNotExist) {
		return st, false, nil
	}
	if err != nil {
		return State{}, false, fmt.Errorf("read the state file: %w", err)
	}
	was := State{}
	if err := json.Unmarshal(raw, &was); err != nil || was.Version != stateVersion || was.Campaign == "" {
		return State{}, false, fmt.Errorf("%s is not a state file of this version", o.StatePath)
	}
	switch {
	case was.Text != text:
		return State{}, false, errOtherText
	case o.ID != "" && was.Campaign != o.ID:
		return State{}, false, errors.New("the state file belongs to a campaign with another id")
	case was.Batch < 1 || was.Position.Offset < 0:
		return State{}, false, fmt.Errorf("%s is damaged", o.StatePath)
	case was.Clean:
		was.Batch = o.Batch // nothing depends on the old cuts any more
	}
	return was, true, nil
}

// save writes the state file, which after a crash at any instant is the old one
// or the new one.
func (st *State) save(path string, now time.Time) error {
	if path == "" {
		return nil
	}
	st.UpdatedAt = now.UTC()
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	defer os.Remove(tmp.Name()) // in vain once it is renamed
	_, err = tmp.Write(append(raw, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a rename in the directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	err = errors.Join(d.Sync(), d.Close())
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	return nil
}
