package h2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/furima/furima/internal/push/h2"
)

// standIn is a server that takes notifications for some devices.
func standIn() *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("apns-id", r.Header.Get("apns-id"))
		if r.URL.Path == "/3/device/dead" {
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"reason":"Unregistered"}`)
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	return s
}

func Example() {
	server := standIn()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	ctx := context.Background()
	pool, err := h2.Open(h2.Config{URL: server.URL, TLS: &tls.Config{RootCAs: roots}, Keep: []string{"apns-id"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(ctx) }()

	alert, err := h2.NewHeaders("POST",
		h2.Field{Name: "apns-topic", Value: "com.example.market"},
		h2.Field{Name: "apns-push-type", Value: "alert"})
	if err != nil {
		fmt.Println(err)
		return
	}
	payload := []byte(`{"aps":{"alert":"Sold!"}}`)
	answers := pool.Do(ctx, []h2.Request{
		{Headers: alert, Path: "/3/device/alive", Fields: []h2.Field{{Name: "apns-id", Value: "1"}}, Body: payload},
		{Headers: alert, Path: "/3/device/dead", Fields: []h2.Field{{Name: "apns-id", Value: "2"}}, Body: payload},
	})
	for _, a := range answers {
		fmt.Printf("%s: %d %s %v\n", a.Kept[0], a.Status, a.Body, a.Err)
	}
	// Output:
	// 1: 200  <nil>
	// 2: 410 {"reason":"Unregistered"} <nil>
}

func ExampleBatch() {
	server := standIn()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	ctx := context.Background()
	pool, err := h2.Open(h2.Config{URL: server.URL, TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(ctx) }()
	h, err := h2.NewHeaders("POST", h2.Field{Name: "apns-topic", Value: "com.example.market"})
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := &h2.Batch{Requests: make([]h2.Request, 1000)}
	sent := 0
	batch.Done = func(ready []int) { // progress, as it comes
		for _, i := range ready {
			if batch.Responses[i].Status == 200 {
				sent++
			}
		}
	}
	for i := range batch.Requests {
		batch.Requests[i] = h2.Request{Headers: h, Path: fmt.Sprintf("/3/device/%d", i), Body: []byte("{}")}
	}
	if err := pool.Start(ctx, batch); err != nil {
		fmt.Println(err)
		return
	}
	batch.Wait()
	fmt.Println(sent, "sent")
	// Output: 1000 sent
}
