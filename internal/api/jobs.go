package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/job"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/store"
)

// The kinds of the jobs that run again and again. There is one of each, whatever the number of
// processes: it snoozes between its runs.
const (
	KindPushFeedback = "push.feedback" // forget devices whose tokens are dead
	KindOrderSweep   = "order.sweep"   // what the clock does to orders; settle what has lost its own job
	KindSessionTidy  = "session.tidy"  // delete sessions, answers and notifications that are over
)

const (
	sweepInterval = time.Minute
	tidyInterval  = time.Hour
	// settleInterval is how long an order without a charge waits for the next look at it.
	settleInterval = 30 * time.Second
	maxMissed      = 5 // the longest pause is feedback_interval << maxMissed
)

// Jobs returns the handlers of the market's jobs. Each bears to run twice.
func (a *API) Jobs() map[string]job.Handler {
	all := map[string]job.Handler{
		store.KindItemLiked:     a.itemLiked,
		store.KindItemCommented: a.itemCommented,
		store.KindItemIndex:     a.itemIndex,
		store.KindOrderPaid:     a.orderPaid,
		store.KindOrderSettle:   a.orderSettle,
		KindPushFeedback:        a.pushFeedback,
		KindOrderSweep:          a.orderSweep,
		KindSessionTidy:         a.sessionTidy,
	}
	maps.Copy(all, a.lifecycleJobs())
	return all
}

// Schedule enqueues the jobs that run again and again, unless they are there already. Call it once
// the queue runs.
func (a *API) Schedule(ctx context.Context) error {
	var jobs []job.New
	for _, kind := range []string{KindOrderSweep, KindSessionTidy, KindPushFeedback} {
		if kind != KindPushFeedback || a.push != nil {
			jobs = append(jobs, job.New{Kind: kind, Key: kind})
		}
	}
	if _, err := a.queue.Enqueue(ctx, jobs...); err != nil {
		return fmt.Errorf("schedule jobs: %w", err)
	}
	return nil
}

// payload decodes what a job is about. What cannot be decoded never will be.
func payload[T any](j *job.Job) (T, error) {
	var v T
	if err := json.Unmarshal(j.Payload, &v); err != nil {
		return v, job.Cancel(fmt.Errorf("decode payload: %w", err))
	}
	return v, nil
}

// gone reports whether what a job is about is no longer there: then it has nothing to tell.
func gone(err error) bool { return market.CodeOf(err) == market.CodeNotFound }

func (a *API) itemLiked(ctx context.Context, j *job.Job) error {
	p, err := payload[store.ItemLiked](j)
	if err != nil {
		return err
	}
	item, err := a.store.Item(ctx, p.Item)
	if err == nil && item.LikeCount == 0 {
		return nil // taken back
	}
	var by market.User
	if err == nil {
		by, err = a.store.User(ctx, p.User)
	}
	if err != nil {
		return unlessGone(err)
	}
	return a.notifyOf(ctx, j, by.ID, item.Seller, notice{
		item: item.ID, collapse: "like:" + item.ID.String(),
		text: func(l market.Locale) (string, string) { return likedText(l, item.Title, by.Name, item.LikeCount-1) },
	})
}

func (a *API) itemCommented(ctx context.Context, j *job.Job) error {
	p, err := payload[store.ItemCommented](j)
	if err != nil {
		return err
	}
	item, err := a.store.Item(ctx, p.Item)
	var c market.Comment
	if err == nil {
		c, err = a.store.Comment(ctx, p.Comment)
	}
	if err != nil || !c.DeletedAt.IsZero() {
		return unlessGone(err)
	}
	return a.notifyOf(ctx, j, c.Author, item.Seller, notice{
		item: item.ID,
		text: func(l market.Locale) (string, string) { return commentedText(l, item.Title, c.AuthorName, c.Body) },
	})
}

// itemIndex makes search find an item as it is now.
func (a *API) itemIndex(ctx context.Context, j *job.Job) error {
	p, err := payload[store.ItemRef](j)
	if err != nil {
		return err
	}
	change, err := a.store.IndexItems(ctx, p.Item)
	if err != nil {
		return unlessGone(err)
	}
	a.purge(change)
	return nil
}

func (a *API) orderPaid(ctx context.Context, j *job.Job) error {
	p, err := payload[store.OrderRef](j)
	if err != nil {
		return err
	}
	o, err := a.store.Order(ctx, p.Order)
	var buyer market.User
	if err == nil {
		buyer, err = a.store.User(ctx, o.Buyer)
	}
	if err != nil {
		return unlessGone(err)
	}
	return a.notify(ctx, j, o.Seller, notice{
		item: o.Item, order: o.ID, sound: true,
		text: func(l market.Locale) (string, string) {
			return paidText(l, o.ItemTitle, buyer.Name, o.Price, o.Currency)
		},
	})
}

func unlessGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// orderSettle decides an order whose purchase was left half done.
func (a *API) orderSettle(ctx context.Context, j *job.Job) error {
	p, err := payload[store.OrderRef](j)
	if err != nil {
		return err
	}
	return a.settle(ctx, p.Order)
}

func (a *API) settle(ctx context.Context, id market.OrderID) error {
	o, err := a.store.Order(ctx, id)
	if err != nil {
		return unlessGone(err)
	}
	if o.State != market.OrderPendingPayment {
		return nil
	}
	var found *market.Charge
	charge, err := a.lookup(ctx, o.ChargeKey())
	switch {
	case err == nil:
		found = &charge
	case market.CodeOf(err) == market.CodeUnavailable:
		// The provider is away. That is not the job's fault, and the order must not be forgotten.
		a.log.LogAttrs(ctx, slog.LevelWarn, "charge not found out", slog.String("order_id", id.String()), slog.Any("error", err))
		return job.Snooze(settleInterval)
	case !gone(err):
		return err
	}
	var change store.Change
	switch market.Sweep(o, found, a.now()) {
	case market.VerdictSettle:
		if _, err = a.settlePaid(ctx, o, charge); market.ReasonOf(err) == market.ReasonOrderCancelled {
			return nil // and the money is back
		}
	case market.VerdictDecline:
		_, change, err = a.store.ReleaseOrder(ctx, id, market.OrderDeclined, charge.Failure)
	case market.VerdictExpire:
		_, change, err = a.store.ReleaseOrder(ctx, id, market.OrderExpired, "")
	case market.VerdictWait:
		return job.Snooze(settleInterval)
	case market.VerdictNone:
		return nil
	}
	if err != nil {
		return err
	}
	a.purge(change)
	a.log.LogAttrs(ctx, slog.LevelInfo, "order decided by its job", slog.String("order_id", id.String()))
	return nil
}

func (a *API) lookup(ctx context.Context, key string) (market.Charge, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.ChargeTimeout)
	defer cancel()
	return a.pay.Lookup(ctx, key)
}

// orderSweep looks after orders whose deadline has passed: one that nobody sends is cancelled, one
// that nobody rates is completed, and whatever became of the jobs of unpaid ones, money and items do
// not stay in between.
func (a *API) orderSweep(ctx context.Context, _ *job.Job) error {
	ids, err := a.store.Overdue(ctx, maxPage)
	if err != nil {
		return a.periodic(ctx, KindOrderSweep, sweepInterval, err)
	}
	decided := 0
	for _, id := range ids {
		// One that cannot be decided does not hold up the others.
		err := a.expire(ctx, id)
		if err == nil {
			decided++
		} else if ctx.Err() == nil {
			a.log.LogAttrs(ctx, slog.LevelWarn, "overdue order not decided", slog.String("order_id", id.String()), slog.Any("error", err))
		}
	}
	if decided == maxPage {
		// There may be more. Those that could not be decided wait: a provider that
		// is away is not asked again at once.
		return job.Snooze(0)
	}
	return a.periodic(ctx, KindOrderSweep, sweepInterval, nil)
}

func (a *API) sessionTidy(ctx context.Context, _ *job.Job) error {
	var errs []error
	for _, tidy := range []func(context.Context) (int64, bool, error){a.store.Tidy, a.store.ForgetAnswers, a.store.ForgetNotifications} {
		for more := true; more; {
			var err error
			if _, more, err = tidy(ctx); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	return a.periodic(ctx, KindSessionTidy, tidyInterval, errors.Join(errs...))
}

// periodic ends a run of a job that runs again and again. It never counts an attempt: such a job
// must not die of a database that was away for a day.
func (a *API) periodic(ctx context.Context, kind string, interval time.Duration, err error) error {
	if err != nil && ctx.Err() == nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "periodic job", slog.String("kind", kind), slog.Any("error", err))
	}
	return job.Snooze(interval)
}

// feedbackPage is how many dead tokens are forgotten in one transaction.
const feedbackPage = 500

// pushFeedback reads which tokens have died, and forgets their devices.
func (a *API) pushFeedback(ctx context.Context, _ *job.Job) error {
	if a.push == nil {
		return nil // nobody is notified any more; Schedule brings it back
	}
	more, err := a.readFeedback(ctx)
	if err != nil {
		// A gateway that is away is asked less and less often.
		pause := a.cfg.FeedbackInterval << min(a.missed.Add(1), maxMissed)
		return a.periodic(ctx, KindPushFeedback, pause, err)
	}
	a.missed.Store(0)
	if more {
		return job.Snooze(0)
	}
	return job.Snooze(a.cfg.FeedbackInterval)
}

// readFeedback reads one page of the feedback; more says whether there may be another.
func (a *API) readFeedback(ctx context.Context) (more bool, err error) {
	cursor, err := a.store.PushCursor(ctx)
	if err != nil {
		return false, err
	}
	page, err := a.push.Feedback(ctx, cursor, feedbackPage)
	if err != nil {
		return false, err
	}
	if page.NextCursor == cursor || page.NextCursor == "" {
		return false, nil
	}
	dead := make([]market.DeadToken, 0, len(page.Tokens))
	for _, t := range page.Tokens {
		if a.cfg.PushApp == "" || t.App == a.cfg.PushApp {
			dead = append(dead, market.DeadToken{Platform: market.Platform(t.Platform), Token: t.Token, Reason: t.Reason, Time: t.Time})
		}
	}
	n, err := a.store.ForgetDevices(ctx, dead, page.NextCursor)
	if err != nil {
		return false, err
	}
	if n > 0 {
		a.log.LogAttrs(ctx, slog.LevelInfo, "devices forgotten", slog.Int("count", n))
	}
	return len(page.Tokens) > 0, nil
}

// notice is what somebody is told.
type notice struct {
	item     market.ItemID
	order    market.OrderID // 0: it is about no order
	collapse string         // a later one of the same replaces it
	sound    bool
	text     func(market.Locale) (title, body string)
}

// notifyOf tells a person what another has done, unless one of them has blocked
// the other since. News of an order that both are in is no news of a person: it
// goes to either with notify.
func (a *API) notifyOf(ctx context.Context, j *job.Job, by, to market.UserID, n notice) error {
	blocked, err := a.store.Blocked(ctx, by, to)
	if err != nil || blocked {
		return err
	}
	return a.notify(ctx, j, to, n)
}

// notify tells a person on every device, each in its language. The text is made now, when it
// is sent: jobs carry ids only.
func (a *API) notify(ctx context.Context, j *job.Job, to market.UserID, n notice) error {
	if a.push == nil {
		return nil
	}
	devices, err := a.store.Devices(ctx, to)
	if err != nil || len(devices) == 0 {
		return err
	}
	person, err := a.store.Profile(ctx, to)
	if err != nil {
		return unlessGone(err)
	}
	if !person.Pushed(market.NoticeKind(j.Kind)) {
		a.metrics.jobs.WithLabelValues(j.Kind, "muted").Inc()
		return nil
	}
	_, err = a.push.Send(ctx, client.PushRequest{
		App: a.cfg.PushApp, Notifications: n.render(j.Kind, person.Locale, devices),
		// A job that runs again after an answer that was lost does not tell twice.
		IdempotencyKey: fmt.Sprintf("%s:%d:%d", j.Kind, j.ID, j.EnqueuedAt.UnixMicro()),
	})
	if err == nil {
		a.metrics.jobs.WithLabelValues(j.Kind, "sent").Add(float64(len(devices)))
		return nil
	}
	p, refused := errors.AsType[*client.Problem](err)
	switch {
	case refused && !p.Temporary():
		a.metrics.jobs.WithLabelValues(j.Kind, "refused").Inc()
		return job.Cancel(err)
	case refused && p.RetryAfter > 0:
		return job.Snooze(p.RetryAfter)
	}
	a.metrics.jobs.WithLabelValues(j.Kind, "retried").Inc()
	return err
}

// render makes the notifications: one a platform and language.
func (n notice) render(kind string, own market.Locale, devices []market.Device) []client.Notification {
	type group struct {
		platform market.Platform
		locale   market.Locale
	}
	index := map[group]int{}
	var out []client.Notification
	for _, d := range devices {
		g := group{d.Platform, d.Locale}
		if g.locale == "" {
			g.locale = own
		}
		i, ok := index[g]
		if !ok {
			i = len(out)
			index[g] = i
			out = append(out, n.in(kind, g.platform, g.locale))
		}
		out[i].Tokens = append(out[i].Tokens, d.Token)
	}
	return out
}

func (n notice) in(kind string, platform market.Platform, locale market.Locale) client.Notification {
	title, body := n.text(locale)
	out := client.Notification{
		Platform: client.Platform(platform), Title: title, Body: body, ThreadID: n.item.String(), CollapseID: n.collapse,
		Category: kind, Priority: client.High, Data: map[string]string{"type": kind, "item_id": n.item.String()},
	}
	if n.order != 0 {
		out.Data["order_id"] = n.order.String()
	}
	if n.sound {
		out.Sound = "default"
	}
	return out
}
