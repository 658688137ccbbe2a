-- +goose Up
CREATE TABLE push_webhooks (
    app        VARCHAR(64) NOT NULL PRIMARY KEY,
    last_id    BIGINT      NOT NULL,
    failures   BIGINT      NOT NULL,
    next_at    BIGINT      NOT NULL,
    owner      VARCHAR(64) NOT NULL,
    held_until BIGINT      NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX push_feedback_app ON push_feedback (app, id);
