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
// Phones.Uninstall takes the app from a phone.
//
// It is no load target: one lock guards the phones, and a lean server is
// better for measuring. It knows nothing of the gateway's code.
//
// All methods may be called from several goroutines at once. Run owns every
// goroutine of its server and leaves none behind.
package sandbox
