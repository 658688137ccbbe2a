// Package pay takes money from buyers through a payment provider. The rest of
// the program knows the Provider interface only; which provider stands behind
// it is configuration.
//
// Call Open first:
//
//	provider, err := pay.Open(cfg.Pay, pay.Options{Dev: true})
//	if err != nil {
//		return err
//	}
//	defer provider.Close()
//	charge, err := provider.Charge(ctx, pay.ChargeRequest{
//		Key: order.ChargeKey(), Amount: order.Price, Currency: order.Currency, Token: token,
//	})
//
// Every call that moves money carries a key, and one key moves money at most
// once: after an answer that was lost, the same call again, or Lookup, tells
// what happened. An error of market.CodeUnavailable means that nobody knows yet;
// any other error means that nothing was charged.
//
// The sandbox is a provider in a file: no money moves, and tokens such as
// tok_declined or tok_timeout_then_ok choose what happens. It stays what it
// said through a kill -9.
//
// The package knows no orders and writes no database, and it must never be
// called inside a transaction: a provider may take seconds. Providers may be
// used from many goroutines.
package pay
