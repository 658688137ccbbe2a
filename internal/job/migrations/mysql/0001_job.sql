-- +goose Up

-- What a job is. A row is inserted and deleted and never updated, so that a
-- large payload is written once.
CREATE TABLE jobs (
    id           BIGINT         NOT NULL PRIMARY KEY,
    kind         VARCHAR(64)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    job_key      VARBINARY(191) NOT NULL, -- empty: none
    priority     INT            NOT NULL,
    max_attempts INT            NOT NULL,
    enqueued_at  BIGINT         NOT NULL,
    run_at       BIGINT         NOT NULL,
    payload      MEDIUMBLOB     NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Where a job is: one small row that moves. It is its own index.
CREATE TABLE job_queue (
    state    TINYINT NOT NULL, -- 1 ready, 2 scheduled, 3 running, 4 dead
    lane     BIGINT  NOT NULL, -- hash of the kind; of a running job the worker's token
    at       BIGINT  NOT NULL, -- ready: minus the priority; scheduled: when it is due; else 0
    id       BIGINT  NOT NULL,
    priority INT     NOT NULL,
    attempt  INT     NOT NULL, -- attempts begun
    size     INT     NOT NULL, -- bytes of the payload
    PRIMARY KEY (state, lane, at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What happened to jobs that did not end at their first attempt.
CREATE TABLE job_runs (
    id        BIGINT        NOT NULL PRIMARY KEY,
    run_at    BIGINT        NOT NULL,
    failed_at BIGINT        NOT NULL DEFAULT 0,
    error     VARCHAR(2000) NOT NULL DEFAULT '',
    progress  MEDIUMBLOB
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The keys of live jobs.
CREATE TABLE job_keys (
    name VARBINARY(191) NOT NULL PRIMARY KEY,
    id   BIGINT         NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The workers that hold jobs. beat changes while one lives.
CREATE TABLE job_workers (
    token BIGINT NOT NULL PRIMARY KEY,
    beat  BIGINT NOT NULL,
    lease BIGINT NOT NULL -- microseconds without a change after which it is dead
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
