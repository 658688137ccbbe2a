-- +goose Up
-- What requests with an Idempotency-Key were answered. The row is written with
-- the request's own effect; the answer follows once it is known.
CREATE TABLE answers (
    scope       VARBINARY(32) NOT NULL PRIMARY KEY, -- hash of user, operation and key
    fingerprint VARBINARY(32) NOT NULL,             -- hash of the request
    status      BIGINT        NOT NULL,             -- 0: not known yet
    header      VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    body        MEDIUMBLOB    NOT NULL,
    created_at  BIGINT        NOT NULL,
    KEY answers_age (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
