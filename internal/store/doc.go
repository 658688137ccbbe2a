// Package store is all of the market's SQL. One method is one domain verb and
// one transaction: it loads what the verb is about, asks package market whether
// it may happen, writes the rows together with the jobs that follow from them,
// and says which cached answers are no longer true.
//
// Call Migrate once, then New:
//
//	if err := store.Migrate(ctx, db); err != nil {
//		return err
//	}
//	s := store.New(db, queue, store.Options{Rules: market.DefaultRules()})
//	item, change, err := s.ListItem(ctx, market.ItemDraft{Seller: me, …})
//	if err != nil {
//		return err // market.CodeOf(err) tells the class
//	}
//	cache.Purge(change.Tags...)
//	page, err := s.Items(ctx, store.ItemQuery{Category: 12, Limit: 30})
//
// A purchase is three calls, because the charge between them goes over the
// network and no transaction may be open meanwhile: ReserveItem, the provider,
// then SettleOrder or ReleaseOrder. ReserveItem leaves a job KindOrderSettle,
// whose handler finishes what a crash left half done (market.Sweep says how).
//
// Lists go by keyset: a page costs the same at the first and at the millionth
// row, and in a market of a thousand and of a million items. Nothing is counted
// and nothing skipped; see DESIGN.md for the tables behind that.
//
// Every error is a *market.Error or wraps one, but for faults of ours, which
// market.CodeOf calls internal. Nothing here caches answers, talks to another
// system, or knows HTTP.
//
// A Store may be used from many goroutines and from many processes on one
// database. It holds no connection of its own: the DB and the Queue belong to
// the caller, who closes them.
package store
