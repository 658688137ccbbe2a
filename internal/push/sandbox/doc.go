// Package sandbox holds stand-ins for the providers that the push gateway
// talks to, for development, tests and benches. Apple is a server behind real
// TLS and HTTP/2 that checks what Apple checks and answers what Apple
// documents; what it accepts lands on Phones, which remembers, tells
// subscribers and draws itself as a page of lock screens.
//
// Make the phones first, then open the server on them:
//
//	phones := sandbox.NewPhones(sandbox.PhonesOptions{})
//	apple, err := sandbox.OpenApple(sandbox.AppleOptions{Dir: dir, Phones: phones})
//	if err != nil {
//		return err
//	}
//	go apple.Run(ctx)
//	// A gateway now uses apple.URL() with apple.KeyFile(), sandbox.KeyID,
//	// sandbox.TeamID, any topic, and apple.CAFile() as its roots.
//	apple.Fail(sandbox.Fault{Count: 3, Status: 503, Reason: "ServiceUnavailable"})
//	for d := range phones.Subscribe(ctx) {
//		fmt.Println(d.Title, d.Body)
//	}
//
// Tokens are what they are at Apple: hexadecimal, 64 digits or more. A token
// that begins with DeadPrefix belongs to a phone that removed the app long
// ago; one that begins with ForeignPrefix belongs to another environment.
// Phones.Uninstall takes the app from a phone. Broadcast channels are managed
// under the same address as notifications are sent to.
//
// Apple is as difficult as the real one is said to be. A connection takes one
// request at a time until the first valid provider token; the rest is asked for:
// Fail lets single requests meet a fault (answers, no answer, GOAWAY,
// REFUSED_STREAM, a connection that is dropped or dies silently), SetManners says
// how all connections behave (limits that fall, tiny writes, slow reads, a revoked
// key, a limit per phone), SetLatency makes everything slow. Recover ends it all.
// Control is the same over HTTP.
//
// Apple takes tens of thousands of notifications a second, and remembers them;
// what is to be measured is better served by a server that does nothing. The
// package knows nothing of the gateway's code.
//
// All methods may be called from several goroutines at once. Run owns every
// goroutine of its server and leaves none behind.
package sandbox
