// Package fcm delivers through Google's push service, Firebase Cloud Messaging,
// by its HTTP v1 API: over HTTP/2 and TLS, with access tokens that a service
// account gets.
//
// A Provider opens a sender for each app; the gateway does that when it is
// given one:
//
//	gw, err := push.New(cfg, push.Deps{
//		DB:        db,
//		Queue:     queue,
//		Providers: map[push.Platform]push.Provider{push.FCM: fcm.NewProvider(fcm.Options{})},
//	})
//
// On its own a sender renders a notification once and sends it to many tokens:
//
//	sender, err := fcm.NewProvider(fcm.Options{}).Open(app, logger)
//	if err != nil {
//		return err
//	}
//	defer sender.Close()
//	rendered, faults := sender.Render(&notification, time.Now())
//	sender.Send(ctx, []push.Message{{Token: token, Rendered: &rendered}}, done)
//
// Google takes one message a request. What is rendered is the whole body but
// for whom it goes to; that is put into the hole at its end when it is sent. A
// batch goes over HTTP/2 (package h2) without a goroutine, a timer or memory of
// its own for any of its messages.
//
// Google allows a project so many messages a minute, and asks senders to reach
// their full rate over a minute. Send waits for both within its context (see
// quota.go); apps of the same project share the rate, processes do not.
//
// What each of Google's answers means for a message is in outcome.go. A few are
// judged by what the rest of the batch met: an argument that is invalid without
// a word about which is the token if others are fine, and the message if none
// is. The package does not retry, but for one thing: what is refused because of
// the access token is sent once more with a new one.
//
// FCM has no id that a message keeps over its attempts. One that is sent again
// because its answer was lost may arrive twice.
//
// The package does not manage topics or device groups. A Provider and its
// senders may be used by several goroutines at once.
package fcm
