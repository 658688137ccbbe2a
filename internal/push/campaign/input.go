package campaign

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// maxLineBytes is how long a line may be: more than a notification for a
// thousand browsers takes.
const maxLineBytes = 4 << 20

// position is a place in the input between two lines.
type position struct {
	Offset int64  `json:"offset"` // in bytes
	Line   int64  `json:"line"`   // lines before it
	Digest string `json:"digest"` // SHA-256 of everything before it
}

// input reads lines and knows where it is. A line counts only when it is taken,
// so that one that was looked at can stay for the next batch.
type input struct {
	r      *bufio.Reader
	digest hash.Hash
	offset int64
	line   int64

	raw  []byte // the line that was looked at, with its end
	long []byte // raw, when it does not fit into the reader
	over bool   // it was longer than maxLineBytes: raw is empty, it is taken already
}

func newInput(r io.Reader) *input {
	return &input{r: bufio.NewReaderSize(r, 256<<10), digest: sha256.New()}
}

// peek returns the next line without its end, which stays valid until take.
// tooLong means that it was skipped. The error is io.EOF after the last one.
func (in *input) peek() (content []byte, tooLong bool, err error) {
	if in.raw == nil && !in.over {
		if err := in.read(); err != nil {
			return nil, false, err
		}
	}
	return trim(in.raw), in.over, nil
}

func (in *input) read() error {
	raw, err := in.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		in.long = in.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) && !in.over {
			if len(in.long)+len(raw) > maxLineBytes {
				in.over = true
				break
			}
			in.long = append(in.long, raw...)
			raw, err = in.r.ReadSlice('\n')
		}
		if !in.over {
			in.long = append(in.long, raw...)
			raw = in.long
		}
	}
	if in.over {
		in.count(in.long)
		in.count(raw)
		for errors.Is(err, bufio.ErrBufferFull) {
			raw, err = in.r.ReadSlice('\n')
			in.count(raw)
		}
		in.long = nil
		raw = nil
	}
	switch {
	case err == nil, errors.Is(err, io.EOF) && (len(raw) > 0 || in.over):
		in.raw = raw
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return fmt.Errorf("read line %d: %w", in.line+1, err)
}

func (in *input) count(b []byte) {
	in.digest.Write(b)
	in.offset += int64(len(b))
}

// take ends the line that was looked at, and returns its number.
func (in *input) take() int64 {
	in.count(in.raw)
	in.raw, in.over = nil, false
	if cap(in.long) > 1<<20 {
		in.long = nil
	}
	in.line++
	return in.line
}

// position is where the input is: after the last line that was taken.
func (in *input) position() position {
	return position{in.offset, in.line, hex.EncodeToString(in.digest.Sum(nil))}
}

var (
	errShortInput = errors.New("the input ends before the place where the campaign stopped: it is not the same input")
	errOtherInput = errors.New("the input differs from what was sent before: it is not the same input")
)

// skip goes to where an earlier run has stopped, and checks that what comes
// before is what that run had read.
func (in *input) skip(to position) error {
	if to.Offset == 0 {
		return nil
	}
	n, err := io.CopyN(in.digest, in.r, to.Offset)
	switch {
	case errors.Is(err, io.EOF):
		return errShortInput
	case err != nil:
		return fmt.Errorf("read what was sent before: %w", err)
	case hex.EncodeToString(in.digest.Sum(nil)) != to.Digest:
		return errOtherInput
	}
	in.offset, in.line = n, to.Line
	return nil
}
