-- +goose Up
CREATE TABLE push_results (
    job_id       BIGINT      NOT NULL PRIMARY KEY,
    app          VARCHAR(64) NOT NULL,
    created_at   BIGINT      NOT NULL,
    finished_at  BIGINT      NOT NULL,
    total        BIGINT      NOT NULL,
    sent         BIGINT      NOT NULL,
    unregistered BIGINT      NOT NULL,
    rejected     BIGINT      NOT NULL,
    expired      BIGINT      NOT NULL,
    cancelled    BIGINT      NOT NULL,
    reasons      TEXT        NOT NULL,
    INDEX push_results_finished (finished_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE push_feedback (
    id         BIGINT      NOT NULL PRIMARY KEY,
    app        VARCHAR(64) NOT NULL,
    platform   VARCHAR(16) NOT NULL,
    token      TEXT        NOT NULL,
    reason     VARCHAR(64) NOT NULL,
    since_at   BIGINT      NOT NULL,
    created_at BIGINT      NOT NULL,
    INDEX push_feedback_created (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE push_sequences (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    last BIGINT      NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO push_sequences (name, last) VALUES ('feedback', 0);

CREATE TABLE push_keys (
    key_hash    CHAR(64)     NOT NULL PRIMARY KEY,
    fingerprint CHAR(64)     NOT NULL,
    request_id  VARCHAR(600) NOT NULL,
    accepted    BIGINT       NOT NULL,
    created_at  BIGINT       NOT NULL,
    INDEX push_keys_created (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
