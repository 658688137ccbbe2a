package cache

import (
	"net/http"
)

// Serve answers the GET or HEAD request r with the answer of key: from memory, or
// made by load. Answers carry Cache-Control, Cache-Status (RFC 9211), ETag, Vary
// and, from memory, Age. If-None-Match is answered by 304, and Accept-Encoding by gzip.
//
// An error is that of load, or says that r's context ended while another request loaded;
// then nothing has been written and nothing stored. The first request that misses runs load on its own
// goroutine, and finishes it even if its client goes away: others
// wait for it, and the next ones profit.
func (c *Cache) Serve(w http.ResponseWriter, r *http.Request, key string, load Loader) error {
	if r.Header[RefreshHeader] != nil && c.refreshing(r.Header) {
		return c.serveLoaded(w, r, demand{key: key, load: load, keepUntil: c.keepUntil(), force: true}, forRequest)
	}
	e, ok := c.entries.GetIfPresent(key)
	if !ok {
		return c.serveLoaded(w, r, demand{key: key, load: load}, forMiss)
	}
	now := c.clock()
	age := max(now-e.made, 0)
	if e.state.Load() != live || age >= int64(c.cfg.Fresh+c.cfg.Stale) {
		return c.serveLoaded(w, r, demand{key: key, load: load}, forStale)
	}
	if age < int64(c.cfg.Fresh) {
		c.metrics.hit.Inc()
	} else {
		c.metrics.stale.Inc()
		c.renewBehind(e, load, now)
	}
	c.writeStored(w, r, e, age)
	return nil
}

// serveLoaded answers r when what is in memory does not do.
func (c *Cache) serveLoaded(w http.ResponseWriter, r *http.Request, d demand, why reason) error {
	f, waited, err := c.do(r.Context(), d)
	switch {
	case err != nil:
		return err
	case f.found:
		c.metrics.hit.Inc()
		c.writeStored(w, r, f.entry, max(c.clock()-f.entry.made, 0))
		return nil
	case waited:
		c.metrics.collapsed.Inc()
	default:
		c.metrics.forwarded[why].Inc()
	}
	c.write(w, r, f.entry, nil, statusOf(why, f.stored, waited))
	return nil
}

// writeStored writes an entry that has been in memory for age.
func (c *Cache) writeStored(w http.ResponseWriter, r *http.Request, e *entry, age int64) {
	f := e.faceAt(age, int64(c.cfg.Fresh))
	c.write(w, r, e, f.ageH, f.status)
}

var varyEncoding = []string{"Accept-Encoding"}

// write writes e to w. It puts slices that all requests share into w's header map:
// they are full, so that whoever adds a value later gets a copy.
func (c *Cache) write(w http.ResponseWriter, r *http.Request, e *entry, age, status []string) {
	h := w.Header()
	h["Cache-Control"] = c.cacheControl
	h["Cache-Status"] = status
	if age != nil {
		h["Age"] = age
	}
	if h["Vary"] == nil {
		h["Vary"] = varyEncoding
	} else {
		h.Add("Vary", "Accept-Encoding")
	}
	v := &e.plain
	if acceptsGzip(r.Header["Accept-Encoding"]) {
		if z := e.gzip(); z != nil {
			v = z
		}
	}
	for i := range e.extra {
		h[e.extra[i].name] = e.extra[i].values
	}
	if condition := r.Header["If-None-Match"]; condition != nil && e.status == http.StatusOK {
		if tag := e.match(condition, v); tag != nil {
			h["Etag"] = tag
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h["Etag"] = v.etag
	h["Content-Type"] = e.contentType
	h["Content-Length"] = v.length
	if v.encoding != nil {
		h["Content-Encoding"] = v.encoding
	}
	if e.status != http.StatusOK {
		w.WriteHeader(e.status)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(v.body) // a client that has gone away is nobody's fault
	}
}

// match returns the entity tag by which the client has the answer already, or nil.
// v is the form that it would be sent. A tag of the other form will do: it names
// the same answer, and a proxy that compresses by itself knows only the plain one.
func (e *entry) match(condition []string, v *variant) []string {
	if len(condition) == 1 && condition[0] == v.etag[0] {
		return v.etag
	}
	if matchesTag(condition, v.etag[0]) {
		return v.etag
	}
	if v != &e.plain {
		if matchesTag(condition, e.plain.etag[0]) {
			return e.plain.etag
		}
	} else if z := e.gzipped.Load(); z != nil && matchesTag(condition, z.etag[0]) {
		return z.etag
	}
	return nil
}

// reason is why an answer was not taken from memory.
type reason uint8

const (
	forMiss    reason = iota // nothing there
	forStale                 // purged, or too old
	forRequest               // a refresh
	reasons
)

// statuses are the Cache-Status headers of answers that were loaded, by reason and by what became of them.
var statuses = func() (s [reasons][4][]string) {
	for why, forward := range [reasons]string{"fwd=miss", "fwd=stale", "fwd=request"} {
		for i, rest := range [4]string{"", "; stored", "; collapsed", "; stored; collapsed"} {
			s[why][i] = []string{"furima; " + forward + rest}
		}
	}
	return s
}()

func statusOf(why reason, stored, collapsed bool) []string {
	i := 0
	if stored {
		i |= 1
	}
	if collapsed {
		i |= 2
	}
	return statuses[why][i]
}

// Holds reports whether Serve would answer a key from memory now.
func (c *Cache) Holds(key string) bool {
	e, ok := c.entries.GetIfPresent(key)
	return ok && e.state.Load() == live && max(c.clock()-e.made, 0) < int64(c.cfg.Fresh+c.cfg.Stale)
}
