package sandbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func startWebPush(t *testing.T, o WebPushOptions) (*WebPush, *http.Client) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Phones == nil {
		o.Phones = NewPhones(PhonesOptions{})
	}
	w, err := OpenWebPush(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	root, err := os.ReadFile(w.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w, &http.Client{Transport: transport}
}

// The message of RFC 8291, appendix A, and what the browser has to open it.
const (
	rfcMessage = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	rfcKey     = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	rfcAuth    = "BTBZMqHH6r4Tts7J_aSIgg"
)

func raw(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBrowserOpensTheExampleOfTheRFC(t *testing.T) {
	t.Parallel()
	b, err := newBrowser(append(raw(t, rfcKey), raw(t, rfcAuth)...))
	if err != nil {
		t.Fatal(err)
	}
	message := raw(t, rfcMessage)
	plain, err := b.open(message)
	if err != nil || string(plain) != "When I grow up, I want to be a watermelon" {
		t.Fatalf("%q, %v", plain, err)
	}
	for i := range message {
		broken := bytes.Clone(message)
		broken[i] ^= 1
		if i >= 16 && i < 20 {
			continue // the size of records is not protected, and only bounds them
		}
		if plain, err := b.open(broken); err == nil {
			t.Errorf("with another byte %d it is %q", i, plain)
		}
	}
	for n := range message {
		if _, err := b.open(message[:n]); err == nil {
			t.Errorf("its first %d bytes are a message", n)
		}
	}
}

// authorize makes the header of a page's server.
func authorize(t *testing.T, key *ecdsa.PrivateKey, claims jwt.MapClaims) string {
	t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	return "vapid t=" + signed + ", k=" + base64.RawURLEncoding.EncodeToString(public.Bytes())
}

func TestWebPushChecksRequests(t *testing.T) {
	t.Parallel()
	w, client := startWebPush(t, WebPushOptions{})
	endpoint := func(token string) string { return w.URL() + webPushPath + PhoneOf(token) }
	gone := w.NewSubscription()
	w.o.Phones.Uninstall(PhoneOf(gone))
	claims := func() jwt.MapClaims {
		return jwt.MapClaims{"aud": w.URL(), "exp": time.Now().Add(time.Hour).Unix(), "sub": "mailto:a@b.example"}
	}
	other, err := makeKey(t.TempDir() + "/other.key")
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*http.Request) {
		return func(r *http.Request) {
			c := claims()
			c[name] = value
			r.Header.Set("Authorization", authorize(t, w.vapid, c))
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		change func(r *http.Request)
		want   string
	}{
		// The encryption is the last thing to be checked; a message that can be
		// opened is the sender's test.
		"well but for its encryption": {func(*http.Request) {}, "400 encryption"},
		"GET":                         {func(r *http.Request) { r.Method, r.Body = http.MethodGet, nil }, "405 method"},
		"another path":                {func(r *http.Request) { r.URL.Path = "/x" }, "404 path"},
		"no such subscription":        {func(r *http.Request) { r.URL.Path = webPushPath + strings.Repeat("0", 48) }, "404 subscription"},
		"removed":                     {func(r *http.Request) { r.URL.Path = webPushPath + PhoneOf(gone) }, "410 subscription"},
		"no authorization":            {func(r *http.Request) { r.Header.Del("Authorization") }, "401 vapid"},
		"another scheme":              {header("Authorization", "Bearer x"), "401 vapid"},
		"another key":                 {func(r *http.Request) { r.Header.Set("Authorization", authorize(t, other, claims())) }, "403 key"},
		"another origin":              {claim("aud", "https://push.example"), "403 token"},
		"over":                        {claim("exp", time.Now().Add(-time.Minute).Unix()), "403 token"},
		"no end":                      {claim("exp", nil), "403 token"},
		"an end too far":              {claim("exp", time.Now().Add(25*time.Hour).Unix()), "403 exp"},
		"no contact":                  {claim("sub", nil), "403 sub"},
		"no TTL":                      {func(r *http.Request) { r.Header.Del("TTL") }, "400 ttl"},
		"TTL below 0":                 {header("TTL", "-1"), "400 ttl"},
		"TTL above four weeks":        {header("TTL", "2419201"), "400 ttl"},
		"no encoding":                 {func(r *http.Request) { r.Header.Del("Content-Encoding") }, "400 content-encoding"},
		"a topic that is none":        {header("Topic", "a.b"), "400 topic"},
		"an urgency of its own":       {header("Urgency", "urgent"), "400 urgency"},
		"4097 bytes":                  {func(r *http.Request) { setBody(r, make([]byte, 4097)) }, "413 body"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint(w.NewSubscription()), nil)
		if err != nil {
			t.Fatal(err)
		}
		setBody(r, raw(t, rfcMessage))
		for k, v := range map[string]string{"TTL": "60", "Content-Encoding": "aes128gcm", "Topic": "or_1", "Authorization": authorize(t, w.vapid, claims())} {
			r.Header.Set(k, v)
		}
		c.change(r)
		before := w.Answers()
		res, err := client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if got := w.Answers(); got[c.want] != before[c.want]+1 {
			t.Errorf("%s: %d, want %s; answers %v", name, res.StatusCode, c.want, got)
		}
	}
}

func setBody(r *http.Request, b []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
}

func TestSubscriptionsOutliveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, _ := startWebPush(t, WebPushOptions{Dir: dir})
	token := w.NewSubscription()
	again, _ := startWebPush(t, WebPushOptions{Dir: dir})
	if _, err := again.browser(PhoneOf(token)); err != nil {
		t.Error(err)
	}
	other, _ := startWebPush(t, WebPushOptions{})
	if _, err := other.browser(PhoneOf(token)); err == nil {
		t.Error("another stand-in knows it")
	}
	if first, second := w.NewSubscription(), w.NewSubscription(); first == second {
		t.Error("two subscriptions are the same")
	}
	if PhoneOf("x") != "" || PhoneOf(`{"endpoint":"https://a/b"}`) != "" {
		t.Error("a phone without a subscription")
	}
}

func TestWebPushControl(t *testing.T) {
	t.Parallel()
	w, _ := startWebPush(t, WebPushOptions{})
	do := func(method, path, body string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.Control().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
		return rec
	}
	var out struct{ Tokens, Phones []string }
	rec := do(http.MethodPost, "/sandbox/webpush/subscriptions?count=3", "")
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != http.StatusCreated || len(out.Tokens) != 3 || len(out.Phones) != 3 {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	for i := range out.Tokens {
		if PhoneOf(out.Tokens[i]) != out.Phones[i] || out.Phones[i] == "" {
			t.Errorf("token %s is of phone %s", out.Tokens[i], out.Phones[i])
		}
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/sandbox/webpush/subscriptions?count=-1", "", 400},
		{http.MethodPost, "/sandbox/webpush/subscriptions?count=10001", "", 400},
		{http.MethodPost, "/sandbox/webpush/faults", `{"status":503,"count":2}`, 204},
		{http.MethodPost, "/sandbox/webpush/faults", `{"status":99}`, 400},
		{http.MethodPost, "/sandbox/webpush/faults", `{"statuss":503}`, 400},
		{http.MethodPost, "/sandbox/webpush/faults", `{}`, 400},
		{http.MethodGet, "/sandbox/webpush/counts", "", 200},
		{http.MethodDelete, "/sandbox/webpush/faults", "", 204},
	} {
		if rec := do(c.method, c.path, c.body); rec.Code != c.status {
			t.Errorf("%s %s %s: %d, want %d", c.method, c.path, c.body, rec.Code, c.status)
		}
	}
	if _, failing := w.troubles.next("x"); failing {
		t.Error("a fault is left")
	}
}

func TestShowOfAnyMessage(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]Delivery{
		`{"title":"t","body":"b","badge":2}`: {Title: "t", Body: "b", Badge: 2, Payload: json.RawMessage(`{"title":"t","body":"b","badge":2}`)},
		`[1]`:                                {Payload: json.RawMessage(`[1]`)},
		"plain \xff text":                    {Payload: json.RawMessage(`"plain \ufffd text"`)},
		"":                                   {Payload: json.RawMessage(`""`)},
	} {
		var d Delivery
		d.show([]byte(plain))
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("%q (-want +got):\n%s", plain, diff)
		}
	}
}
