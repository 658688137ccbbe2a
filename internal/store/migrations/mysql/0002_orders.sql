-- +goose Up
-- An order from its payment to its end: shipment, messages, reviews, money.
ALTER TABLE orders
    ADD COLUMN note VARCHAR(4096) NOT NULL DEFAULT '',
    ADD COLUMN shipped_at BIGINT,
    ADD COLUMN ended_at BIGINT,
    ADD KEY orders_state_buyer (state, buyer_id, id),
    ADD KEY orders_state_seller (state, seller_id, id);

ALTER TABLE users
    ADD COLUMN good_count BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN bad_count BIGINT NOT NULL DEFAULT 0;

CREATE TABLE shipments (
    order_id   BIGINT       NOT NULL PRIMARY KEY,
    carrier    VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    tracking   VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    code       VARCHAR(1024) NOT NULL,
    created_at BIGINT       NOT NULL,
    UNIQUE KEY shipments_tracking (carrier, tracking)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE messages (
    id         BIGINT NOT NULL PRIMARY KEY,
    order_id   BIGINT NOT NULL,
    author_id  BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    KEY messages_order (order_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE reviews (
    id         BIGINT      NOT NULL PRIMARY KEY,
    order_id   BIGINT      NOT NULL,
    author_id  BIGINT      NOT NULL,
    subject_id BIGINT      NOT NULL,
    role       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    rating     VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    body       TEXT        NOT NULL,
    shown      TINYINT     NOT NULL, -- 1 once the order is completed
    created_at BIGINT      NOT NULL,
    UNIQUE KEY reviews_order (order_id, author_id),
    KEY reviews_subject (subject_id, shown, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The ledger: the entries of one posting sum to zero. Rows are only added.
CREATE TABLE ledger_entries (
    id          BIGINT      NOT NULL PRIMARY KEY,
    posting_key VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind        VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    account     VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    amount      BIGINT      NOT NULL,
    created_at  BIGINT      NOT NULL,
    UNIQUE KEY ledger_entries_posting (posting_key, account),
    KEY ledger_entries_account (account, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What a seller has available: the sum of the entries of that account, kept so
-- that a payout locks one row.
CREATE TABLE balances (
    user_id   BIGINT NOT NULL PRIMARY KEY,
    available BIGINT NOT NULL CHECK (available >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE payouts (
    id         BIGINT      NOT NULL PRIMARY KEY,
    user_id    BIGINT      NOT NULL,
    amount     BIGINT      NOT NULL,
    currency   VARCHAR(8)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    failure    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT      NOT NULL,
    updated_at BIGINT      NOT NULL,
    KEY payouts_user (user_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
