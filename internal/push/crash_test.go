package push_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/sandbox"
	"github.com/furima/furima/internal/sqldb/sqldbtest"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// childEnv holds the settings of a gateway that runs in a process of its own.
const childEnv = "FURIMA_PUSH_TEST_CHILD"

type childSettings struct {
	URL    string
	Config push.Config
}

// child is the main function of that process. It prints its address and runs
// until it is killed.
func child() int {
	var s childSettings
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	r, err := run(context.Background(), s.URL, s.Config, slog.New(slog.NewTextHandler(os.Stderr, nil)), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server := httptest.NewServer(r.gw.Handler())
	fmt.Println(server.URL)
	select {}
}

// process is a gateway in a process of its own.
type process struct {
	cmd    *exec.Cmd
	client *client.Push
	log    *strings.Builder
	kill   func()
}

func startProcess(t *testing.T, s childSettings) *process {
	t.Helper()
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(settings))
	log := &strings.Builder{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill := func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill() // SIGKILL
			_ = cmd.Wait()         // which it reports as an error
		}
	}
	t.Cleanup(kill)
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		kill()
		t.Fatalf("the gateway did not start: %v\n%s", err, log)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &process{cmd, client.NewPush(client.PushOptions{URL: strings.TrimSpace(url), HTTPClient: &http.Client{Transport: transport}}), log, kill}
}

func TestKillBetweenAcceptAndDelivery(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, url string) {
		phones := sandbox.NewPhones(sandbox.PhonesOptions{KeepIDs: 100_000})
		apple := startApple(t, sandbox.AppleOptions{Dir: t.TempDir(), Phones: phones})
		s := childSettings{URL: url, Config: push.Config{RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond,
			Apps: []push.AppConfig{{Name: "market", APNS: credentials(apple)}}}}
		apple.SetLatency(20 * time.Millisecond)

		p := startProcess(t, s)
		accepted, err := p.client.Send(t.Context(), client.PushRequest{Notifications: []client.Notification{sold(tokens(0, 100)...)}})
		p.kill()
		if err != nil {
			t.Fatalf("%v\n%s", err, p.log)
		}
		early, _ := phones.Received()

		p = startProcess(t, s)
		var st client.PushStatus
		eventually(t, func() bool {
			st, err = p.client.Status(t.Context(), accepted.ID)
			if err != nil {
				t.Fatal(err)
			}
			return st.Waiting == 0
		}, func() string { return fmt.Sprintf("%+v", st) })
		if st.Sent != 100 {
			t.Errorf("status %+v", st)
		}
		ids := map[string]string{}
		for _, d := range phones.Deliveries(0, 0) {
			if was, again := ids[d.Token]; again && was != d.APNSID {
				t.Errorf("%s… came under two ids, %s and %s", d.Token[60:], was, d.APNSID)
			}
			ids[d.Token] = d.APNSID
		}
		if len(ids) != 100 {
			t.Errorf("%d of 100 arrived", len(ids))
		}
		if total, repeated := phones.Received(); total != 100+repeated || repeated > 100 {
			t.Errorf("received %d, repeated %d", total, repeated)
		}
		t.Logf("%d had arrived before the kill", early)
	})
}

func TestKillAtRandomInstants(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out the rounds of kill -9")
	}
	phones := sandbox.NewPhones(sandbox.PhonesOptions{Keep: 100_000, KeepIDs: 1 << 20})
	apple := startApple(t, sandbox.AppleOptions{Dir: t.TempDir(), Phones: phones})
	apple.SetLatency(5 * time.Millisecond)
	s := childSettings{URL: sqldbtest.SQLite(t), Config: push.Config{RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		Apps: []push.AppConfig{{Name: "market", APNS: credentials(apple)}}}}
	var accepted []string
	for round := range 4 {
		p := startProcess(t, s)
		ended := make(chan []string)
		go func() {
			var ids []string
			defer func() { ended <- ids }()
			for i := 0; ; i++ {
				a, err := p.client.Send(context.Background(), client.PushRequest{Notifications: []client.Notification{sold(tokens((round*10_000+i)*10, 10)...)}})
				if err != nil {
					return // killed
				}
				ids = append(ids, a.ID)
			}
		}()
		// The instant follows from how far things are, and so from chance.
		before, _ := phones.Received()
		eventually(t, func() bool { now, _ := phones.Received(); return now > before+int64(37*(round+1)) }, func() string { return p.log.String() })
		p.kill()
		accepted = append(accepted, <-ended...)
	}
	p := startProcess(t, s)
	for _, id := range accepted {
		var st client.PushStatus
		eventually(t, func() bool {
			var err error
			if st, err = p.client.Status(t.Context(), id); err != nil {
				t.Fatalf("request %s is lost: %v", id, err)
			}
			return st.Waiting == 0
		}, func() string { return fmt.Sprintf("%+v", st) })
		if st.Sent != 10 {
			t.Errorf("status %+v", st)
		}
	}
	got := map[string]string{}
	for _, d := range phones.Deliveries(0, 0) {
		if was, again := got[d.Token]; again && was != d.APNSID {
			t.Errorf("%s… came under two ids", d.Token[50:])
		}
		got[d.Token] = d.APNSID
	}
	if want := 10 * len(accepted); len(got) < want {
		t.Errorf("%d of %d arrived", len(got), want)
	}
	total, repeated := phones.Received()
	t.Logf("accepted %d requests, received %d, repeated %d", len(accepted), total, repeated)
}
