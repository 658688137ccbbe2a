-- +goose Up
-- People among people: profiles, blocks, reports, what they are told.
ALTER TABLE users
    ADD COLUMN state      VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'active',
    ADD COLUMN version    BIGINT        NOT NULL DEFAULT 1,
    ADD COLUMN bio        VARCHAR(2000) NOT NULL DEFAULT '',
    ADD COLUMN address    VARCHAR(4000) NOT NULL DEFAULT '', -- JSON; empty: none
    ADD COLUMN muted      VARCHAR(1000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '', -- events that are not pushed, by commas
    ADD COLUMN read_up_to BIGINT        NOT NULL DEFAULT 0;  -- id of the newest notification that was read

ALTER TABLE comments ADD COLUMN deleted_at BIGINT; -- NULL: it is there

CREATE TABLE blocks (
    user_id    BIGINT NOT NULL,
    blocked_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE reports (
    id          BIGINT      NOT NULL PRIMARY KEY,
    reporter_id BIGINT      NOT NULL,
    kind        VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject_id  BIGINT      NOT NULL,
    reason      VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    note        TEXT        NOT NULL,
    quote       TEXT        NOT NULL, -- what was reported, as it was then
    state       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at  BIGINT      NOT NULL,
    UNIQUE KEY reports_subject (kind, subject_id, reporter_id),
    KEY reports_state (state, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE notifications (
    id         BIGINT      NOT NULL PRIMARY KEY,
    user_id    BIGINT      NOT NULL,
    kind       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    item_id    BIGINT      NOT NULL,
    order_id   BIGINT      NOT NULL, -- 0: it is about no order
    actor_id   BIGINT      NOT NULL, -- 0: nobody in particular
    created_at BIGINT      NOT NULL,
    KEY notifications_user (user_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
