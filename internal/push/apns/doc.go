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
// A batch goes over HTTP/2 (package h2) without a goroutine for any of its
// messages. A connection with a provider token carries one message until the
// first is answered; afterwards as many as Apple's settings and the app's
// max_in_flight, shared out evenly over its connections, allow. What is more
// waits in Send.
//
// A message without an answer is to be sent again under the same apns-id,
// whether Apple may have taken it or not. When no connection can be had after a
// few attempts, everything is Down. When the first few answers of a batch all
// refuse the app's credentials, the rest of it is not sent.
//
// What each of Apple's reasons means for a message is a table in outcome.go.
// The package does not retry, but for one thing: a message that is refused
// because the provider token is too old is sent again with a new one.
//
// Apps with the same key share their provider token, because Apple counts
// tokens per team. A Provider and its senders may be used by several
// goroutines at once.
package apns
