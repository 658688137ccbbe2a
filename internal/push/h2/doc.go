// Package h2 is an HTTP/2 client made for pushing: very many small requests to
// one server, each answered by a few bytes. It keeps a pool of connections to
// one origin and sends batches of requests over them without a goroutine, a
// timer or an allocation for each.
//
// Call [Open] first, with the origin's URL. What requests have in common is
// prepared once with [NewHeaders]; what is their own goes into [Request]:
//
//	pool, err := h2.Open(h2.Config{URL: "https://api.push.apple.com"})
//	if err != nil { … }
//	defer pool.Close(ctx)
//	alert, err := h2.NewHeaders("POST",
//		h2.Field{Name: "authorization", Value: "bearer " + jwt},
//		h2.Field{Name: "apns-topic", Value: "com.example.market"},
//		h2.Field{Name: "apns-push-type", Value: "alert"})
//	…
//	batch := &h2.Batch{Requests: []h2.Request{{
//		Headers: alert,
//		Path:    "/3/device/" + token,
//		Fields:  []h2.Field{{Name: "apns-id", Value: id}},
//		Body:    payload,
//	}}}
//	if err := pool.Start(ctx, batch); err != nil { … } // waits while the queue is full
//	batch.Wait()
//	answer := batch.Responses[0] // answer.Err, answer.Status, answer.Body
//
// A request that got no answer says which of two things happened to it:
// [MaybeProcessed] reports whether the server may have acted on it. If not, it
// can be sent again freely; if so, sending it again may deliver it twice, and a
// caller that does so knows it (and gives it the same apns-id). The pool itself
// sends a request again only when the server has surely not processed it:
// after REFUSED_STREAM, when it is above the last stream of a GOAWAY, or when
// it was not completely written.
//
// The pool does not follow redirects, keep cookies, decode bodies or negotiate
// HTTP/1.1, and it does not judge a status: every final status is an answer.
// Answers are bounded: of their fields those named in [Config.Keep] are kept,
// of their body the first [Config.MaxBodyBytes].
//
// Every method may be called from several goroutines at once. A Batch with all
// that its Requests point to belongs to the pool from Start until Wait returns
// or, answer by answer, until Done has been called with its index. See DESIGN.md
// beside this file for how it works inside.
package h2
