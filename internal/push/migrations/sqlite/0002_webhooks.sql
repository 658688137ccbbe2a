-- +goose Up
CREATE TABLE push_webhooks (
    app        TEXT    PRIMARY KEY,
    last_id    INTEGER NOT NULL,
    failures   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    held_until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX push_feedback_app ON push_feedback (app, id);
