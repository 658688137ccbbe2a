-- +goose Up
-- An order from its payment to its end: shipment, messages, reviews, money.
ALTER TABLE orders ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN shipped_at INTEGER;
ALTER TABLE orders ADD COLUMN ended_at INTEGER;
CREATE INDEX orders_state_buyer ON orders (state, buyer_id, id);
CREATE INDEX orders_state_seller ON orders (state, seller_id, id);

ALTER TABLE users ADD COLUMN good_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN bad_count INTEGER NOT NULL DEFAULT 0;

CREATE TABLE shipments (
    order_id   INTEGER PRIMARY KEY,
    carrier    TEXT    NOT NULL,
    tracking   TEXT    NOT NULL,
    code       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX shipments_tracking ON shipments (carrier, tracking);

CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    order_id   INTEGER NOT NULL,
    author_id  INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_order ON messages (order_id, id);

CREATE TABLE reviews (
    id         INTEGER PRIMARY KEY,
    order_id   INTEGER NOT NULL,
    author_id  INTEGER NOT NULL,
    subject_id INTEGER NOT NULL,
    role       TEXT    NOT NULL,
    rating     TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    shown      INTEGER NOT NULL, -- 1 once the order is completed
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX reviews_order ON reviews (order_id, author_id);
CREATE INDEX reviews_subject ON reviews (subject_id, shown, id);

-- The ledger: the entries of one posting sum to zero. Rows are only added.
CREATE TABLE ledger_entries (
    id          INTEGER PRIMARY KEY,
    posting_key TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    amount      INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX ledger_entries_posting ON ledger_entries (posting_key, account);
CREATE INDEX ledger_entries_account ON ledger_entries (account, id);

-- What a seller has available: the sum of the entries of that account, kept so
-- that a payout locks one row.
CREATE TABLE balances (
    user_id   INTEGER PRIMARY KEY,
    available INTEGER NOT NULL CHECK (available >= 0)
) STRICT;

CREATE TABLE payouts (
    id         INTEGER PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    currency   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    failure    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX payouts_user ON payouts (user_id, id);
