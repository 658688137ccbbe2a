// Package apns delivers through Apple's push service: over HTTP/2 and TLS, with
// provider tokens signed by an app's key or with its certificate.
//
// A Provider opens a sender for each app; the gateway does that when it is
// given one:
//
//	gw, err := push.New(cfg, push.Deps{
//		DB:        db,
//		Queue:     queue,
//		Providers: map[push.Platform]push.Provider{push.APNS: apns.NewProvider()},
//	})
//
// On its own a sender renders a notification once and sends it to many tokens:
//
//	sender, err := apns.NewProvider().Open(app, logger)
//	if err != nil {
//		return err
//	}
//	defer sender.Close()
//	rendered, faults := sender.Render(&notification, time.Now())
//	sender.Send(ctx, []push.Message{{Token: token, ID: id, Rendered: &rendered}}, done)
//
// What each of Apple's reasons means for a message is a table in outcome.go.
// The package does not retry, but for one thing: a message that is refused
// because the provider token is too old is sent again with a new one.
//
// Apps with the same key share their provider token, because Apple counts
// tokens per team. A Provider and its senders may be used by several
// goroutines at once.
package apns
