package push

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/sqldb"
)

// keepKeys is how long a request that is repeated counts once.
const keepKeys = 24 * time.Hour

// maxKeyBytes is how long an idempotency key may be.
const maxKeyBytes = 255

// requestKey is an idempotency key as it is stored. Keys of different apps have
// nothing to do with each other.
type requestKey struct{ hash, fingerprint string }

func newRequestKey(app string, req Request) requestKey {
	if req.Key == "" {
		return requestKey{}
	}
	h := sha256.Sum256([]byte(app + "\x00" + req.Key))
	return requestKey{hex.EncodeToString(h[:]), hex.EncodeToString(req.Fingerprint[:])}
}

// enqueueOnce enqueues the jobs with a note about their key, unless there is
// such a note: then it returns what the first request was answered.
func (g *Gateway) enqueueOnce(ctx context.Context, key requestKey, n int, jobs []job.New) (out Accepted, repeated bool, err error) {
	for try := 0; ; try++ {
		err = g.queue.EnqueueFunc(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			var err error
			out, repeated, err = g.enqueueKeyed(ctx, tx, key, n, jobs)
			return err
		})
		// Another process may have been quicker between our look and our note.
		if !sqldb.IsDuplicate(err) || try == 2 {
			break
		}
	}
	if err != nil {
		return Accepted{}, false, fmt.Errorf("accept %d notifications once: %w", n, err)
	}
	return out, repeated, nil
}

func (g *Gateway) enqueueKeyed(ctx context.Context, tx *sqldb.Tx, key requestKey, n int, jobs []job.New) (out Accepted, repeated bool, err error) {
	out, fingerprint, err := readKey(ctx, tx, key.hash)
	if err != nil {
		return Accepted{}, false, err
	}
	if out.ID != "" {
		if fingerprint != key.fingerprint {
			return Accepted{}, false, &InvalidError{Fields: []FieldError{{Pointer: "header/Idempotency-Key", Message: "was used for another request"}}}
		}
		return out, true, nil
	}
	ids, err := g.queue.EnqueueTx(ctx, tx, jobs...)
	if err != nil {
		return Accepted{}, false, err
	}
	out = Accepted{ID: encodeID(ids), Accepted: n}
	_, err = tx.ExecContext(ctx, "INSERT INTO push_keys (key_hash, fingerprint, request_id, accepted, created_at) VALUES (?, ?, ?, ?, ?)",
		key.hash, key.fingerprint, out.ID, n, sqldb.Micros(g.now()))
	if err != nil {
		return Accepted{}, false, fmt.Errorf("note the key of a request: %w", err)
	}
	return out, false, nil
}

// readKey returns what a key stands for; nothing if it is new.
func readKey(ctx context.Context, tx *sqldb.Tx, hash string) (out Accepted, fingerprint string, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT request_id, accepted, fingerprint FROM push_keys WHERE key_hash = ?"+tx.Dialect().LockRows(), hash)
	if err != nil {
		return Accepted{}, "", fmt.Errorf("look for the key of a request: %w", err)
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&out.ID, &out.Accepted, &fingerprint)
	}
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return Accepted{}, "", fmt.Errorf("look for the key of a request: %w", err)
	}
	return out, fingerprint, nil
}
