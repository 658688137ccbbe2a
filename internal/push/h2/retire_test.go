package h2_test

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"

	"github.com/furima/furima/internal/push/h2"
)

func TestRetireReplacesConnections(t *testing.T) {
	t.Parallel()
	bubble(t, h2.Config{}, func(w *world) {
		b := w.start(post(t, 3, "x")...)
		old := w.accept(maxStreams(2))
		reqs := old.expect(2)
		w.pool.Retire()
		w.pool.Retire() // which changes nothing
		fresh := w.accept()
		fresh.answerAll(fresh.expect(1)) // what waited goes over another one
		if old.handle(); old.closed != nil {
			t.Fatal("closed with requests under way")
		}
		old.answerAll(reqs)
		wantOK(t, w.wait(b))
		old.expectGoAway(http2.ErrCodeNo)

		w.pool.Retire() // with nothing under way
		fresh.expectGoAway(http2.ErrCodeNo)
		b = w.start(post(t, 1, "x")...)
		third := w.accept()
		third.answerAll(third.expect(1))
		wantOK(t, w.wait(b))
		if len(w.dials) != 3 || w.dials[2].After(w.dials[1]) {
			t.Errorf("connected at %v: a retired connection is no failure", w.dials)
		}
	})
}

func TestRetireBeforeAnything(t *testing.T) {
	t.Parallel()
	bubble(t, h2.Config{}, func(w *world) {
		w.pool.Retire()
		b := w.start(post(t, 1, "x")...)
		p := w.acceptSilent()
		w.pool.Retire() // while it waits for settings
		p.settings()
		p = w.accept()
		p.answerAll(p.expect(1))
		wantOK(t, w.wait(b))
	})
}

func TestSpentConnectionTakesNoMore(t *testing.T) {
	t.Parallel()
	spent := func(r *h2.Response) bool {
		if r.Status/100 == 2 {
			t.Error("asked about success")
		}
		return bytes.Equal(r.Body, []byte("enough"))
	}
	bubble(t, h2.Config{Spent: spent}, func(w *world) {
		b := w.start(post(t, 5, "x")...)
		old := w.accept(maxStreams(3))
		reqs := old.expect(3)
		old.answer(reqs[0], 404, "not that")
		fourth := old.expect(1)
		old.answer(reqs[1], 503, "enough")
		fresh := w.accept()
		fresh.answerAll(fresh.expect(1))
		old.expect(0)
		old.answerAll(append(reqs[2:], fourth...))
		got := w.wait(b)
		for i, want := range []int{404, 503, 200, 200, 200} {
			if got[i].Status != want || got[i].Err != nil {
				t.Errorf("request %d: %d, %v, want %d", i, got[i].Status, got[i].Err, want)
			}
		}
		old.expectGoAway(http2.ErrCodeNo)
	})
}
