// Package edge puts nginx in front: it renders nginx's configuration from
// plain values, lets nginx check it, runs nginx with it, watches it and stops
// it.
//
// Running is one call:
//
//	e := edge.New(cfg.Edge, edge.Options{Logger: log, Registerer: reg})
//	err := e.Run(ctx) // until ctx ends; no nginx is left behind
//	if errors.Is(err, edge.ErrNoNginx) {
//		// the text says how to install it
//	}
//
// Without running:
//
//	tree, err := e.Render(ctx) // the files, as values
//	err = tree.Write()         // into the run directory
//	err = e.Check(ctx)         // what nginx says about them
//
// The run directory holds all that nginx writes: versions/ID with the rendered
// files, current pointing to the one in force, logs, temporary files, the
// process id and a socket on which nginx tells which version it serves. It
// belongs to one process at a time, which a lock ensures.
//
// Every value of a configuration is either of a closed form or quoted, so that
// none can add a directive. What is rendered is JSON-minded: errors that nginx
// makes itself are problem documents, and there is no file serving. WebSockets
// are not passed on, certificates are not fetched, and upstreams are not
// checked beyond what nginx does by itself.
//
// An Edge may be used by any number of goroutines; Run is called once. Why it
// is done this way is in DESIGN.md.
package edge
