package edge

import "fmt"

// problem is an answer that nginx makes itself, in the form that the API uses
// (RFC 9457). Its texts are constants of this package.
type problem struct {
	Name   string // slug of its type, and its location
	On     []int  // statuses that become it and stay as they are
	Folded []int  // statuses that become it and are answered as Status
	Status int
	Title  string
	Code   string
	Detail string
	Retry  bool
	Site   site
}

// problems lists what nginx can refuse on its own. 494 to 497 are nginx's own
// numbers: header too large, bad or no client certificate, HTTP on a TLS port.
func problems(s site) []problem {
	all := []problem{
		{Name: "malformed-request", On: []int{400}, Folded: []int{414, 494, 495, 496, 497}, Status: 400, Title: "Malformed request", Code: "invalid",
			Detail: "the request cannot be read, its header is too large, or it is plain HTTP where HTTPS is spoken"},
		{Name: "method-not-allowed", On: []int{405}, Status: 405, Title: "Method not allowed", Code: "invalid",
			Detail: "the method is not allowed here"},
		{Name: "body-too-large", On: []int{413}, Status: 413, Title: "Body too large", Code: "invalid",
			Detail: fmt.Sprintf("the body has more than %d bytes", s.MaxBody)},
		{Name: "internal", On: []int{500}, Status: 500, Title: "Internal error", Code: "internal",
			Detail: "the server is at fault"},
		{Name: "unavailable", On: []int{502, 503, 504}, Status: 503, Title: "Temporarily unavailable", Code: "unavailable", Retry: true,
			Detail: "the server behind the edge does not answer"},
	}
	for i := range all {
		all[i].Site = s
	}
	return all
}
