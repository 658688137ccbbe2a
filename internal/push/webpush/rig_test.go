package webpush

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
)

func TestMain(m *testing.M) {
	if certFile := os.Getenv(serviceEnv); certFile != "" {
		if err := serviceMain(certFile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// stand is a running stand-in for a push service and the configuration to reach
// it.
type stand struct {
	*sandbox.WebPush
	phones *sandbox.Phones
	cfg    push.WebPushConfig
}

func start(tb testing.TB) *stand {
	tb.Helper()
	phones := sandbox.NewPhones(sandbox.PhonesOptions{Keep: 10_000})
	service, err := sandbox.OpenWebPush(sandbox.WebPushOptions{Dir: tb.TempDir(), Phones: phones})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("run the stand-in: %v", err)
		}
	})
	return &stand{service, phones, push.WebPushConfig{
		KeyFile: service.KeyFile(), Subject: "mailto:push@market.example", CAFile: service.CAFile(), AllowPrivate: true,
	}}
}

func openSender(tb testing.TB, cfg push.WebPushConfig) *sender {
	tb.Helper()
	return openLogged(tb, cfg, nil)
}

func openLogged(tb testing.TB, cfg push.WebPushConfig, logger *slog.Logger) *sender {
	tb.Helper()
	s, err := NewProvider().Open(push.AppConfig{Name: "market", WebPush: cfg}, logger)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s.(*sender)
}

// keyed returns a configuration with a key of its own and nothing to reach.
func keyed(tb testing.TB) push.WebPushConfig {
	tb.Helper()
	raw, _, err := push.NewVAPIDKey()
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "vapid.key")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		tb.Fatal(err)
	}
	return push.WebPushConfig{KeyFile: file, Subject: "https://market.example/contact"}
}

// subscribe makes a subscription at any URL.
func subscribe(tb testing.TB, endpoint string) string {
	tb.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf(`{"endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`,
		endpoint, base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(make([]byte, 16)))
}

var sold = push.Notification{Title: "Sold!", Body: "A film camera"}

// messages renders a notification for tokens.
func messages(tb testing.TB, s *sender, tokens ...string) []push.Message {
	tb.Helper()
	n := sold
	n.Tokens = tokens
	rendered, faults := s.Render(&n, time.Now())
	if faults != nil {
		tb.Fatal(faults)
	}
	batch := make([]push.Message, len(tokens))
	for i, t := range tokens {
		batch[i] = push.Message{Token: t, Rendered: &rendered}
	}
	return batch
}

func (s *stand) subscriptions(n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = s.NewSubscription()
	}
	return tokens
}

// send returns the results in the order of the batch, and fails if a message
// has none or two.
func send(ctx context.Context, tb testing.TB, s *sender, batch []push.Message) []push.Result {
	tb.Helper()
	var mu sync.Mutex
	results := make([]push.Result, len(batch))
	s.Send(ctx, batch, func(i int, r push.Result) {
		mu.Lock()
		defer mu.Unlock()
		if results[i].Outcome != 0 {
			tb.Errorf("message %d has two results: %v and %v", i, results[i], r)
		}
		results[i] = r
	})
	mu.Lock()
	defer mu.Unlock()
	for i, r := range results {
		if r.Outcome == 0 {
			tb.Errorf("message %d has no result", i)
		}
	}
	return results
}

// sendOne sends one message.
func sendOne(tb testing.TB, s *sender, token string) push.Result {
	tb.Helper()
	return send(tb.Context(), tb, s, messages(tb, s, token))[0]
}

// tally counts results.
func tally(results []push.Result) map[string]int {
	counts := make(map[string]int)
	for _, r := range results {
		counts[r.Outcome.String()+" "+r.Reason]++
	}
	return counts
}

var ignoreTook = cmpopts.IgnoreFields(push.Result{}, "Took", "Err")
