package warm

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"time"
)

// idleClose is how long a worker keeps a connection that it does not use, so
// that a server which closes it never leaves it half open for long.
const idleClose = 20 * time.Second

// work does batches until there are no more or ctx ends.
func (t *target) work(ctx context.Context, todo <-chan *batch, done chan<- *batch) {
	c := &conn{d: t.dialer}
	defer c.close()
	defer context.AfterFunc(ctx, c.abort)()
	w := &worker{t: t, c: c}
	idle := time.NewTimer(idleClose)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			c.close()
		case b, ok := <-todo:
			if !ok {
				return
			}
			w.do(ctx, b)
			if ctx.Err() != nil {
				return
			}
			done <- b
			idle.Reset(idleClose)
		}
	}
}

// do refreshes the combinations of a batch, up to the first that finds the
// origin in trouble: the rest would only add to it.
func (w *worker) do(ctx context.Context, b *batch) {
	b.results = b.results[:0]
	trouble := false
	for _, key := range b.keys {
		if trouble || ctx.Err() != nil {
			b.results = append(b.results, result{key: key, verdict: verdictOrigin, skipped: true})
			continue
		}
		start := time.Now()
		r := w.refresh(ctx, key)
		r.took = time.Since(start)
		trouble = r.verdict == verdictOrigin
		b.results = append(b.results, r)
	}
}

// worker is one worker of a target.
type worker struct {
	t    *target
	c    *conn
	urls urlMaker
	page []byte // target of a following page
}

// refresh requests the combination and its following pages.
func (w *worker) refresh(ctx context.Context, key int64) result {
	r := result{key: key}
	o, target, err := w.urls.make(w.t.plan, key)
	if err != nil {
		r.verdict, r.problem = verdictBad, err.Error()
		return r
	}
	for {
		w.c.answer.wantNext = r.pages+1 < w.t.cfg.Pages
		w.request(ctx, o, target, &r)
		if r.verdict != verdictOK || !w.c.answer.wantNext || len(w.c.answer.next) == 0 {
			return r
		}
		next, err := follow(o, target, w.c.answer.next)
		if err != nil {
			r.verdict, r.problem = verdictBad, "follow the next page: "+err.Error()
			return r
		}
		if string(next) == string(target) {
			return r
		}
		w.page = append(w.page[:0], next...)
		target = w.page
	}
}

// request requests one page and books it.
func (w *worker) request(ctx context.Context, o *origin, target []byte, r *result) {
	m := w.t.metrics
	start := time.Now()
	if err := w.c.get(ctx, o, target); err != nil {
		if ctx.Err() == nil {
			m.noAnswer.Inc()
		}
		r.verdict, r.problem = verdictOrigin, err.Error()
		return
	}
	a := &w.c.answer
	m.duration.Observe(time.Since(start).Seconds())
	m.bytes.Add(float64(a.bytes))
	m.answers[a.cache].Inc()
	r.verdict = judge(a.status)
	m.outcomes[r.verdict].Inc()
	r.pages++
	if r.verdict != verdictOK {
		r.problem, r.retryAfter = statusProblem(a.status), a.retryAfter
	}
}

var errOtherOrigin = errors.New("it is on another host")

// follow resolves the target of a Link against the page that it stands on. It
// leaves the origin never: a header must not make the warmer request what
// nobody configured, with a secret in its hands.
func follow(o *origin, page, link []byte) ([]byte, error) {
	for _, c := range link {
		if c <= ' ' || c >= 0x7f {
			return nil, errors.New("its address holds characters that a URL cannot")
		}
	}
	link, _, _ = bytes.Cut(link, []byte{'#'})
	path, _, _ := bytes.Cut(page, []byte{'?'})
	switch {
	case len(link) == 0:
		return page, nil
	case link[0] == '?':
		return append(bytes.Clone(path), link...), nil
	case bytes.HasPrefix(link, []byte("//")):
		return nil, errOtherOrigin
	case link[0] == '/':
		return link, nil
	}
	ref, err := url.Parse(string(link))
	if err != nil {
		return nil, errors.New("its address is no URL")
	}
	if ref.Scheme != "" {
		n, ok := originBytes(link)
		if !ok {
			return nil, errOtherOrigin
		}
		if other, err := parseOrigin(string(link[:n])); err != nil || *other != *o {
			return nil, errOtherOrigin
		}
		return link[n:], nil
	}
	base, err := url.Parse(string(page))
	if err != nil {
		return nil, errors.New("the page's own address is no URL")
	}
	return []byte(base.ResolveReference(ref).RequestURI()), nil
}
