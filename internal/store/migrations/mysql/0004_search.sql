-- +goose Up
CREATE TABLE brands (
    id      BIGINT       NOT NULL PRIMARY KEY,
    name    VARCHAR(255) NOT NULL,
    name_ja VARCHAR(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

ALTER TABLE items ADD COLUMN brand_id BIGINT NOT NULL DEFAULT 0; -- 0: none

-- What search finds items by: a row for each gram of an item's text. Shelf 1
-- is what is on sale, 2 what was sold.
CREATE TABLE grams (
    shelf   TINYINT NOT NULL,
    gram    BIGINT  NOT NULL,
    item_id BIGINT  NOT NULL,
    price   BIGINT  NOT NULL,
    PRIMARY KEY (shelf, gram, item_id),
    KEY grams_price (shelf, gram, price, item_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What grams holds of an item, so that it can be taken out again.
CREATE TABLE texts (
    item_id BIGINT  NOT NULL PRIMARY KEY,
    shelf   TINYINT NOT NULL,
    price   BIGINT  NOT NULL,
    body    TEXT    NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Lists of what was sold: the number of list n is -1 - n.
INSERT INTO listings (category_id, item_id, price) SELECT -1, id, price FROM items WHERE state = 'sold';
INSERT INTO listings (category_id, item_id, price) SELECT -1 - category_id, id, price FROM items WHERE state = 'sold';
INSERT INTO listings (category_id, item_id, price) SELECT -1 - c.parent_id, i.id, i.price FROM items i
    JOIN categories c ON c.id = i.category_id WHERE i.state = 'sold' AND c.parent_id <> 0;
INSERT INTO listings (category_id, item_id, price) SELECT -1 - p.parent_id, i.id, i.price FROM items i
    JOIN categories c ON c.id = i.category_id JOIN categories p ON p.id = c.parent_id WHERE i.state = 'sold' AND p.parent_id <> 0;
INSERT INTO listings (category_id, item_id, price) SELECT -1 - g.parent_id, i.id, i.price FROM items i
    JOIN categories c ON c.id = i.category_id JOIN categories p ON p.id = c.parent_id JOIN categories g ON g.id = p.parent_id
    WHERE i.state = 'sold' AND g.parent_id <> 0;

-- A market that has items already gets its index of search by store.Build.
INSERT INTO marks (name, value) SELECT 'build', 'grams' FROM items ORDER BY id LIMIT 1;
