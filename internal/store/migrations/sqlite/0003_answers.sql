-- +goose Up
-- What requests with an Idempotency-Key were answered. The row is written with
-- the request's own effect; the answer follows once it is known.
CREATE TABLE answers (
    scope       BLOB    NOT NULL PRIMARY KEY, -- hash of user, operation and key
    fingerprint BLOB    NOT NULL,             -- hash of the request
    status      INTEGER NOT NULL,             -- 0: not known yet
    header      TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_age ON answers (created_at);
