// Package warm keeps caches warm: it turns URL templates into combinations and
// requests them, once (Once) or again and again as a daemon (Warmer), with a
// bounded number of workers that each keep one connection.
//
// Warming once begins with a plan:
//
//	plan, err := warm.NewPlan("http://127.0.0.1:8080/v1/items?category={1..300}&sort={new,price}")
//	if err != nil {
//		return err // a *warm.SyntaxError says where and what
//	}
//	sum, err := warm.Once(ctx, plan, warm.OnceOptions{Workers: 64, Timeout: 10 * time.Second})
//	fmt.Println(sum.OK, "of", sum.Combinations, "in", sum.WallSeconds, "s")
//
// The daemon begins with a Config:
//
//	w := warm.New(cfg.Warm, warm.Options{Logger: log, Registerer: reg})
//	err := w.Run(ctx) // until ctx ends
//
// A plan is never materialised: combination number i is computed from i, so a
// million combinations take no more memory than ten.
//
// The package speaks HTTP/1.1 itself, over TCP, TLS and unix sockets, because
// requesting is all that it does: a request is one write from a reused buffer
// and its answer is thrown away inside another one. It does not follow
// redirects, keep cookies, use proxies from the environment or speak HTTP/2,
// and it sends GET only.
//
// A Plan may be used by any number of goroutines. Once and Run return only
// after every goroutine and connection of theirs has ended.
package warm
