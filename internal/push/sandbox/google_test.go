package sandbox_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push/sandbox"
)

const aRegistration = "cJug2GoHzEfcshCE_OLL24:APA91bHa8-Viell9xjbeV96V4Njh"

// googleStand is a running stand-in, a client that trusts it, and what its
// service account file says.
type googleStand struct {
	*sandbox.Google
	phones  *sandbox.Phones
	client  *http.Client
	account struct {
		ProjectID    string `json:"project_id"`
		PrivateKeyID string `json:"private_key_id"`
		PrivateKey   string `json:"private_key"`
		ClientEmail  string `json:"client_email"`
		TokenURI     string `json:"token_uri"`
	}
	key *rsa.PrivateKey
}

func startGoogle(t *testing.T, o sandbox.GoogleOptions) *googleStand {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Phones == nil {
		o.Phones = sandbox.NewPhones(sandbox.PhonesOptions{})
	}
	google, err := sandbox.OpenGoogle(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- google.Run(ctx) }()
	s := &googleStand{Google: google, phones: o.Phones}
	read := func(file string) []byte {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read(google.CAFile())) {
		t.Fatal("the root is no certificate")
	}
	s.client = &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	if err := json.Unmarshal(read(google.CredentialsFile()), &s.account); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(s.account.PrivateKey))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.key = parsed.(*rsa.PrivateKey)
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

// grant asks for a token with claims that are fine but for what change does.
func (s *googleStand) grant(t *testing.T, change func(claims jwt.MapClaims, header map[string]any, form url.Values)) (status int, token, code string) {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": s.account.ClientEmail, "aud": s.account.TokenURI, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"scope": "https://www.googleapis.com/auth/firebase.messaging",
	}
	j := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	j.Header["kid"] = s.account.PrivateKeyID
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}}
	if change != nil {
		change(claims, j.Header, form)
	}
	signed, err := j.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	if !form.Has("assertion") {
		form.Set("assertion", signed)
	}
	res, err := s.client.PostForm(s.URL()+"/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if (res.StatusCode == 200) != (answer.ExpiresIn > 0) {
		t.Errorf("%d with expires_in %d", res.StatusCode, answer.ExpiresIn)
	}
	return res.StatusCode, answer.AccessToken, answer.Error
}

func TestGoogleGrants(t *testing.T) {
	t.Parallel()
	s := startGoogle(t, sandbox.GoogleOptions{})
	if s.account.TokenURI != s.URL()+"/token" || s.account.ProjectID != s.Project() {
		t.Errorf("the file says %+v", s.account)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, v any) func(jwt.MapClaims, map[string]any, url.Values) {
		return func(c jwt.MapClaims, _ map[string]any, _ url.Values) { c[name] = v }
	}
	for _, c := range []struct {
		name   string
		change func(jwt.MapClaims, map[string]any, url.Values)
		code   string
	}{
		{"fine", nil, ""},
		{"a wider scope", claim("scope", "x https://www.googleapis.com/auth/cloud-platform"), ""},
		{"another scope", claim("scope", "https://www.googleapis.com/auth/drive"), "invalid_scope"},
		{"another audience", claim("aud", "https://oauth2.googleapis.com/token"), "invalid_grant"},
		{"another account", claim("iss", "other@example.com"), "invalid_grant"},
		{"over", claim("exp", time.Now().Add(-time.Hour).Unix()), "invalid_grant"},
		{"of the future", claim("iat", time.Now().Add(time.Hour).Unix()), "invalid_grant"},
		{"for two hours", claim("exp", time.Now().Add(2*time.Hour).Unix()), "invalid_grant"},
		{"for ever", func(c jwt.MapClaims, _ map[string]any, _ url.Values) { delete(c, "exp") }, "invalid_grant"},
		{"another key id", func(_ jwt.MapClaims, h map[string]any, _ url.Values) { h["kid"] = "x" }, "invalid_grant"},
		{"another grant", func(_ jwt.MapClaims, _ map[string]any, f url.Values) { f.Set("grant_type", "password") }, "unsupported_grant_type"},
		{"garbage", func(_ jwt.MapClaims, _ map[string]any, f url.Values) { f.Set("assertion", "a.b.c") }, "invalid_grant"},
		{"another key", func(c jwt.MapClaims, h map[string]any, f url.Values) {
			j := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
			j.Header = h
			signed, err := j.SignedString(other)
			if err != nil {
				t.Fatal(err)
			}
			f.Set("assertion", signed)
		}, "invalid_grant"},
	} {
		status, token, code := s.grant(t, c.change)
		if code != c.code || (status == 200) != (c.code == "") || (token != "") != (c.code == "") {
			t.Errorf("%s: %d %q, want %q", c.name, status, code, c.code)
		}
	}
	s.FailTokens(sandbox.Fault{Status: 503, Reason: "internal_failure"})
	if status, _, code := s.grant(t, nil); status != 503 || code != "internal_failure" {
		t.Errorf("on demand: %d %q", status, code)
	}
}

// googleAnswer is what messages:send says.
type googleAnswer struct {
	Name  string
	Error struct {
		Code    int
		Message string
		Status  string
		Details []struct {
			Type            string `json:"@type"`
			ErrorCode       string `json:"errorCode"`
			FieldViolations []struct{ Field string }
		}
	}
}

// brief is the answer in a line: status, code of FCM, field.
func (a googleAnswer) brief() string {
	parts := []string{a.Error.Status}
	for _, d := range a.Error.Details {
		if d.ErrorCode != "" {
			parts = append(parts, d.ErrorCode)
		}
		for _, v := range d.FieldViolations {
			parts = append(parts, v.Field)
		}
	}
	return strings.Join(parts, " ")
}

func (s *googleStand) post(t *testing.T, token, body string, change func(*http.Request)) (int, googleAnswer, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/v1/projects/"+s.Project()+"/messages:send", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
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
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer googleAnswer
	if json.Unmarshal(raw, &answer) != nil && res.StatusCode != 404 {
		t.Errorf("%d with %q", res.StatusCode, raw)
	}
	return res.StatusCode, answer, res.Header
}

func TestGoogleChecks(t *testing.T) {
	t.Parallel()
	s := startGoogle(t, sandbox.GoogleOptions{})
	_, token, _ := s.grant(t, nil)
	message := func(rest string) string { return `{"message":{"token":"` + aRegistration + `"` + rest + `}}` }
	data := func(n int) string { return message(`,"data":{"k":"` + strings.Repeat("x", n-1) + `"}`) }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		name, body string
		change     func(*http.Request)
		status     int
		brief      string
	}{
		{"fine", message(`,"notification":{"title":"T","body":"B"}`), nil, 200, ""},
		{"all of it", message(`,"data":{"a":"b"},"notification":{"title":"T","image":"https://x"},"fcm_options":{"analytics_label":"l"},
			"android":{"collapse_key":"c","priority":"HIGH","ttl":"3.5s","direct_boot_ok":true,"notification":{"sound":"s","tag":"t","notification_count":3,"body_loc_args":["x"],"event_time":"2026-08-01T12:00:00.5Z","light_settings":{"color":{"red":0.5},"light_on_duration":"1s"}}},
			"apns":{"headers":{"apns-priority":"5"},"payload":{"aps":{"badge":1},"any":[1]}},"webpush":{"headers":{"TTL":"1"},"notification":{"x":{}},"fcm_options":{"link":"l"}}`), nil, 200, ""},
		{"in camels", message(`,"android":{"collapseKey":"c","notification":{"channelId":"x"}}`), nil, 200, ""},
		{"checked only", `{"validateOnly":true,"message":{"token":"` + aRegistration + `"}}`, nil, 200, ""},
		{"4096 bytes", data(4096), nil, 200, ""},
		{"a topic", `{"message":{"topic":"news"}}`, nil, 200, ""},
		{"a condition", `{"message":{"condition":"'a' in topics"}}`, nil, 200, ""},
		{"nulls", message(`,"data":null,"android":null`), nil, 200, ""},

		{"no token", message(``), header("Authorization", ""), 401, "UNAUTHENTICATED"},
		{"another token", message(``), header("Authorization", "Bearer x"), 401, "UNAUTHENTICATED"},
		{"basic", message(``), header("Authorization", "Basic "+token), 401, "UNAUTHENTICATED"},
		{"another project", message(``), func(r *http.Request) { r.URL.Path = "/v1/projects/other/messages:send" }, 403, "PERMISSION_DENIED"},
		{"another path", message(``), func(r *http.Request) { r.URL.Path = "/fcm/send" }, 404, ""},
		{"a form", message(``), header("Content-Type", "application/x-www-form-urlencoded"), 400, "INVALID_ARGUMENT"},
		{"not JSON", `{`, nil, 400, "INVALID_ARGUMENT"},
		{"two values", message(``) + `{}`, nil, 400, "INVALID_ARGUMENT"},
		{"no message", `{}`, nil, 400, "INVALID_ARGUMENT message"},
		{"an unknown field", message(`,"to":"x"`), nil, 400, "INVALID_ARGUMENT message"},
		{"an unknown field further down", message(`,"android":{"notification":{"colour":"x"}}`), nil, 400, "INVALID_ARGUMENT message.android.notification"},
		{"a field twice", message(`,"android":{"collapse_key":"a","collapseKey":"b"}`), nil, 400, "INVALID_ARGUMENT message.android"},
		{"a number in data", message(`,"data":{"n":1}`), nil, 400, "INVALID_ARGUMENT message.data"},
		{"a number as ttl", message(`,"android":{"ttl":3}`), nil, 400, "INVALID_ARGUMENT message.android.ttl"},
		{"an unknown priority", message(`,"android":{"priority":"URGENT"}`), nil, 400, "INVALID_ARGUMENT message.android.priority"},
		{"a ttl too long", message(`,"android":{"ttl":"2419201s"}`), nil, 400, "INVALID_ARGUMENT INVALID_ARGUMENT message.android.ttl"},
		{"a reserved key", message(`,"data":{"google.x":""}`), nil, 400, "INVALID_ARGUMENT INVALID_ARGUMENT message.data"},
		{"4097 bytes", data(4097), nil, 400, "INVALID_ARGUMENT INVALID_ARGUMENT message"},
		{"2049 bytes to a topic", `{"message":{"topic":"news","data":{"k":"` + strings.Repeat("x", 2048) + `"}}}`, nil, 400, "INVALID_ARGUMENT INVALID_ARGUMENT message"},
		{"for nobody", `{"message":{}}`, nil, 400, "INVALID_ARGUMENT message"},
		{"for two", message(`,"topic":"news"`), nil, 400, "INVALID_ARGUMENT message"},
		{"a topic with a slash", `{"message":{"topic":"/topics/news"}}`, nil, 400, "INVALID_ARGUMENT INVALID_ARGUMENT message.topic"},
		{"not a registration", `{"message":{"token":"short"}}`, nil, 400, "INVALID_ARGUMENT INVALID_ARGUMENT message.token"},
		{"dead", `{"message":{"token":"` + sandbox.DeadPrefix + aRegistration + `"}}`, nil, 404, "NOT_FOUND UNREGISTERED"},
		{"of another sender", `{"message":{"token":"` + sandbox.ForeignPrefix + aRegistration + `"}}`, nil, 403, "PERMISSION_DENIED SENDER_ID_MISMATCH"},
	} {
		status, answer, _ := s.post(t, token, c.body, c.change)
		if status != c.status || answer.brief() != c.brief {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, answer.brief(), c.status, c.brief)
		}
		if status == 200 && !strings.HasPrefix(answer.Name, "projects/"+s.Project()+"/messages/") {
			t.Errorf("%s: name %q", c.name, answer.Name)
		}
	}
	if total, _ := s.phones.Received(); total != 7 {
		t.Errorf("%d arrived, want 7: all that is fine, but for what is checked only", total)
	}
	s.ExpireTokens()
	if status, answer, _ := s.post(t, token, message(``), nil); status != 401 {
		t.Errorf("an expired token: %d %q", status, answer.brief())
	}
}

func TestGoogleDelivers(t *testing.T) {
	t.Parallel()
	s := startGoogle(t, sandbox.GoogleOptions{})
	_, token, _ := s.grant(t, nil)
	s.phones.Label(aRegistration, "Aki")
	for _, body := range []string{
		`{"message":{"token":"` + aRegistration + `","notification":{"title":"Sold!","body":"A camera"},"android":{"priority":"HIGH","ttl":"60s","collapse_key":"or_1"}}}`,
		`{"message":{"token":"` + aRegistration + `","data":{"message":"hello"}}}`,
		`{"message":{"topic":"news","android":{"notification":{"title_loc_key":"t","body":"B"}},"notification":{"body":"general"}}}`,
	} {
		if status, answer, _ := s.post(t, token, body, nil); status != 200 {
			t.Fatalf("%d %q", status, answer.brief())
		}
	}
	type shown struct{ Token, Label, PushType, Priority, Expiration, CollapseID, Title, Body string }
	var got []shown
	for _, d := range s.phones.Deliveries(0, 0) {
		got = append(got, shown{d.Token, d.Label, d.PushType, d.Priority, d.Expiration, d.CollapseID, d.Title, d.Body})
	}
	want := []shown{
		{aRegistration, "Aki", "notification", "HIGH", "60s", "or_1", "Sold!", "A camera"},
		{aRegistration, "Aki", "data", "", "", "", "", "hello"},
		{"/topics/news", "", "notification", "", "", "", "t", "B"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on the phones (-want +got):\n%s", diff)
	}
	s.phones.Uninstall(aRegistration)
	body := `{"message":{"token":"` + aRegistration + `","data":{"k":"v"}}}`
	if status, answer, _ := s.post(t, token, body, nil); status != 404 || answer.brief() != "NOT_FOUND UNREGISTERED" {
		t.Errorf("uninstalled: %d %q", status, answer.brief())
	}
	s.phones.Install(aRegistration)
	if status, _, _ := s.post(t, token, body, nil); status != 200 {
		t.Errorf("installed again: %d", status)
	}
}

func TestGoogleFaults(t *testing.T) {
	t.Parallel()
	s := startGoogle(t, sandbox.GoogleOptions{})
	_, token, _ := s.grant(t, nil)
	body := `{"message":{"token":"` + aRegistration + `","data":{"k":"v"}}}`
	control := httptest.NewServer(s.Control())
	defer control.Close()
	do := func(method, path, body string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, control.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := control.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s %s %s: %d, want %d", method, path, body, res.StatusCode, want)
		}
	}
	do("POST", "/sandbox/google/faults", `{"status":429,"reason":"QUOTA_EXCEEDED","retry_after":7,"skip":1}`, 204)
	do("POST", "/sandbox/google/faults", `{"goaway":true,"skip":1}`, 204)
	do("POST", "/sandbox/google/faults", `{"latency":"1ms"}`, 204)
	do("POST", "/sandbox/google/faults", `{"tokens":true,"status":400,"reason":"invalid_grant"}`, 204)
	do("POST", "/sandbox/google/faults", `{}`, 400)
	do("POST", "/sandbox/google/faults", `{"status":99}`, 400)
	var statuses []int
	for range 4 {
		status, answer, h := s.post(t, token, body, nil)
		statuses = append(statuses, status)
		if status == 429 && (h.Get("Retry-After") != "7" || answer.brief() != "RESOURCE_EXHAUSTED QUOTA_EXCEEDED") {
			t.Errorf("Retry-After %q, %q", h.Get("Retry-After"), answer.brief())
		}
	}
	if diff := cmp.Diff([]int{200, 429, 200, 200}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if n := s.Connections(); n != 2 {
		t.Errorf("%d connections, want another one after GOAWAY", n)
	}
	if status, _, code := s.grant(t, nil); status != 400 || code != "invalid_grant" {
		t.Errorf("the token endpoint: %d %q", status, code)
	}
	do("POST", "/sandbox/google/expire", ``, 204)
	do("DELETE", "/sandbox/google/faults", ``, 204)
	do("GET", "/sandbox/google/counts", ``, 200)
	if status, _, _ := s.post(t, token, body, nil); status != 401 {
		t.Errorf("after expire: %d", status)
	}
	want := map[string]int64{"200": 3, "429 QUOTA_EXCEEDED": 1, "401 UNAUTHENTICATED": 1, "token 200": 1, "token 400 invalid_grant": 1}
	if diff := cmp.Diff(want, s.Answers()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// A restart changes nothing for who uses the files, but where tokens come from.
func TestGoogleKeepsItsAccount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() (file string, uri string) {
		g, err := sandbox.OpenGoogle(sandbox.GoogleOptions{Dir: dir, Phones: sandbox.NewPhones(sandbox.PhonesOptions{})})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		raw, err := os.ReadFile(g.CredentialsFile())
		if err != nil {
			t.Fatal(err)
		}
		return string(raw), g.URL() + "/token"
	}
	first, uri := open()
	second, again := open()
	if strings.ReplaceAll(first, uri, again) != second {
		t.Error("another account after a restart")
	}
	file := dir + "/service-account.json"
	if err := os.WriteFile(file, bytes.TrimSuffix([]byte(first), []byte("}")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.OpenGoogle(sandbox.GoogleOptions{Dir: dir, Phones: sandbox.NewPhones(sandbox.PhonesOptions{})}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken file: %v", err)
	}
}
