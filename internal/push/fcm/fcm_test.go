package fcm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
)

// stand is a running stand-in for Google and the configuration to reach it.
type stand struct {
	*sandbox.Google
	phones *sandbox.Phones
	cfg    push.FCMConfig
}

func start(t *testing.T) *stand {
	t.Helper()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{Keep: 10_000})
	google, err := sandbox.OpenGoogle(sandbox.GoogleOptions{Dir: accountDir(t), Phones: phones})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- google.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run the stand-in: %v", err)
		}
	})
	return &stand{google, phones, push.FCMConfig{
		CredentialsFile: google.CredentialsFile(), Endpoint: google.URL(), CAFile: google.CAFile(), Quota: -1,
	}}
}

// sharedAccount has a service account that all tests copy: a key takes long to
// make.
var sharedAccount = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "fcm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	g, err := sandbox.OpenGoogle(sandbox.GoogleOptions{Dir: dir, Phones: sandbox.NewPhones(sandbox.PhonesOptions{})})
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(g.CredentialsFile())
	return raw, errors.Join(err, g.Close())
})

func accountDir(tb testing.TB) string {
	tb.Helper()
	raw, err := sharedAccount()
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "service-account.json"), raw, 0o600); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// open returns a sender and what it logs.
func open(t *testing.T, cfg push.FCMConfig) (*sender, *bytes.Buffer) {
	t.Helper()
	var logs bytes.Buffer
	s, err := NewProvider(Options{}).Open(push.AppConfig{Name: "market", FCM: cfg}, slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*sender), &logs
}

func token(i int) string { return fmt.Sprintf("cJug2GoHzEfcshCE_OLL24:APA91bHa8-%030d", i) }

// messages renders a notification for n tokens.
func messages(t *testing.T, s push.Sender, n int) []push.Message {
	t.Helper()
	rendered, faults := s.Render(&push.Notification{Title: "Sold!", Body: "A film camera", Data: map[string]string{"order": "or_1"}, TTL: push.Duration(time.Hour), CollapseID: "or_1"}, time.Now())
	if faults != nil {
		t.Fatal(faults)
	}
	batch := make([]push.Message, n)
	for i := range batch {
		batch[i] = push.Message{Token: token(i), Rendered: &rendered}
	}
	return batch
}

// send returns the results in the order of the batch, and fails if a message
// has none or two.
func send(ctx context.Context, t *testing.T, s push.Sender, batch []push.Message) []push.Result {
	t.Helper()
	var mu sync.Mutex
	results := make([]push.Result, len(batch))
	s.Send(ctx, batch, func(i int, r push.Result) {
		mu.Lock()
		defer mu.Unlock()
		if results[i].Outcome != 0 {
			t.Errorf("message %d has two results: %v and %v", i, results[i], r)
		}
		results[i] = r
	})
	for i, r := range results {
		if r.Outcome == 0 {
			t.Errorf("message %d has no result", i)
		}
	}
	return results
}

// tally counts results by outcome and reason.
func tally(results []push.Result) map[string]int {
	n := make(map[string]int)
	for _, r := range results {
		n[strings.TrimSpace(r.Outcome.String()+" "+r.Reason)]++
	}
	return n
}

func wantTally(t *testing.T, results []push.Result, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, tally(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func (s *stand) wantAnswers(t *testing.T, want map[string]int64) {
	t.Helper()
	if diff := cmp.Diff(want, s.Answers()); diff != "" {
		t.Errorf("answers of the stand-in (-want +got):\n%s", diff)
	}
}

var ignoreTook = cmpopts.IgnoreFields(push.Result{}, "Took", "Err")

func TestSendDeliversEachOnce(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	batch := messages(t, s, 1000)
	for i, r := range send(t.Context(), t, s, batch) {
		if r.Outcome != push.Sent || r.Took <= 0 {
			t.Fatalf("message %d: %+v", i, r)
		}
	}
	times := make(map[string]int)
	for _, d := range stand.phones.Deliveries(0, 0) {
		times[d.Token]++
	}
	for i := range batch {
		if times[batch[i].Token] != 1 {
			t.Fatalf("message %d arrived %d times", i, times[batch[i].Token])
		}
	}
	d := stand.phones.Deliveries(0, 1)[0]
	if d.Title != "Sold!" || d.Body != "A film camera" || d.Priority != "HIGH" || d.Expiration != "3600s" || d.CollapseID != "or_1" || !bytes.Contains(d.Payload, []byte(`"order":"or_1"`)) {
		t.Errorf("arrived as %+v", d)
	}
	stand.wantAnswers(t, map[string]int64{"200": 1000, "token 200": 1})
}

func TestSendTellsEachFate(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	batch := messages(t, s, 10)
	batch[1].Token = sandbox.DeadPrefix + token(1)
	batch[2].Token = sandbox.ForeignPrefix + token(2)
	batch[3].Token = `no "token" at all`
	batch[4].Token = "/topics/news"
	batch[5].Token = "/conditions/'a' in topics && 'b' in topics"
	batch[9].Token = "/topics/not a name" // Render lets none through
	stand.Fail(sandbox.Fault{Token: token(6), Status: 503, Reason: "UNAVAILABLE", RetryAfter: 7})
	stand.Fail(sandbox.Fault{Token: token(7), Status: 500, Reason: "INTERNAL"})
	stand.Fail(sandbox.Fault{Token: token(8), Status: 429, Reason: "QUOTA_EXCEEDED"})
	want := []push.Result{
		{Outcome: push.Sent},
		{Outcome: push.Unregistered, Reason: "UNREGISTERED"},
		{Outcome: push.Unregistered, Reason: "SENDER_ID_MISMATCH"},
		{Outcome: push.Unregistered, Reason: "INVALID_ARGUMENT"},
		{Outcome: push.Sent},
		{Outcome: push.Sent},
		{Outcome: push.Retry, Reason: "UNAVAILABLE", After: 7 * time.Second},
		{Outcome: push.Retry, Reason: "INTERNAL"},
		{Outcome: push.Retry, Reason: "QUOTA_EXCEEDED", After: time.Minute},
		{Outcome: push.Rejected, Reason: "INVALID_ARGUMENT"},
	}
	if diff := cmp.Diff(want, send(t.Context(), t, s, batch), ignoreTook); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// Everything that Render can make is of Google's documented form.
func TestGoogleTakesWhatIsRendered(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	zero, three := 0, 3
	for name, n := range map[string]push.Notification{
		"everything": {
			Title: "T", Body: "B", Image: "https://img.example/1.jpg", Badge: &three, Sound: "bell", Category: "SOLD", ThreadID: "or_1",
			Data: map[string]string{"a": "<\u2028&>"}, TTL: push.Duration(90 * time.Second), Priority: push.Low, CollapseID: "or_1",
			FCM: &push.FCMOverride{AnalyticsLabel: "x"},
		},
		"localised":      {TitleLocKey: "t", TitleLocArgs: []string{"1"}, BodyLocKey: "b", BodyLocArgs: []string{"2"}},
		"badge":          {Badge: &zero},
		"Gaurun's":       {Data: map[string]string{"message": "hello"}, CollapseID: "k", TTL: push.Duration(10 * time.Second), Priority: push.Normal},
		"the largest":    {Data: map[string]string{"k": strings.Repeat("\"", 4095)}},
		"with overrides": {Title: "T", CollapseID: "c", FCM: &push.FCMOverride{Android: json.RawMessage(`{"collapseKey":"d","notification":{"channelId":"x","tag":null}}`), WebPush: json.RawMessage(`{"headers":{"TTL":"5"}}`)}},
		"another":        {FCM: &push.FCMOverride{Message: json.RawMessage(`{"data":{"k":"v"}}`)}},
	} {
		rendered, faults := s.Render(&n, time.Now())
		if faults != nil {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		if r := send(t.Context(), t, s, []push.Message{{Token: token(1), Rendered: &rendered}})[0]; r.Outcome != push.Sent {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestValidateOnlyDeliversNothing(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	rendered, faults := s.Render(&push.Notification{Title: "T", FCM: &push.FCMOverride{ValidateOnly: true}}, time.Now())
	if faults != nil {
		t.Fatal(faults)
	}
	wantTally(t, send(t.Context(), t, s, []push.Message{{Token: token(1), Rendered: &rendered}}), map[string]int{"sent": 1})
	if total, _ := stand.phones.Received(); total != 0 {
		t.Errorf("%d arrived", total)
	}
}

func TestExpiredTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	wantTally(t, send(t.Context(), t, s, messages(t, s, 1)), map[string]int{"sent": 1})
	stand.ExpireTokens()
	wantTally(t, send(t.Context(), t, s, messages(t, s, 500)), map[string]int{"sent": 500})
	if total, _ := stand.phones.Received(); total != 501 {
		t.Errorf("%d arrived", total)
	}
	if n := stand.Answers()["token 200"]; n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
	if n := stand.Answers()["401 UNAUTHENTICATED"]; n >= 500 {
		t.Errorf("all %d were sent with a token that is refused", n)
	}
}

// Tokens that are refused again and again do not make a loop.
func TestTokenThatIsRefusedForGood(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	stand.Fail(sandbox.Fault{Count: -1, Status: 401, Reason: "UNAUTHENTICATED"})
	wantTally(t, send(t.Context(), t, s, messages(t, s, 2)), map[string]int{"refused UNAUTHENTICATED": 2})
	stand.wantAnswers(t, map[string]int64{"token 200": 2, "401 UNAUTHENTICATED": 4})
	// The gateway's probes, soon afterwards.
	for range 3 {
		r := send(t.Context(), t, s, messages(t, s, 1))[0]
		if r.Outcome != push.Refused || !errors.Is(r.Err, errStillRefused) {
			t.Errorf("got %+v", r)
		}
	}
	stand.wantAnswers(t, map[string]int64{"token 200": 2, "401 UNAUTHENTICATED": 7})
	stand.Recover()
	wantTally(t, send(t.Context(), t, s, messages(t, s, 2)), map[string]int{"sent": 2})
}

func TestRefusedCredentialsEndTheBatch(t *testing.T) {
	t.Parallel()
	for code, status := range map[string]int{"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			stand := start(t)
			s, _ := open(t, stand.cfg)
			stand.Fail(sandbox.Fault{Count: -1, Status: status, Reason: code})
			wantTally(t, send(t.Context(), t, s, messages(t, s, 10_000)), map[string]int{"refused " + code: 10_000})
			// A few hundred may have been under way when the rest was called off.
			if n := stand.Answers()[fmt.Sprint(status, " ", code)]; n > 2000 {
				t.Errorf("%d were sent", n)
			}
		})
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	stand.FailTokens(sandbox.Fault{Status: 400, Reason: "invalid_grant"})
	r := send(t.Context(), t, s, messages(t, s, 3))[2]
	if r.Outcome != push.Refused || r.Reason != reasonToken || r.Err == nil || !strings.Contains(r.Err.Error(), "invalid_grant") {
		t.Errorf("got %+v", r)
	}
	stand.FailTokens(sandbox.Fault{Status: 503, Reason: "backend_error", RetryAfter: 11})
	r = send(t.Context(), t, s, messages(t, s, 1))[0]
	if r.Outcome != push.Down || r.Reason != reasonToken || r.After != 11*time.Second {
		t.Errorf("got %+v", r)
	}
	wantTally(t, send(t.Context(), t, s, messages(t, s, 1)), map[string]int{"sent": 1})
}

func TestTokenEndpointIsSilent(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.Timeout = 100 * time.Millisecond
	s, _ := open(t, stand.cfg)
	stand.FailTokens(sandbox.Fault{Hang: true})
	r := send(t.Context(), t, s, messages(t, s, 1))[0]
	if r.Outcome != push.Down || r.Reason != reasonToken || !strings.Contains(r.Err.Error(), "deadline") {
		t.Errorf("got %+v", r)
	}
	stand.FailTokens(sandbox.Fault{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := send(ctx, t, s, messages(t, s, 1))[0]; r.Outcome != push.Retry {
		t.Errorf("got %+v", r)
	}
}

// Google's key for Apple concerns Apple's devices only.
func TestThirdPartyKey(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, logs := open(t, stand.cfg)
	for i := range 3 {
		stand.Fail(sandbox.Fault{Token: token(i), Count: -1, Status: 401, Reason: "THIRD_PARTY_AUTH_ERROR"})
	}
	results := send(t.Context(), t, s, messages(t, s, 20))
	wantTally(t, results, map[string]int{"sent": 17, "retry THIRD_PARTY_AUTH_ERROR": 3})
	if results[0].After != thirdPartyPause {
		t.Errorf("again after %v", results[0].After)
	}
	if line := logs.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "app=market") || !strings.Contains(line, "waiting=3") {
		t.Errorf("logged %q", line)
	}
	wantTally(t, send(t.Context(), t, s, messages(t, s, 3)), map[string]int{"refused THIRD_PARTY_AUTH_ERROR": 3})
	stand.wantAnswers(t, map[string]int64{"200": 17, "401 THIRD_PARTY_AUTH_ERROR": 6, "token 200": 1})
}

// An argument that is invalid for all is no fault of the tokens.
func TestInvalidArgumentOfAll(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	stand.Fail(sandbox.Fault{Count: many + 1, Status: 400, Reason: "INVALID_ARGUMENT"})
	wantTally(t, send(t.Context(), t, s, messages(t, s, many)), map[string]int{"rejected INVALID_ARGUMENT": many})
	wantTally(t, send(t.Context(), t, s, messages(t, s, 1)), map[string]int{"unregistered INVALID_ARGUMENT": 1})
	stand.Fail(sandbox.Fault{Count: many, Status: 400, Reason: "INVALID_ARGUMENT"})
	wantTally(t, send(t.Context(), t, s, messages(t, s, many+1)), map[string]int{"unregistered INVALID_ARGUMENT": many, "sent": 1})
}

// After 429 for the project the rest of the batch is not even tried.
func TestProjectQuotaStopsTheBatch(t *testing.T) {
	t.Parallel()
	stand := start(t)
	stand.cfg.Quota = 600_000
	s, _ := open(t, stand.cfg)
	stand.Fail(sandbox.Fault{Count: 1, Status: 429, Reason: "RESOURCE_EXHAUSTED", RetryAfter: 33})
	before := s.quota.rate
	results := send(t.Context(), t, s, messages(t, s, 1000))
	n := tally(results)
	if n["retry QUOTA_EXCEEDED"]+n["sent"] != 1000 || n["sent"] == 0 || n["retry QUOTA_EXCEEDED"] < 800 {
		t.Errorf("results: %v", n)
	}
	for _, r := range results {
		if r.Outcome == push.Retry && r.After != 33*time.Second {
			t.Fatalf("again after %v", r.After)
		}
	}
	if s.quota.rate >= before {
		t.Errorf("the rate was %v and is %v", before, s.quota.rate)
	}
	// A device that gets too much concerns nobody else.
	rate := s.quota.rate
	stand.Fail(sandbox.Fault{Count: 1, Status: 429, Reason: "QUOTA_EXCEEDED"})
	wantTally(t, send(t.Context(), t, s, messages(t, s, 100)), map[string]int{"sent": 99, "retry QUOTA_EXCEEDED": 1})
	if s.quota.rate < rate {
		t.Errorf("the rate fell to %v", s.quota.rate)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	stand := start(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + ln.Addr().String()
	ln.Close()
	for name, c := range map[string]struct {
		change func(c *push.FCMConfig)
		reason string
	}{
		"nobody listens":    {func(c *push.FCMConfig) { c.Endpoint = closed }, reasonUnreachable},
		"no such host name": {func(c *push.FCMConfig) { c.Endpoint = "https://nowhere.invalid" }, reasonUnreachable},
		"an unknown root":   {func(c *push.FCMConfig) { c.CAFile = "" }, reasonToken},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := stand.cfg
			c.change(&cfg)
			s, _ := open(t, cfg)
			for i, r := range send(t.Context(), t, s, messages(t, s, 2)) {
				if r.Outcome != push.Down || r.Reason != c.reason || r.Err == nil {
					t.Errorf("message %d: %+v", i, r)
				} else if text := r.Err.Error(); strings.Contains(text, token(i)) || strings.Contains(text, "ya29") || strings.Contains(text, "\n") {
					t.Errorf("message %d: the error tells too much: %v", i, r.Err)
				}
			}
		})
	}
}

func TestGoAwayResetAndDrop(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	stand.Fail(sandbox.Fault{Every: 50, Count: 4, GoAway: true})
	wantTally(t, send(t.Context(), t, s, messages(t, s, 500)), map[string]int{"sent": 500})
	if total, _ := stand.phones.Received(); total != 500 {
		t.Errorf("%d arrived, want each once", total)
	}
	stand.Fail(sandbox.Fault{Token: token(3), Reset: true})
	wantTally(t, send(t.Context(), t, s, messages(t, s, 10)), map[string]int{"sent": 9, "retry StreamReset": 1})
	stand.Recover()
	stand.Fail(sandbox.Fault{Token: token(0), Drop: true})
	results := send(t.Context(), t, s, messages(t, s, 10))
	if n := tally(results); n["sent"]+n["retry ConnectionLost"]+n["retry StreamReset"] != 10 || results[0].Outcome != push.Retry {
		t.Errorf("results: %v", n)
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	stand := start(t)
	s, _ := open(t, stand.cfg)
	wantTally(t, send(t.Context(), t, s, messages(t, s, 1)), map[string]int{"sent": 1})
	stand.Fail(sandbox.Fault{Count: -1, Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for stand.Waiting() == 0 && ctx.Err() == nil { // until the stand-in has something in hand
			<-tick.C
		}
	}()
	results := send(ctx, t, s, messages(t, s, 300))
	cancel()
	wantTally(t, results, map[string]int{"retry": 300})
}

func TestOpenWithoutCredentials(t *testing.T) {
	t.Parallel()
	if s, err := NewProvider(Options{}).Open(push.AppConfig{Name: "market"}, nil); s != nil || err != nil {
		t.Errorf("got %v, %v; want neither", s, err)
	}
	_, err := NewProvider(Options{}).Open(push.AppConfig{Name: "market", FCM: push.FCMConfig{CredentialsFile: "/nowhere/account.json"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "app market") || !strings.Contains(err.Error(), "/nowhere/account.json") {
		t.Errorf("missing credentials: %v", err)
	}
}
