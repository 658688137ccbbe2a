-- +goose Up
CREATE TABLE users (
    id            BIGINT        NOT NULL PRIMARY KEY,
    email         VARCHAR(254)  NOT NULL,
    password_hash VARCHAR(255)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name          VARCHAR(255)  NOT NULL,
    locale        VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at    BIGINT        NOT NULL,
    updated_at    BIGINT        NOT NULL,
    UNIQUE KEY users_email (email)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE sessions (
    token_hash BINARY(32) NOT NULL PRIMARY KEY,
    user_id    BIGINT     NOT NULL,
    created_at BIGINT     NOT NULL,
    expires_at BIGINT     NOT NULL,
    KEY sessions_user (user_id),
    KEY sessions_expiry (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE devices (
    id            BIGINT        NOT NULL PRIMARY KEY,
    user_id       BIGINT        NOT NULL,
    name          VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    platform      VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    token_hash    BINARY(32)    NOT NULL,
    token         TEXT          NOT NULL,
    locale        VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    session_hash  BINARY(32),
    created_at    BIGINT        NOT NULL,
    registered_at BIGINT        NOT NULL,
    UNIQUE KEY devices_user (user_id, name),
    UNIQUE KEY devices_token (platform, token_hash),
    KEY devices_session (session_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE categories (
    id        BIGINT       NOT NULL PRIMARY KEY,
    parent_id BIGINT       NOT NULL,
    position  BIGINT       NOT NULL,
    name      VARCHAR(255) NOT NULL,
    name_ja   VARCHAR(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE photos (
    id         BIGINT      NOT NULL PRIMARY KEY,
    owner_id   BIGINT      NOT NULL,
    item_id    BIGINT      NOT NULL, -- 0 until an item shows it
    name       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    width      BIGINT      NOT NULL,
    height     BIGINT      NOT NULL,
    created_at BIGINT      NOT NULL,
    KEY photos_item (item_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE items (
    id             BIGINT        NOT NULL PRIMARY KEY,
    seller_id      BIGINT        NOT NULL,
    category_id    BIGINT        NOT NULL,
    title          VARCHAR(512)  NOT NULL,
    price          BIGINT        NOT NULL,
    item_condition VARCHAR(32)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state          VARCHAR(32)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    shelf          BIGINT        NOT NULL, -- 1: everybody may see it, 0: only its seller
    version        BIGINT        NOT NULL,
    like_count     BIGINT        NOT NULL,
    comment_count  BIGINT        NOT NULL,
    like_notice_at BIGINT        NOT NULL, -- 0: never yet
    created_at     BIGINT        NOT NULL,
    updated_at     BIGINT        NOT NULL,
    photos         TEXT          CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- what lists and details show of the item's photos
    description    TEXT          NOT NULL,
    KEY items_seller (seller_id, shelf, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row for each list that an item on sale appears in: list 0 (everything),
-- and every category from the top level down to the item's own.
CREATE TABLE listings (
    category_id BIGINT NOT NULL,
    item_id     BIGINT NOT NULL,
    price       BIGINT NOT NULL,
    PRIMARY KEY (category_id, item_id),
    KEY listings_price (category_id, price, item_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE likes (
    item_id    BIGINT NOT NULL,
    user_id    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (item_id, user_id),
    KEY likes_user (user_id, created_at, item_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE comments (
    id         BIGINT NOT NULL PRIMARY KEY,
    item_id    BIGINT NOT NULL,
    author_id  BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    KEY comments_item (item_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE orders (
    id           BIGINT       NOT NULL PRIMARY KEY,
    item_id      BIGINT       NOT NULL,
    live_item_id BIGINT,                -- item_id while the order holds the item, else NULL
    buyer_id     BIGINT       NOT NULL,
    seller_id    BIGINT       NOT NULL,
    state        VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    price        BIGINT       NOT NULL,
    fee          BIGINT       NOT NULL,
    currency     VARCHAR(8)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    charge_id    VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    failure      VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version      BIGINT       NOT NULL,
    deadline_at  BIGINT,                -- NULL: no timer runs
    paid_at      BIGINT,
    created_at   BIGINT       NOT NULL,
    updated_at   BIGINT       NOT NULL,
    UNIQUE KEY orders_live_item (live_item_id),
    KEY orders_buyer (buyer_id, id),
    KEY orders_seller (seller_id, id),
    KEY orders_deadline (deadline_at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Single values: how far the feedback of the push gateway has been read, the
-- key that signs cursors.
CREATE TABLE marks (
    name  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    value VARCHAR(4096) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
