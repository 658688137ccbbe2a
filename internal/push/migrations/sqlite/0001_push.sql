-- +goose Up
CREATE TABLE push_results (
    job_id       INTEGER PRIMARY KEY,
    app          TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    finished_at  INTEGER NOT NULL,
    total        INTEGER NOT NULL,
    sent         INTEGER NOT NULL,
    unregistered INTEGER NOT NULL,
    rejected     INTEGER NOT NULL,
    expired      INTEGER NOT NULL,
    cancelled    INTEGER NOT NULL,
    reasons      TEXT    NOT NULL
);
CREATE INDEX push_results_finished ON push_results (finished_at);

CREATE TABLE push_feedback (
    id         INTEGER PRIMARY KEY,
    app        TEXT    NOT NULL,
    platform   TEXT    NOT NULL,
    token      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    since_at   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX push_feedback_created ON push_feedback (created_at);

CREATE TABLE push_sequences (
    name TEXT    PRIMARY KEY,
    last INTEGER NOT NULL
);
INSERT INTO push_sequences (name, last) VALUES ('feedback', 0);

CREATE TABLE push_keys (
    key_hash    TEXT    PRIMARY KEY,
    fingerprint TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    accepted    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX push_keys_created ON push_keys (created_at);
