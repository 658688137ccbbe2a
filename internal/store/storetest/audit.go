package storetest

import (
	"fmt"
)

// audit holds the database against what must be true at any time: each query
// returns what is wrong.
func (w *World) audit() {
	w.Helper()
	if books, err := w.Store.Audit(w.Ctx); err != nil || !books.OK() {
		w.Errorf("audit of the ledger: %+v, %v", books, err)
	}
	for what, query := range map[string]string{
		"listings of items that are not on sale": `SELECT l.item_id FROM listings l LEFT JOIN items i ON i.id = l.item_id AND i.state = 'on_sale' WHERE l.category_id >= 0 AND i.id IS NULL`,
		"listings of items that were not sold":   `SELECT l.item_id FROM listings l LEFT JOIN items i ON i.id = l.item_id AND i.state = 'sold' WHERE l.category_id < 0 AND i.id IS NULL`,
		"sold items that are not in the list of what was sold, nor in that of their category": `SELECT i.id FROM items i
			LEFT JOIN listings l ON l.item_id = i.id AND l.category_id = -1 LEFT JOIN listings c ON c.item_id = i.id AND c.category_id = -1 - i.category_id
			WHERE i.state = 'sold' AND (l.item_id IS NULL OR c.item_id IS NULL)`,
		"items on sale or sold that are not in the list of their brand": `SELECT i.id FROM items i LEFT JOIN listings l ON l.item_id = i.id
			AND l.category_id = CASE i.state WHEN 'sold' THEN -1099511627777 - i.brand_id ELSE 1099511627776 + i.brand_id END
			WHERE i.state IN ('on_sale', 'sold') AND i.brand_id <> 0 AND l.item_id IS NULL`,
		"items in the list of another brand": `SELECT i.id FROM items i JOIN listings l ON l.item_id = i.id
			WHERE (l.category_id > 1099511627776 AND l.category_id <> 1099511627776 + i.brand_id) OR (l.category_id < -1099511627777 AND l.category_id <> -1099511627777 - i.brand_id)`,
		"grams without a text":        `SELECT g.item_id FROM grams g LEFT JOIN texts t ON t.item_id = g.item_id AND t.shelf = g.shelf AND t.price = g.price WHERE t.item_id IS NULL`,
		"texts without a gram":        `SELECT t.item_id FROM texts t LEFT JOIN (SELECT DISTINCT item_id, shelf FROM grams) g ON g.item_id = t.item_id AND g.shelf = t.shelf WHERE g.item_id IS NULL`,
		"listings with another price": `SELECT l.item_id FROM listings l JOIN items i ON i.id = l.item_id WHERE i.price <> l.price`,
		"items on sale that are not in the list of everything": `SELECT i.id FROM items i LEFT JOIN listings l ON l.item_id = i.id AND l.category_id = 0
			WHERE i.state = 'on_sale' AND l.item_id IS NULL`,
		"items on sale that are not in their category": `SELECT i.id FROM items i LEFT JOIN listings l ON l.item_id = i.id AND l.category_id = i.category_id
			WHERE i.state = 'on_sale' AND l.item_id IS NULL`,
		"items in a category but not in its parent": `SELECT l.item_id FROM listings l JOIN categories c ON c.id = l.category_id
			LEFT JOIN listings p ON p.item_id = l.item_id AND p.category_id = c.parent_id WHERE p.item_id IS NULL`,
		"items in a category that is not above theirs": `SELECT l.item_id FROM listings l JOIN items i ON i.id = l.item_id JOIN categories c ON c.id = i.category_id
			LEFT JOIN categories p ON p.id = c.parent_id WHERE l.category_id < 1099511627776 AND l.category_id > -1099511627777
			AND CASE WHEN l.category_id < 0 THEN -1 - l.category_id ELSE l.category_id END NOT IN (0, c.id, c.parent_id, COALESCE(p.parent_id, 0))`,
		"items on the wrong shelf": `SELECT id FROM items WHERE shelf <> CASE WHEN state IN ('on_sale', 'reserved', 'sold') THEN 1 ELSE 0 END`,
		"wrong like counts":        `SELECT i.id FROM items i WHERE i.like_count <> (SELECT COUNT(*) FROM likes l WHERE l.item_id = i.id)`,
		"wrong comment counts":     `SELECT i.id FROM items i WHERE i.comment_count <> (SELECT COUNT(*) FROM comments c WHERE c.item_id = i.id AND c.deleted_at IS NULL)`,
		"reserved items without an order that waits": `SELECT i.id FROM items i LEFT JOIN orders o ON o.live_item_id = i.id AND o.state = 'pending_payment'
			WHERE i.state = 'reserved' AND o.id IS NULL`,
		"orders that hold an item which is on sale": `SELECT o.id FROM orders o JOIN items i ON i.id = o.live_item_id WHERE i.state NOT IN ('reserved', 'sold')`,
		"orders that are dead and hold an item":     `SELECT id FROM orders WHERE (state IN ('cancelled', 'refunded')) <> (live_item_id IS NULL)`,
		"orders that are paid without a charge":     `SELECT id FROM orders WHERE (paid_at IS NULL) <> (charge_id = '')`,
		"orders that are paid without a posting": `SELECT o.id FROM orders o WHERE o.paid_at IS NOT NULL
			AND (SELECT COUNT(*) FROM ledger_entries e WHERE e.kind = 'paid' AND e.amount = o.price) = 0`,
		"reviews that are shown too early":       `SELECT r.id FROM reviews r JOIN orders o ON o.id = r.order_id WHERE (r.shown = 1) <> (o.state = 'completed')`,
		"wrong counts of good reviews":           `SELECT u.id FROM users u WHERE u.good_count <> (SELECT COUNT(*) FROM reviews r WHERE r.subject_id = u.id AND r.shown = 1 AND r.rating = 'good')`,
		"wrong counts of bad reviews":            `SELECT u.id FROM users u WHERE u.bad_count <> (SELECT COUNT(*) FROM reviews r WHERE r.subject_id = u.id AND r.shown = 1 AND r.rating = 'bad')`,
		"orders that ended and do not say when":  `SELECT id FROM orders WHERE (state IN ('cancelled', 'completed', 'refunded')) <> (ended_at IS NOT NULL)`,
		"photos that are shown by nobody's item": `SELECT p.id FROM photos p LEFT JOIN items i ON i.id = p.item_id AND i.seller_id = p.owner_id WHERE p.item_id <> 0 AND i.id IS NULL`,
	} {
		wrong, err := w.column(query)
		if err != nil {
			w.Errorf("audit: %s: %v", what, err)
		} else if len(wrong) > 0 {
			w.Errorf("audit: %s: %v", what, wrong)
		}
	}
}

// column returns the first column of a query.
func (w *World) column(query string, args ...any) (all []string, err error) {
	rows, err := w.DB.QueryContext(w.Ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v any
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprint(v))
	}
	return all, rows.Err()
}
