package api

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/photo"
)

const (
	// maxUploads bounds how many photos are received at once; each is held in memory until it is decoded.
	maxUploads = 32
	// maxForm bounds a whole form. The photo in it has its own limit, in package photo; this one
	// ends a form that never comes to its photo.
	maxForm = 257 << 20
	// photoTimeout bounds decoding and storing a photo after it has arrived.
	photoTimeout = 60 * time.Second
)

// addPhoto takes one picture out of a form. It is read as it arrives: nothing is written to a
// temporary file, and a form without a picture costs no memory.
func (a *API) addPhoto(w http.ResponseWriter, r *http.Request) error {
	if err := a.limits.takeIP(classWrite, r); err != nil {
		return err
	}
	who, err := a.authenticate(r)
	if err == nil {
		err = a.limits.take(classWrite, ofUser, keyOfUser(who.user))
	}
	if err != nil {
		return err
	}
	x := exchangeOf(w)
	x.user = who.user.String()
	if err := noQuery(r); err != nil {
		return err
	}
	if r.ContentLength > maxForm {
		return tooLarge(maxForm)
	}
	select {
	case a.uploads <- struct{}{}:
		defer func() { <-a.uploads }()
	default:
		return &refusal{kind: kindUnavailable, detail: "too many photos arrive at once", retryAfter: 2 * time.Second}
	}
	r.Body = http.MaxBytesReader(x.ResponseWriter, r.Body, maxForm)
	part, err := photoPart(r)
	if err != nil {
		return err
	}
	ctx, cancel := detached(r.Context(), a.cfg.PhotoTimeout+photoTimeout)
	defer cancel()
	done := readDeadline(w, a.cfg.PhotoTimeout)
	stored, err := a.photos.Add(ctx, &bodyReader{r: part, done: done})
	if err != nil {
		return err
	}
	p, err := a.store.AddPhoto(ctx, market.Photo{Owner: who.user, Name: stored.Name, Width: stored.Width, Height: stored.Height})
	if err != nil {
		return err
	}
	body, err := encode(photoOut(p))
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = contentJSON
	h.Set("Cache-Control", noStore)
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
	return nil
}

// photoPart finds the picture: the form's first part, which is called file.
func photoPart(r *http.Request) (io.Reader, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "multipart/form-data" {
		return nil, refuse(kindMediaType, "the body must be multipart/form-data with a part called file")
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, refuse(kindMalformed, "the form has no boundary")
	}
	part, err := form.NextPart()
	switch {
	case errors.Is(err, io.EOF):
		return nil, invalidField("/file", "is missing")
	case errors.Is(err, multipart.ErrMessageTooLarge):
		return nil, refuse(kindMalformed, "a part of the form has too long a header")
	case err != nil:
		return nil, bodyRefusal(err, maxForm)
	case part.FormName() != "file":
		return nil, invalidField("/"+clip(part.FormName()), "is not known; the picture is called file")
	}
	return part, nil
}

// bodyReader tells faults of the body from those of the picture in it, and ends the deadline of
// the reading when it is over: making three sizes takes its own time.
type bodyReader struct {
	r    io.Reader
	done func()
}

// Read reads the part.
func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.done()
		return n, io.EOF
	}
	return n, bodyRefusal(err, maxForm)
}

// getPhoto gives a photo out. Its name is made from what it shows, so that it never changes.
func (a *API) getPhoto(w http.ResponseWriter, r *http.Request) error {
	return a.photos.Serve(w, r, r.PathValue("file"))
}

// photoRefusal says how a refusal of package photo is told.
func photoRefusal(e *photo.Error) *refusal {
	k := kindInternal
	switch e.Kind {
	case photo.TooLarge:
		k = kindTooLarge
	case photo.Unsupported:
		k = kindMediaType
	case photo.Invalid:
		k = kindInvalid
	case photo.NotFound:
		k = kindNotFound
	}
	return &refusal{kind: k, detail: e.Detail, err: e.Err}
}

func addPhotoOperation(registry huma.Registry) huma.Operation {
	o := operation{
		id: "addPhoto", method: http.MethodPost, path: "/v1/photos", access: accessUser, tag: "photos", summary: "Upload a photo",
		about: "One picture, JPEG, PNG or WebP. It is turned upright, made into three sizes, and freed of everything but what one sees. " +
			"An item names the photo by its id.",
		errors: []int{
			http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
			http.StatusUnprocessableEntity, http.StatusInternalServerError,
		},
	}.huma()
	o.Errors = sorted(o.Errors)
	o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{"file"},
		Properties: map[string]*huma.Schema{"file": {Type: huma.TypeString, Format: "binary", Description: "The picture."}},
	}}}}
	o.Responses = map[string]*huma.Response{"201": {
		Description: http.StatusText(http.StatusCreated),
		Content:     map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(reflect.TypeFor[client.Photo](), true, "")}},
	}}
	return o
}

func getPhotoOperation() huma.Operation {
	o := operation{
		id: "getPhoto", method: http.MethodGet, path: "/photos/{file}", tag: "photos", summary: "Photo",
		about: "The file behind one of a photo's URLs. It never changes, so that it may be kept for a year.", errors: []int{http.StatusNotFound},
	}.huma()
	o.Errors = sorted(append(o.Errors, http.StatusInternalServerError))
	o.Parameters = []*huma.Param{pathParameter("file", "Name of the photo and of one of its sizes.")}
	o.Responses = map[string]*huma.Response{"200": {
		Description: http.StatusText(http.StatusOK),
		Content:     map[string]*huma.MediaType{"image/jpeg": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}}
	return o
}
