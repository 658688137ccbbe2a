package store

import (
	"context"
	"math"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

var errNotificationNotFound = market.Errorf(market.CodeNotFound, "", "there is no such notification")

// note writes down a piece of news in the transaction of what it tells.
func (s *Store) note(ctx context.Context, tx *sqldb.Tx, n market.Notification, now time.Time) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO notifications (id, user_id, kind, item_id, order_id, actor_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		s.ids.Next(now), int64(n.User), string(n.Kind), int64(n.Item), int64(n.Order), int64(n.Actor), sqldb.Micros(now))
	return err
}

// noteOrder writes down the news that an order's arrival in its state is.
func (s *Store) noteOrder(ctx context.Context, tx *sqldb.Tx, o market.Order, now time.Time) error {
	n, ok := market.NoticeOf(o)
	if !ok {
		return nil
	}
	return s.note(ctx, tx, n, now)
}

// NotificationPage is a piece of a person's news.
type NotificationPage struct {
	Notifications []market.Notification
	Next          string // the cursor of the next page; "" = this is the last
}

const sqlNotifications = "SELECT n.id, n.user_id, n.kind, n.item_id, COALESCE(i.title, ''), n.order_id, n.actor_id, COALESCE(u.name, ''), n.created_at" +
	" FROM notifications n LEFT JOIN items i ON i.id = n.item_id LEFT JOIN users u ON u.id = n.actor_id" +
	" WHERE n.user_id = ? AND n.id < ? ORDER BY n.id DESC LIMIT ?"

// Notifications returns a person's news, newest first. Limit 0 means 30; at
// most 100.
func (s *Store) Notifications(ctx context.Context, user market.UserID, cursor string, rows int) (NotificationPage, error) {
	key, err := s.listKey(ctx)
	if err != nil {
		return NotificationPage{}, err
	}
	list := "notifications/" + user.String()
	before := market.Cursor{ID: math.MaxInt64}
	if cursor != "" {
		if before, err = market.DecodeCursor(key, list, cursor); err != nil {
			return NotificationPage{}, err
		}
	}
	n := limit(rows)
	found, err := s.db.QueryContext(ctx, sqlNotifications, int64(user), before.ID, n+1)
	if err != nil {
		return NotificationPage{}, failed(err, "read notifications of user %d", int64(user))
	}
	var page NotificationPage
	if err := each(found, func(row scanner) error {
		var x market.Notification
		var created int64
		err := row.Scan((*int64)(&x.ID), (*int64)(&x.User), (*string)(&x.Kind), (*int64)(&x.Item), &x.ItemTitle, (*int64)(&x.Order),
			(*int64)(&x.Actor), &x.ActorName, &created)
		x.CreatedAt = sqldb.FromMicros(created)
		page.Notifications = append(page.Notifications, x)
		return err
	}); err != nil {
		return NotificationPage{}, failed(err, "read notifications of user %d", int64(user))
	}
	if len(page.Notifications) > n {
		page.Notifications = page.Notifications[:n]
		page.Next = market.Cursor{ID: int64(page.Notifications[n-1].ID)}.Encode(key, list)
	}
	return page, nil
}

// ReadNotifications writes down that a person has read the news up to one of
// them. To have read less than before does nothing.
func (s *Store) ReadNotifications(ctx context.Context, user market.UserID, upTo market.NotificationID) error {
	err := s.tx(ctx, func(tx *sqldb.Tx, _ time.Time) error {
		var one int
		if err := tx.QueryRowContext(ctx, "SELECT 1 FROM notifications WHERE id = ? AND user_id = ?", int64(upTo), int64(user)).Scan(&one); err != nil {
			return orNotFound(err, errNotificationNotFound)
		}
		_, err := tx.ExecContext(ctx, "UPDATE users SET read_up_to = ? WHERE id = ? AND read_up_to < ?", int64(upTo), int64(user), int64(upTo))
		return err
	})
	return failed(err, "read notifications of user %d", int64(user))
}

// MaxWaiting is where Waiting stops counting.
const MaxWaiting = 100

// Waiting returns how much news a person has not read and how many orders wait
// for the person. Neither count goes beyond MaxWaiting.
func (s *Store) Waiting(ctx context.Context, p market.Profile) (unread, todo int, err error) {
	count := func(query string, args ...any) (n int) {
		if err == nil {
			err = s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM ("+query+" LIMIT ?) some", append(args, MaxWaiting)...).Scan(&n)
		}
		return n
	}
	unread = count("SELECT 1 FROM notifications WHERE user_id = ? AND id > ?", int64(p.ID), int64(p.ReadUpTo))
	for _, role := range []market.Role{market.RoleSeller, market.RoleBuyer} {
		states := market.TodoStates(role)
		todo += count("SELECT 1 FROM orders WHERE state IN "+s.db.Dialect().In(len(states))+" AND "+string(role)+"_id = ?", append(texts(states), int64(p.ID))...)
	}
	return unread, min(todo, MaxWaiting), failed(err, "count what waits for user %d", int64(p.ID))
}

func texts[S ~string](values []S) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// Todos returns the orders that wait for a person to do something, the most
// urgent first: those of each role and state that are newest, at most
// MaxWaiting in all.
func (s *Store) Todos(ctx context.Context, user market.UserID) ([]market.Order, error) {
	var all []market.Order
	for _, role := range []market.Role{market.RoleSeller, market.RoleBuyer} {
		for _, state := range market.TodoStates(role) {
			page, err := s.Orders(ctx, OrderQuery{User: user, Role: role, State: state, Limit: MaxWaiting / 4})
			if err != nil {
				return nil, err
			}
			all = append(all, page.Orders...)
		}
	}
	market.ByUrgency(all)
	return all, nil
}

// notificationsKept is how long news can be read.
const notificationsKept = 90 * 24 * time.Hour

// ForgetNotifications deletes some of the news that is older than 90 days. More
// is true if there may be more of it.
func (s *Store) ForgetNotifications(ctx context.Context) (n int64, more bool, err error) {
	err = s.tx(ctx, func(tx *sqldb.Tx, now time.Time) error {
		rows, err := tx.QueryContext(ctx, "SELECT id FROM notifications WHERE id < ? ORDER BY id LIMIT ?", market.FirstID(now.Add(-notificationsKept)), tidyRows)
		if err != nil {
			return err
		}
		var over []int64
		if err := each(rows, func(row scanner) error {
			var id int64
			err := row.Scan(&id)
			over = append(over, id)
			return err
		}); err != nil || len(over) == 0 {
			return err
		}
		more = len(over) == tidyRows
		n, err = exec(ctx, tx, "DELETE FROM notifications WHERE id IN "+s.db.Dialect().In(len(over)), args(over)...)
		return err
	})
	return n, more, failed(err, "delete old notifications")
}
