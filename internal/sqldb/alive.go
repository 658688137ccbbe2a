package sqldb

import "errors"

// errClaimed says that somebody else has claimed an id.
var errClaimed = errors.New("somebody else has claimed it")

// migrationClaim is the id that whoever migrates claims.
const migrationClaim = 0

// Alive claims id for this DB until release is called, the DB is closed or the
// process ends, however that may be. Id is above 0 and below 2^62, and nobody
// else's. It is for telling at once that a process
// has died, where the engine makes that possible; elsewhere it does nothing, and
// so does not fail.
//
// Of SQLite, whose users share a machine, the claim is a lock of the kernel's on
// one byte of a file beside the database. On a server a connection can end
// without its process, so there is no such claim.
func (db *DB) Alive(id int64) (release func(), err error) {
	if db.claims == nil {
		return func() {}, nil
	}
	return db.claims.claim(id)
}

// Gone reports whether whoever has claimed id with Alive has certainly ended. It
// is false for an id that this DB has claimed itself, and always where there are
// no claims.
func (db *DB) Gone(id int64) bool {
	return db.claims != nil && db.claims.gone(id)
}
