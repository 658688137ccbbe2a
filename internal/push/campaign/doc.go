// Package campaign sends notifications to a push gateway from a stream of
// lines, millions of them, so that each counts once whatever happens on the
// way.
//
// Run reads lines and sends them until the end:
//
//	push := client.NewPush(client.PushOptions{URL: "http://127.0.0.1:1056"})
//	sum, err := campaign.Run(ctx, file, campaign.Options{
//		Sender:    push,
//		Text:      client.Notification{Title: "Sale", Body: "50 % off"},
//		StatePath: "sale.state",
//	})
//	if err != nil {
//		return err // sum tells how far it came; Run again goes on from there
//	}
//
// A line is a notification as in POST /v1/push, or {"token":…,"platform":…} that
// is combined with Options.Text. Lines that follow each other travel in one
// request, those with the same text as one notification, and several requests
// are under way at once. What the gateway cannot take now (429, 503, no
// connection) is sent again after the wait that it asks for.
//
// Where a batch begins and ends follows from the lines and Options.Batch alone,
// and its idempotency key from the campaign's id, its place and what is in it.
// The state file holds that id and how far everything was acknowledged. So what
// is sent again after a crash is the same request under the same key, and the
// gateway, which remembers keys for a day, counts it once.
//
// What the package does not do: it keeps no list of devices, removes no
// duplicates, and does not follow what becomes of what was accepted (client.Push
// has Status for that). It writes nothing but the state file.
//
// Run may be called from several goroutines, with a state file for each. It
// leaves no goroutine behind, but for one that waits in a Read of the input if
// ctx ends meanwhile. The functions in Options are called from one goroutine, Run's own.
package campaign
