-- +goose Up
CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    email         TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    locale        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_email ON users (email);

CREATE TABLE sessions (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE devices (
    id            INTEGER PRIMARY KEY,
    user_id       INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    platform      TEXT    NOT NULL,
    token_hash    BLOB    NOT NULL,
    token         TEXT    NOT NULL,
    locale        TEXT    NOT NULL,
    session_hash  BLOB,
    created_at    INTEGER NOT NULL,
    registered_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX devices_user ON devices (user_id, name);
CREATE UNIQUE INDEX devices_token ON devices (platform, token_hash);
CREATE INDEX devices_session ON devices (session_hash);

CREATE TABLE categories (
    id        INTEGER PRIMARY KEY,
    parent_id INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    name_ja   TEXT    NOT NULL
) STRICT;

CREATE TABLE photos (
    id         INTEGER PRIMARY KEY,
    owner_id   INTEGER NOT NULL,
    item_id    INTEGER NOT NULL, -- 0 until an item shows it
    name       TEXT    NOT NULL,
    width      INTEGER NOT NULL,
    height     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX photos_item ON photos (item_id, id);

CREATE TABLE items (
    id             INTEGER PRIMARY KEY,
    seller_id      INTEGER NOT NULL,
    category_id    INTEGER NOT NULL,
    title          TEXT    NOT NULL,
    price          INTEGER NOT NULL,
    item_condition TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    shelf          INTEGER NOT NULL, -- 1: everybody may see it, 0: only its seller
    version        INTEGER NOT NULL,
    like_count     INTEGER NOT NULL,
    comment_count  INTEGER NOT NULL,
    like_notice_at INTEGER NOT NULL, -- 0: never yet
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    photos         TEXT    NOT NULL, -- what lists and details show of the item's photos
    description    TEXT    NOT NULL  -- last: lists do not read so far
) STRICT;
CREATE INDEX items_seller ON items (seller_id, shelf, id);

-- One row for each list that an item on sale appears in: list 0 (everything),
-- and every category from the top level down to the item's own.
CREATE TABLE listings (
    category_id INTEGER NOT NULL,
    item_id     INTEGER NOT NULL,
    price       INTEGER NOT NULL,
    PRIMARY KEY (category_id, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX listings_price ON listings (category_id, price, item_id);

CREATE TABLE likes (
    item_id    INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (item_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX likes_user ON likes (user_id, created_at, item_id);

CREATE TABLE comments (
    id         INTEGER PRIMARY KEY,
    item_id    INTEGER NOT NULL,
    author_id  INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX comments_item ON comments (item_id, id);

CREATE TABLE orders (
    id           INTEGER PRIMARY KEY,
    item_id      INTEGER NOT NULL,
    live_item_id INTEGER,          -- item_id while the order holds the item, else NULL
    buyer_id     INTEGER NOT NULL,
    seller_id    INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    price        INTEGER NOT NULL,
    fee          INTEGER NOT NULL,
    currency     TEXT    NOT NULL,
    charge_id    TEXT    NOT NULL,
    failure      TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    deadline_at  INTEGER,          -- NULL: no timer runs
    paid_at      INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX orders_live_item ON orders (live_item_id);
CREATE INDEX orders_buyer ON orders (buyer_id, id);
CREATE INDEX orders_seller ON orders (seller_id, id);
CREATE INDEX orders_deadline ON orders (deadline_at, id);

-- Single values: how far the feedback of the push gateway has been read, the
-- key that signs cursors.
CREATE TABLE marks (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
