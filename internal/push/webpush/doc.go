// Package webpush delivers to browsers through the push services that their
// subscriptions name: Web Push (RFC 8030) with encrypted messages (RFC 8291,
// RFC 8188) and VAPID (RFC 8292).
//
// A Provider opens a sender for each app; the gateway does that when it is
// given one:
//
//	gw, err := push.New(cfg, push.Deps{
//		DB:        db,
//		Queue:     queue,
//		Providers: map[push.Platform]push.Provider{push.WebPush: webpush.NewProvider()},
//	})
//
// On its own a sender renders a notification once and sends it to many tokens:
//
//	sender, err := webpush.NewProvider().Open(app, logger)
//	if err != nil {
//		return err
//	}
//	defer sender.Close()
//	rendered, faults := sender.Render(&notification, time.Now())
//	sender.Send(ctx, []push.Message{{Token: token, Rendered: &rendered}}, done)
//
// A token is the JSON text of a browser's PushSubscription, as JSON.stringify
// writes it. What the page's service worker gets from event.data.json() is
//
//	{"title":"…","body":"…","badge":3,"sound":"…","image":"https://…","category":"…",
//	 "thread_id":"…","collapse_id":"…","data":{"key":"value"}}
//
// without what the notification does not have, or webpush.payload as it is.
// Messages are not padded: a push service sees how long they are.
//
// The URLs come from users. No request goes to an address that is not public
// (see dial.go), to another port than 443, through a proxy, or where a
// redirection points; answers are bounded in size and time.
//
// Every origin (push service) has a window of its own: how many messages may be
// under way. It grows with answers and shrinks with failures. An origin that
// fails again and again is paused and then tried with one message; meanwhile
// its messages are to be sent again later, and nothing waits for it. Origins
// that have not taken a message yet share a small part of max_in_flight. So the
// sender never says that everything is Down or Refused: an origin that refuses
// the VAPID key is paused like one that is broken, and logged as an error.
//
// The encryption is made of the standard library; docs/adr/0002 says why.
//
// The package does not retry, but for a message whose kept connection turned
// out to be closed. It keeps no list of subscriptions. A Provider and its
// senders may be used by several goroutines at once; a sender has at most
// max_in_flight goroutines of its own, none while there is nothing to send.
package webpush
