// Package push is the notification gateway: it accepts notifications over HTTP,
// keeps them in a durable queue, delivers them through providers, and tells
// what became of each.
//
// Open the database and the queue, migrate, and run both:
//
//	if err := push.Migrate(ctx, db); err != nil {
//		return err
//	}
//	queue := job.NewQueue(db, job.Options{Logger: logger})
//	gw, err := push.New(cfg.Push, push.Deps{
//		DB:        db,
//		Queue:     queue,
//		Providers: map[push.Platform]push.Provider{push.APNS: apns.NewProvider(apns.Options{})},
//		Logger:    logger,
//	})
//	if err != nil {
//		return err
//	}
//	// queue.Run, then gw.Run, then a server with gw.Handler; stop in reverse.
//
// A request becomes one job for each provider (and priority and time) that it
// is for. The payload is rendered when the request is accepted, once for a
// notification and not for each of its tokens; a job holds what is rendered and
// the tokens, nothing else. Every app has a lane for each provider, with a
// breaker of its own, so that a provider that is down delays nothing else.
//
// A lane's pump sends the messages of many requests together, however small the
// requests are, the urgent ones first, and writes down what became of many at
// once. It holds as many requests in memory as keep the provider busy, and no
// more: the rest waits on disk.
//
// The promise: when Accept returns, or a request is answered 202, every
// notification in it is on disk. Each is then delivered, or ends in a state
// that can be asked for. After a crash only what was under way is sent again,
// with the same message id, which follows from the request and the place in it.
//
// A lane that cannot deliver is held up, with everything in it kept: its provider
// is away (down), does not accept the app's credentials (refused), or calls one
// token after the other wrong, so that it must be the app's topic or environment
// (suspect). Degraded and the metrics tell. Reload goes over to another
// configuration while everything runs, and tries repaired credentials at once.
//
// Dead tokens are on a list (GET /v1/feedback), are posted to the app's webhook,
// and are not sent to again for a while.
//
// What the package does not do: it speaks no provider's protocol (see apns),
// and none of Gaurun's (see gaurun); it opens no listener and no database; it
// keeps no list of devices, whose dead tokens it reports to who does.
//
// A Gateway may be used by several goroutines at once. Run owns all of its
// goroutines and leaves none behind; the database, the queue and the providers
// belong to the caller.
package push
