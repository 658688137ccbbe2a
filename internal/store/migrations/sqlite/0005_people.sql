-- +goose Up
-- People among people: profiles, blocks, reports, what they are told.
ALTER TABLE users ADD COLUMN state TEXT NOT NULL DEFAULT 'active';
ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN bio TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN address TEXT NOT NULL DEFAULT ''; -- JSON; empty: none
ALTER TABLE users ADD COLUMN muted TEXT NOT NULL DEFAULT '';   -- events that are not pushed, by commas
ALTER TABLE users ADD COLUMN read_up_to INTEGER NOT NULL DEFAULT 0; -- id of the newest notification that was read

ALTER TABLE comments ADD COLUMN deleted_at INTEGER; -- NULL: it is there

CREATE TABLE blocks (
    user_id    INTEGER NOT NULL,
    blocked_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
    id          INTEGER PRIMARY KEY,
    reporter_id INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    subject_id  INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    note        TEXT    NOT NULL,
    quote       TEXT    NOT NULL, -- what was reported, as it was then
    state       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX reports_subject ON reports (kind, subject_id, reporter_id);
CREATE INDEX reports_state ON reports (state, id);

CREATE TABLE notifications (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    item_id    INTEGER NOT NULL,
    order_id   INTEGER NOT NULL, -- 0: it is about no order
    actor_id   INTEGER NOT NULL, -- 0: nobody in particular
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX notifications_user ON notifications (user_id, id);
