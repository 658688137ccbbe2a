-- +goose Up

-- What a job is. A row is inserted and deleted and never updated, so that a
-- large payload is written once.
CREATE TABLE jobs (
    id           INTEGER NOT NULL PRIMARY KEY,
    kind         TEXT    NOT NULL,
    job_key      TEXT    NOT NULL, -- empty: none
    priority     INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    enqueued_at  INTEGER NOT NULL,
    run_at       INTEGER NOT NULL,
    payload      BLOB    NOT NULL
);

-- Where a job is: one small row that moves. It is its own index.
CREATE TABLE job_queue (
    state    INTEGER NOT NULL, -- 1 ready, 2 scheduled, 3 running, 4 dead
    lane     INTEGER NOT NULL, -- hash of the kind; of a running job the worker's token
    at       INTEGER NOT NULL, -- ready: minus the priority; scheduled: when it is due; else 0
    id       INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    attempt  INTEGER NOT NULL, -- attempts begun
    size     INTEGER NOT NULL, -- bytes of the payload
    PRIMARY KEY (state, lane, at, id)
) WITHOUT ROWID;

-- What happened to jobs that did not end at their first attempt.
CREATE TABLE job_runs (
    id        INTEGER NOT NULL PRIMARY KEY,
    run_at    INTEGER NOT NULL,
    failed_at INTEGER NOT NULL DEFAULT 0,
    error     TEXT    NOT NULL DEFAULT '',
    progress  BLOB
);

-- The keys of live jobs.
CREATE TABLE job_keys (
    name TEXT    NOT NULL PRIMARY KEY,
    id   INTEGER NOT NULL
) WITHOUT ROWID;

-- The workers that hold jobs. beat changes while one lives.
CREATE TABLE job_workers (
    token INTEGER NOT NULL PRIMARY KEY,
    beat  INTEGER NOT NULL,
    lease INTEGER NOT NULL -- microseconds without a change after which it is dead
);
