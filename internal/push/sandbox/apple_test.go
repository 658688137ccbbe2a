package sandbox_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push/sandbox"
)

const aToken = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// stand is a running stand-in and a client that trusts it.
type stand struct {
	*sandbox.Apple
	phones *sandbox.Phones
	client *http.Client
	key    *ecdsa.PrivateKey
}

func start(t *testing.T, o sandbox.AppleOptions) *stand {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Phones == nil {
		o.Phones = sandbox.NewPhones(sandbox.PhonesOptions{})
	}
	apple, err := sandbox.OpenApple(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- apple.Run(ctx) }()
	s := &stand{Apple: apple, phones: o.Phones, client: clientOf(t, apple), key: keyOf(t, apple)}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

func clientOf(t *testing.T, apple *sandbox.Apple) *http.Client {
	t.Helper()
	root, err := os.ReadFile(apple.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		t.Fatal("the root is no certificate")
	}
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

func keyOf(t *testing.T, apple *sandbox.Apple) *ecdsa.PrivateKey {
	t.Helper()
	raw, err := os.ReadFile(apple.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}

func provider(t *testing.T, key *ecdsa.PrivateKey, kid, team string, issued time.Time) string {
	t.Helper()
	j := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": team, "iat": issued.Unix()})
	j.Header["kid"] = kid
	s, err := j.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "bearer " + s
}

// send posts a notification that is fine but for what change does to it.
func (s *stand) send(t *testing.T, change func(r *http.Request)) (status int, reason string, timestamp int64) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/3/device/"+aToken, strings.NewReader(`{"aps":{"alert":"hello"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{
		"apns-topic": "com.example.market", "apns-push-type": "alert", "apns-priority": "10",
		"apns-id":       "6f2e1c4a-0000-8000-8000-000000000001",
		"authorization": provider(t, s.key, sandbox.KeyID, sandbox.TeamID, time.Now()),
	} {
		r.Header.Set(name, v)
	}
	if change != nil {
		change(r)
	}
	res, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Fatalf("answered with %s", res.Proto)
	}
	if id := r.Header.Get("apns-id"); id != "" && res.Header.Get("apns-id") != id {
		t.Errorf("apns-id %q came back as %q", id, res.Header.Get("apns-id"))
	}
	var answer struct {
		Reason    string
		Timestamp int64
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == 200 {
		if len(raw) > 0 {
			t.Errorf("200 with a body: %s", raw)
		}
	} else if err := json.Unmarshal(raw, &answer); err != nil {
		t.Errorf("%d with %q: %v", res.StatusCode, raw, err)
	}
	return res.StatusCode, answer.Reason, answer.Timestamp
}

func TestAppleChecks(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{Topics: []string{"com.example.market"}})
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	auth := func(key *ecdsa.PrivateKey, kid, team string, age time.Duration) func(*http.Request) {
		return set("authorization", provider(t, key, kid, team, time.Now().Add(-age)))
	}
	path := func(p string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = p } }
	body := func(b string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(b)), int64(len(b))
		}
	}
	big := func(n int) string {
		return `{"aps":{"alert":"` + strings.Repeat("x", n-len(`{"aps":{"alert":""}}`)) + `"}}`
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
		reason string
	}{
		{"fine", nil, 200, ""},
		{"upper case token", path("/3/device/" + strings.ToUpper(aToken)), 200, ""},
		{"4096 bytes", body(big(4096)), 200, ""},
		{"GET", func(r *http.Request) { r.Method, r.Body = "GET", nil }, 405, "MethodNotAllowed"},
		{"other path", path("/3/devices/" + aToken), 404, "BadPath"},
		{"deeper path", path("/3/device/" + aToken + "/x"), 404, "BadPath"},
		{"no token", path("/3/device/"), 400, "MissingDeviceToken"},
		{"token too short", path("/3/device/" + aToken[:62]), 400, "BadDeviceToken"},
		{"token not hexadecimal", path("/3/device/" + aToken[:63] + "g"), 400, "BadDeviceToken"},
		{"token of elsewhere", path("/3/device/" + sandbox.ForeignPrefix + aToken), 400, "BadDeviceToken"},
		{"dead token", path("/3/device/" + sandbox.DeadPrefix + aToken), 410, "Unregistered"},
		{"no provider token", func(r *http.Request) { r.Header.Del("authorization") }, 403, "MissingProviderToken"},
		{"basic authorization", set("authorization", "basic abc"), 403, "MissingProviderToken"},
		{"garbage", set("authorization", "bearer a.b.c"), 403, "InvalidProviderToken"},
		{"other key", auth(other, sandbox.KeyID, sandbox.TeamID, 0), 403, "InvalidProviderToken"},
		{"other key id", auth(s.key, "OTHERKEYID", sandbox.TeamID, 0), 403, "InvalidProviderToken"},
		{"other team", auth(s.key, sandbox.KeyID, "OTHERTEAM1", 0), 403, "InvalidProviderToken"},
		{"an hour old", auth(s.key, sandbox.KeyID, sandbox.TeamID, 61*time.Minute), 403, "ExpiredProviderToken"},
		{"from the future", auth(s.key, sandbox.KeyID, sandbox.TeamID, -time.Hour), 403, "InvalidProviderToken"},
		{"no topic", func(r *http.Request) { r.Header.Del("apns-topic") }, 400, "MissingTopic"},
		{"topic of another app", set("apns-topic", "com.example.other"), 400, "TopicDisallowed"},
		{"strange topic", set("apns-topic", "com/example"), 400, "BadTopic"},
		{"no push type", func(r *http.Request) { r.Header.Del("apns-push-type") }, 400, "InvalidPushType"},
		{"strange push type", set("apns-push-type", "loud"), 400, "InvalidPushType"},
		{"voip without its suffix", set("apns-push-type", "voip"), 400, "TopicDisallowed"},
		{"background at 10", set("apns-push-type", "background"), 400, "BadPriority"},
		{"strange priority", set("apns-priority", "7"), 400, "BadPriority"},
		{"long collapse id", set("apns-collapse-id", strings.Repeat("c", 65)), 400, "BadCollapseId"},
		{"apns-id no UUID", set("apns-id", "17"), 400, "BadMessageId"},
		{"expiration no number", set("apns-expiration", "soon"), 400, "BadExpirationDate"},
		{"two priorities", func(r *http.Request) { r.Header.Add("apns-priority", "5") }, 400, "DuplicateHeaders"},
		{"4097 bytes", body(big(4097)), 413, "PayloadTooLarge"},
		{"empty", body(""), 400, "PayloadEmpty"},
		{"no JSON", body("{"), 400, "PayloadEmpty"},
		{"no object", body("[]"), 400, "PayloadEmpty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := s.phones.Received()
			status, reason, _ := s.send(t, c.change)
			if status != c.status || reason != c.reason {
				t.Errorf("got %d %s, want %d %s", status, reason, c.status, c.reason)
			}
			after, _ := s.phones.Received()
			if arrived := after > before; arrived != (c.status == 200) {
				t.Errorf("arrived: %v", arrived)
			}
		})
	}
}

func TestVoipMayBeLarger(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	for n, want := range map[int]int{5120: 200, 5121: 413} {
		payload := []byte(`{"x":"` + strings.Repeat("y", n-8) + `"}`)
		status, _, _ := s.send(t, func(r *http.Request) {
			r.Header.Set("apns-topic", "com.example.market.voip")
			r.Header.Set("apns-push-type", "voip")
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(payload)), int64(len(payload))
		})
		if status != want {
			t.Errorf("%d bytes: %d, want %d", n, status, want)
		}
	}
}

func TestUninstalledPhoneSaysSinceWhen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	s := start(t, sandbox.AppleOptions{Phones: sandbox.NewPhones(sandbox.PhonesOptions{Now: func() time.Time { return now }})})
	s.phones.Uninstall(strings.ToUpper(aToken))
	if status, reason, at := s.send(t, nil); status != 410 || reason != "Unregistered" || at != now.UnixMilli() {
		t.Errorf("got %d %s %d", status, reason, at)
	}
	s.phones.Install(aToken)
	if status, _, _ := s.send(t, nil); status != 200 {
		t.Errorf("after the app was installed again: %d", status)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	s.Fail(sandbox.Fault{Count: 2, Status: 503, Reason: "ServiceUnavailable"})
	s.Fail(sandbox.Fault{Token: strings.Repeat("ff", 32), Count: -1, Status: 429, Reason: "TooManyRequests"})
	var got []string
	for range 3 {
		_, reason, _ := s.send(t, nil)
		got = append(got, reason)
	}
	if diff := cmp.Diff([]string{"ServiceUnavailable", "ServiceUnavailable", ""}, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	s.Fail(sandbox.Fault{Status: 500, Reason: "InternalServerError", Deliver: true})
	if status, _, _ := s.send(t, nil); status != 500 {
		t.Errorf("status %d", status)
	}
	if n := s.phones.Count("6f2e1c4a-0000-8000-8000-000000000001"); n != 2 {
		t.Errorf("%d deliveries of the apns-id, want 2: one of them with a 500", n)
	}
	if total, repeated := s.phones.Received(); total != 2 || repeated != 1 {
		t.Errorf("received %d, repeated %d", total, repeated)
	}
	want := map[string]int64{"200": 1, "503 ServiceUnavailable": 2, "500 InternalServerError": 1}
	if diff := cmp.Diff(want, s.Answers()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestHangEndsWithTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.AppleOptions{})
	s.Fail(sandbox.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/3/device/"+aToken, strings.NewReader(`{"aps":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("apns-topic", "t")
	r.Header.Set("apns-push-type", "alert")
	r.Header.Set("authorization", provider(t, s.key, sandbox.KeyID, sandbox.TeamID, time.Now()))
	if res, err := s.client.Do(r); err == nil {
		res.Body.Close()
		t.Errorf("answered %d", res.StatusCode)
	}
}

func TestCredentialsOutliveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := sandbox.AppleOptions{Dir: dir, Phones: sandbox.NewPhones(sandbox.PhonesOptions{})}
	first, err := sandbox.OpenApple(o)
	if err != nil {
		t.Fatal(err)
	}
	client, key := clientOf(t, first), keyOf(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	s.client, s.key = client, key
	if status, reason, _ := s.send(t, nil); status != 200 {
		t.Errorf("with the credentials of before: %d %s", status, reason)
	}
	for _, name := range []string{"root.key", "AuthKey_" + sandbox.KeyID + ".p8"} {
		info, err := os.Stat(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v", name, info.Mode())
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{})
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/AuthKey_"+sandbox.KeyID+".p8", []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]sandbox.AppleOptions{
		"a broken key":    {Dir: dir, Phones: phones},
		"a bad address":   {Dir: t.TempDir(), Listen: "nowhere", Phones: phones},
		"a used address":  {Dir: t.TempDir(), Listen: start(t, sandbox.AppleOptions{}).Addr().String(), Phones: phones},
		"a file as a dir": {Dir: dir + "/AuthKey_" + sandbox.KeyID + ".p8", Phones: phones},
	} {
		if a, err := sandbox.OpenApple(o); err == nil {
			a.Close()
			t.Errorf("%s is no error", name)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than a line: %v", name, err)
		}
	}
}
