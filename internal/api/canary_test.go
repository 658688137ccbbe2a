package api_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/api"
)

// recording notes every answer that a client gets.
type recording struct {
	next http.RoundTripper
	all  *strings.Builder
}

func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(r.all, "%s %s → %d %v %s\n", req.Method, req.URL.Path, res.StatusCode, res.Header, b)
	_ = res.Body.Close()
	res.Body = io.NopCloser(strings.NewReader(string(b)))
	return res, nil
}

// TestSecretsStaySecret plants secrets in every place that takes one, makes every kind of answer,
// and looks for them in all that comes out.
func TestSecretsStaySecret(t *testing.T) {
	const (
		secretPassword = "canary-password-41"
		wrongPassword  = "canary-wrong-pw-42"
		device         = "canary-device-43"
		payment        = "canary-payment-44"
		address        = "canary-45@example.com"
		newPassword    = "canary-new-pw-47"
		street         = "canary-street-48"
		token          = "fm_canary46canary46canary46canary46canary46cana_123456"
	)
	b := newBench(t, options{})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var answers strings.Builder
	c := client.New(client.Options{BaseURL: b.url, HTTPClient: &http.Client{Transport: recording{transport, &answers}}})
	ctx := t.Context()

	reg := client.Registration{Email: address, Password: secretPassword, Name: "Canary"}
	s, err := c.Register(ctx, reg)
	must(t, err)
	registered := answers.String() // this and the log-in show the session to its owner, once
	answers.Reset()
	_, _ = c.Register(ctx, reg)
	_, _ = c.Register(ctx, client.Registration{Email: address + "\x00", Password: secretPassword, Name: ""})
	_, _ = c.LogIn(ctx, client.Credentials{Email: address, Password: wrongPassword})
	_, _ = c.LogIn(ctx, client.Credentials{Email: address, Password: strings.Repeat(wrongPassword, 10)})
	_, _ = c.WithToken(token).Me(ctx)
	me := c.WithToken(s.Token)
	_, _ = me.PutDevice(ctx, "phone", client.DeviceRegistration{Platform: client.APNS, Token: device})
	_, _ = me.PutDevice(ctx, "phone", client.DeviceRegistration{Platform: "pager", Token: device + "\n"})
	_, _ = c.User(ctx, s.User.ID)
	_ = me.ChangePassword(ctx, client.NewPassword{Current: wrongPassword, New: newPassword})
	_ = me.ChangePassword(ctx, client.NewPassword{Current: secretPassword, New: "short" + newPassword[:4]})
	must(t, me.ChangePassword(ctx, client.NewPassword{Current: secretPassword, New: newPassword}))
	_ = me.DeleteAccount(ctx, wrongPassword)
	_, _ = me.ChangeMe(ctx, client.MePatch{Address: &client.Address{Name: "x", PostalCode: "1", Street: street}}) // without a city
	soFar := answers.String()
	_, err = me.ChangeMe(ctx, client.MePatch{Address: &client.Address{Name: "x", PostalCode: "1", City: "y", Street: street}})
	must(t, err)
	answers.Reset() // the owner sees the address, and nobody else
	answers.WriteString(soFar)
	_, _ = c.User(ctx, s.User.ID)
	ken, _ := b.person("Ken")
	item := b.item(ken, "Chair", 500)
	_, _ = me.Buy(ctx, client.NewOrder{ItemID: item.ID, ExpectedPrice: 500, PaymentToken: payment})
	_, _ = me.Buy(ctx, client.NewOrder{ItemID: item.ID, ExpectedPrice: -1, PaymentToken: payment})
	_, err = me.Buy(ctx, client.NewOrder{ItemID: item.ID, ExpectedPrice: 500, PaymentToken: "tok_ok"})
	must(t, err)
	own, err := me.ListItem(ctx, client.NewItem{Title: "Table", Price: 500, CategoryID: 2, Condition: "good"})
	must(t, err)
	_, err = ken.Comment(ctx, own.ID, "hi")
	must(t, err)
	b.gateway.wait(t) // the notification has been made
	for _, raw := range []string{`{"password":"` + secretPassword, `{"password":{"x":"` + secretPassword + `"},"email":["` + address + `"]}`, `"` + secretPassword + `"`} {
		for _, path := range []string{"/v1/users", "/v1/sessions"} {
			answers.WriteString(body(t, b.do(http.MethodPost, path, raw, "Content-Type", "application/json")))
		}
	}
	must(t, me.LogOut(ctx))
	b.flush()

	var metrics strings.Builder
	families, err := b.reg.Gather()
	must(t, err)
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&metrics, f)
		must(t, err)
	}
	for what, text := range map[string]string{"answers": answers.String(), "the log": b.log.String(), "metrics": metrics.String()} {
		if len(text) < 1000 {
			t.Errorf("%s: only %d bytes, nothing to look at", what, len(text))
		}
		for _, secret := range []string{secretPassword, wrongPassword, newPassword, street, device, payment, address, token, s.Token, tokenOf(ken), "argon2id", "gateway-secret"} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s hold %q: …%s…", what, secret, text[max(0, i-200):min(len(text), i+len(secret)+50)])
			}
		}
	}
	if !strings.Contains(registered, s.Token) || strings.Contains(registered, secretPassword) || !api.PlausibleToken(s.Token) {
		t.Error("registering shows the token once and the password never")
	}
}
