package campaign

import (
	"context"
	"errors"
	"io"

	"github.com/furima/furima/client"
)

// MaxWindow is for the test that nothing piles up.
const MaxWindow = maxWindow

// Cut cuts what is left of an input after skip bytes into requests, and tells
// where each begins.
func Cut(r io.ReadSeeker, skip int64, o Options) (requests []client.PushRequest, starts []int64, bad []BadLine, err error) {
	o.Sender = noSender{}
	if o, err = o.withDefaults(); err != nil {
		return nil, nil, nil, err
	}
	if _, err := r.Seek(skip, io.SeekStart); err != nil {
		return nil, nil, nil, err
	}
	in := newInput(r)
	in.offset = skip
	br := newBatcher(in, newParser(&o), o.Batch, func(b BadLine) error {
		bad = append(bad, b)
		return nil
	})
	for {
		b, err := br.next()
		if errors.Is(err, io.EOF) {
			return requests, starts, bad, nil
		}
		if err != nil {
			return nil, nil, nil, err
		}
		req, _ := b.request()
		requests = append(requests, req)
		starts = append(starts, b.start)
	}
}

type noSender struct{}

func (noSender) Send(context.Context, client.PushRequest) (client.PushAccepted, error) {
	return client.PushAccepted{}, errors.New("nobody sends here")
}

// ParseLine reads one line and returns what it asks for.
func ParseLine(raw []byte, o Options) (n client.Notification, app string, err error) {
	it, err := newParser(&o).parse(trim(raw))
	n = it.text
	n.Tokens = it.tokens
	return n, it.app, err
}
