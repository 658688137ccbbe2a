// Package apns delivers through Apple's push service: over HTTP/2 and TLS, with
// provider tokens signed by an app's key or with its certificate.
//
// A Provider opens a sender for each app; the gateway does that when it is
// given one:
//
//	gw, err := push.New(cfg, push.Deps{
//		DB:        db,
//		Queue:     queue,
//		Providers: map[push.Platform]push.Provider{push.APNS: apns.NewProvider(apns.Options{})},
//	})
//
// On its own a sender renders a notification once and sends it to many tokens:
//
//	sender, err := apns.NewProvider(apns.Options{}).Open(app, logger)
//	if err != nil {
//		return err
//	}
//	defer sender.Close()
//	rendered, faults := sender.Render(&notification, time.Now())
//	sender.Send(ctx, []push.Message{{Token: token, ID: id, Rendered: &rendered}}, done)
//
// Render refuses what Apple would: each push type has its rules (the topic's
// suffix, the payload's limit, what must be in it), and the members of the aps
// dictionary their forms, because Apple takes a wrong one without a word and the
// device then shows nothing. What a notification says becomes:
//
//   - ttl: apns-expiration. Without one the field is left out, and Apple keeps the
//     message for as long as it likes; the gateway itself gives up after
//     push.give_up_after.
//   - priority: apns-priority 10 for high, 5 for normal, and for low 1, which does
//     not wake the device, with alerts; 5 with other push types, which have no 1.
//     background has 5 alone.
//   - image: the member "image" beside aps, with mutable-content 1, for the app's
//     notification service extension to load.
//   - apns.aps: merged into the aps dictionary as a JSON merge patch. A live
//     activity needs its event, timestamp and content-state there.
//   - apns.payload: the whole payload, whose form is not looked at.
//   - apns.channel_id: a broadcast to a channel, POST /4/broadcasts/apps/<topic>.
//
// OpenChannels manages broadcast channels.
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
// refuse the app's credentials, the rest of it is not sent, and the connections
// are closed: when the app has other credentials, none is to be left that knows
// the old ones. A connection on which Apple answers Shutdown or IdleTimeout takes
// no more messages.
//
// What each of Apple's reasons means for a message is a table in outcome.go.
// The package does not retry, but for one thing: a message that is refused
// because the provider token is too old is sent again with a new one.
//
// Apps with the same key share their provider token, because Apple counts
// tokens per team. It is replaced after 50 minutes, or when Apple calls it too
// old, but never within 20 minutes unless the clock was set. A Provider and its
// senders may be used by several goroutines at once.
package apns
