package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
)

// Photo is a picture of an item, in three sizes.
type Photo struct {
	ID     string    `json:"id" doc:"Id of the photo; items name it." example:"ph_0c2tn5w8q1z4x"`
	Width  int       `json:"width" doc:"Width of the large size, in pixels."`
	Height int       `json:"height" doc:"Height of the large size, in pixels."`
	URLs   PhotoURLs `json:"urls" doc:"Where its sizes are. What is there never changes."`
}

// PhotoURLs are the places of a photo's sizes, relative to the API.
type PhotoURLs struct {
	Small  string `json:"small" doc:"At most 320 pixels a side."`
	Medium string `json:"medium" doc:"At most 800 pixels a side."`
	Large  string `json:"large" doc:"At most 1600 pixels a side."`
}

// AddPhoto uploads a JPEG, PNG or WebP picture. It is read from r while it is
// sent, and never held whole.
func (c *Client) AddPhoto(ctx context.Context, r io.Reader) (Photo, error) {
	pr, pw := io.Pipe()
	form := multipart.NewWriter(pw)
	done := make(chan struct{})
	go func() {
		defer close(done)
		part, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="file"; filename="photo"`},
			"Content-Type":        {"application/octet-stream"},
		})
		if err == nil {
			_, err = io.Copy(part, r)
		}
		if err == nil {
			err = form.Close()
		}
		pw.CloseWithError(err) // nil: the end
	}()
	var out Photo
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/photos", body: pr, contentType: form.FormDataContentType()}, &out)
	// The server may have answered before it read everything.
	pr.CloseWithError(io.ErrClosedPipe)
	<-done
	if err != nil {
		return Photo{}, fmt.Errorf("add photo: %w", err)
	}
	return out, nil
}

// PhotoFile returns the bytes behind one of a photo's URLs.
func (c *Client) PhotoFile(ctx context.Context, path string) ([]byte, error) {
	if !strings.HasPrefix(path, "/photos/") {
		// Behind anything else the token could end up on another host.
		return nil, errors.New("get photo: its URL must begin with /photos/")
	}
	b, err := c.raw(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return nil, fmt.Errorf("get photo: %w", err)
	}
	return b, nil
}
