package gaurun_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/gaurun"
)

// at is when the tests' logs are written, and firstID the id of a push then.
var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("JST", 9*3600))

const firstID = 1772568367_000001

// logs are logs in files, at a fixed time.
type logs struct {
	*gaurun.Logs
	t              *testing.T
	access, errors string
}

func openLogs(t *testing.T, level string) logs {
	t.Helper()
	dir := t.TempDir()
	l := logs{t: t, access: filepath.Join(dir, "access.log"), errors: filepath.Join(dir, "error.log")}
	var err error
	l.Logs, err = gaurun.OpenLogs(gaurun.LogOptions{Access: l.access, Error: l.errors, Level: level, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return l
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// await polls until the logs hold the lines that done asks for.
func (l logs) await(done func(access, errors string) bool) (access, errors string) {
	l.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		access, errors = read(l.t, l.access), read(l.t, l.errors)
		if done(access, errors) {
			return access, errors
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			l.t.Fatalf("access log:\n%s\nerror log:\n%s", access, errors)
		}
	}
}

var ptime = regexp.MustCompile(`"ptime":[0-9.]+`)

// The lines of a life of pushes, byte for byte but for the time they took.
func TestLogLines(t *testing.T) {
	t.Parallel()
	l := openLogs(t, "")
	r := newRig(t, gaurun.Options{Logs: l.Logs, AllowsEmptyMessage: true}, nil)
	dead := strings.Repeat("ee", 32)
	r.phones.Uninstall(dead)
	all := `{"notifications":[
		{"token":["` + aToken + `","` + dead + `"],"platform":1,"message":"a \"b\"\n<c> é","title":"t","subtitle":"s","badge":3,"category":"c","sound":"default","content_available":true,"mutable_content":true,"expiry":60,"identifier":"order-1","priority":"high","push_type":"alert","extend":[{"key":"k","val":"v"}]},
		{"token":["x"],"platform":7,"message":"m"},
		{"token":["` + aToken + `"],"platform":1},
		{"token":["and-1","and-2"],"platform":2,"message":"m","collapse_key":"ck","delay_while_idle":true,"time_to_live":9},
		{"token":["` + aToken + `"],"platform":1,"message":"` + strings.Repeat("x", 4097) + `"}]}`
	if res, body := r.call("POST", "/push?x=1", strings.NewReader(all)); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	access, errs := l.await(func(access, errors string) bool {
		return strings.Count(access, "succeeded-push") == 2 && strings.Count(errors, "Unregistered") == 1
	})
	const stamp = `"time":"2026/03/04 05:06:07 JST"`
	const text = `"message":"a \"b\"\n<c> é"`
	const rest = `,"title":"t","subtitle":"s","badge":3,"category":"c","sound":"default","content_available":true,"mutable_content":true,"expiry":60,"identifier":"order-1"}`
	// The gateway gives ids to all that may be accepted first: 2+1+2+1 of them.
	wantAccess := []string{
		fmt.Sprintf(`{"level":"info",%s,"message":"","type":"accepted-request","uri":"/push?x=1","method":"POST","proto":"HTTP/1.1","content_length":%d}`, stamp, len(all)),
		fmt.Sprintf(`{"level":"info",%s,%s,"id":%d,"platform":"ios","token":"%s","type":"accepted-push","ptime":0,"error":""%s`, stamp, text, firstID, aToken, rest),
		fmt.Sprintf(`{"level":"info",%s,%s,"id":%d,"platform":"ios","token":"%s","type":"accepted-push","ptime":0,"error":""%s`, stamp, text, firstID+1, dead, rest),
		fmt.Sprintf(`{"level":"info",%s,"message":"","id":%d,"platform":"ios","token":"%s","type":"accepted-push","ptime":0,"error":""}`, stamp, firstID+2, aToken),
	}
	wantLater := []string{
		fmt.Sprintf(`{"level":"info",%s,%s,"id":%d,"platform":"ios","token":"%s","type":"succeeded-push","ptime":T,"error":""%s`, stamp, text, firstID, aToken, rest),
		fmt.Sprintf(`{"level":"info",%s,"message":"","id":%d,"platform":"ios","token":"%s","type":"succeeded-push","ptime":T,"error":""}`, stamp, firstID+2, aToken),
	}
	lines := strings.Split(strings.TrimSuffix(access, "\n"), "\n")
	if diff := cmp.Diff(wantAccess, lines[:min(len(lines), len(wantAccess))]); diff != "" {
		t.Errorf("access log (-want +got):\n%s", diff)
	}
	for _, want := range wantLater {
		found := false
		for _, line := range lines[min(len(lines), len(wantAccess)):] {
			found = found || ptime.ReplaceAllString(line, `"ptime":T`) == want
		}
		if !found {
			t.Errorf("%s\nis missing in\n%s", want, access)
		}
	}
	android := `"type":"disabled-push","ptime":0,"error":"","collapse_key":"ck","delay_while_idle":true,"time_to_live":9}`
	wantErrors := []string{
		fmt.Sprintf(`{"level":"error",%s,"message":"invalid platform"}`, stamp),
		fmt.Sprintf(`{"level":"error",%s,"message":"m","id":%d,"platform":"android","token":"and-1",%s`, stamp, firstID+6, android),
		fmt.Sprintf(`{"level":"error",%s,"message":"m","id":%d,"platform":"android","token":"and-2",%s`, stamp, firstID+7, android),
		fmt.Sprintf(`{"level":"error",%s,"message":"%s","id":%d,"platform":"ios","token":"%s","type":"failed-push","ptime":0,"error":"makes a payload of 4127 bytes; Apple takes 4096"}`, stamp, strings.Repeat("x", 4097), firstID+8, aToken),
		fmt.Sprintf(`{"level":"error",%s,%s,"id":%d,"platform":"ios","token":"%s","type":"failed-push","ptime":T,"error":"Unregistered"%s`, stamp, text, firstID+1, dead, rest),
	}
	gotErrors := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
	if n := len(gotErrors); n == len(wantErrors) {
		gotErrors[n-1] = ptime.ReplaceAllString(gotErrors[n-1], `"ptime":T`)
	}
	if diff := cmp.Diff(wantErrors, gotErrors); diff != "" {
		t.Errorf("error log (-want +got):\n%s", diff)
	}
	for _, line := range append(lines, gotErrors...) {
		if line = strings.Replace(line, `:T,`, `:0,`, 1); !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

// What was wrong with a request is in the error log, and every request in the
// access log.
func TestLogFaults(t *testing.T) {
	t.Parallel()
	l := openLogs(t, "ERROR")
	r := newRig(t, gaurun.Options{Logs: l.Logs}, func(c *push.Config) { c.MaxBacklog = 1 })
	r.call("GET", "/push", nil)
	r.call("POST", "/push", strings.NewReader(`{"notifications":[]}`))
	r.call("POST", "/push", strings.NewReader(many(101)))
	r.call("POST", "/push", strings.NewReader(many(2)))
	r.call("GET", "/stat/app", nil)
	access, errs := l.await(func(access, errors string) bool {
		return strings.Count(access, "\n") == 4 && strings.Count(errors, "\n") == 3
	})
	if strings.Count(access, `"type":"accepted-request"`) != 4 || strings.Count(access, `"method":"GET"`) != 1 || strings.Count(access, `"content_length":0`) != 1 {
		t.Errorf("access log:\n%s", access)
	}
	for _, want := range []string{"empty notification", "number of notifications(101) over limit(100)", "the backlog is full"} {
		if !strings.Contains(errs, `"message":"`+want+`"`) {
			t.Errorf("%q is missing in\n%s", want, errs)
		}
	}
}

// With a level above error the error log stays empty, and pushes go on.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	l := openLogs(t, "fatal")
	r := newRig(t, gaurun.Options{Logs: l.Logs}, nil)
	dead := strings.Repeat("ee", 32)
	r.phones.Uninstall(dead)
	r.call("POST", "/push", strings.NewReader("x"))
	r.call("POST", "/push", strings.NewReader(`{"notifications":[{"token":["`+dead+`"],"platform":1,"message":"m"}]}`))
	r.call("POST", "/push", strings.NewReader(one("")))
	_, errs := l.await(func(access, _ string) bool { return strings.Contains(access, "succeeded-push") })
	if errs != "" {
		t.Errorf("error log:\n%s", errs)
	}
	for _, level := range []string{"loud", "Error", "trace"} {
		if _, err := gaurun.OpenLogs(gaurun.LogOptions{Access: "stdout", Level: level}); err == nil {
			t.Errorf("level %q is taken", level)
		}
	}
}

// Logs that go nowhere are none, and cost nothing.
func TestLogNone(t *testing.T) {
	t.Parallel()
	for _, o := range []gaurun.LogOptions{{}, {Access: "discard", Error: "discard"}, {Access: "stdout", Error: "stderr"}} {
		l, err := gaurun.OpenLogs(o)
		if err != nil || l != nil {
			t.Errorf("%+v: %v %v", o, l, err)
		}
	}
	if _, err := gaurun.OpenLogs(gaurun.LogOptions{Access: filepath.Join(t.TempDir(), "no", "log")}); err == nil || !strings.Contains(err.Error(), "access_log: cannot open") {
		t.Errorf("a log in no directory: %v", err)
	}
	if _, err := gaurun.OpenLogs(gaurun.LogOptions{Access: filepath.Join(t.TempDir(), "log"), Error: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "error_log: cannot open") {
		t.Errorf("a directory as log: %v", err)
	}
	var none *gaurun.Logs
	none.Ended(push.Ended{Note: "x"})
	if err := errors.Join(none.Reopen(), none.Close()); err != nil {
		t.Error(err)
	}
	if none.Handler().Enabled(t.Context(), slog.LevelError) {
		t.Error("a log that is none is written to")
	}
}

// The usual rotation: the file is moved away, SIGHUP, and lines go to a new one.
func TestLogReopen(t *testing.T) {
	t.Parallel()
	l := openLogs(t, "info")
	log := slog.New(l.Handler())
	log.Info("one")
	l.await(func(_, errors string) bool { return strings.Contains(errors, "one") })
	if err := os.Rename(l.errors, l.errors+".1"); err != nil {
		t.Fatal(err)
	}
	log.Info("two") // to the old file, which is still open
	for read(t, l.errors+".1") == "" || !strings.Contains(read(t, l.errors+".1"), "two") {
		if t.Context().Err() != nil {
			t.Fatal("it did not arrive")
		}
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("three")
	_, errs := l.await(func(_, errors string) bool { return strings.Contains(errors, "three") })
	if strings.Contains(errs, "two") || strings.Contains(read(t, l.errors+".1"), "three") {
		t.Errorf("after the rotation: %s", errs)
	}
	// A directory in the way: the old file stays in use.
	if err := errors.Join(os.Rename(l.errors, l.errors+".2"), os.Mkdir(l.errors, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("a directory was opened")
	}
	log.Info("four")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read(t, l.errors+".2"), "four") {
		t.Error("the line after a failed reopening is lost")
	}
	if info, err := os.Stat(l.errors + ".2"); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	log.Info("five") // after Close: nowhere, and no panic
}

// furima's own records in the error log have its keys and Gaurun's form.
func TestLogHandler(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := gaurun.OpenLogs(gaurun.LogOptions{Error: "stderr", Level: "warn", Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(l.Handler()).With("role", "push")
	log.Info("not shown")
	log.Warn("sending pauses", "app", "gaurun", slog.Group("g", "time", "x", "msg", "y"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if _, err := time.Parse("2006/01/02 15:04:05 MST", fmt.Sprint(got["time"])); err != nil {
		t.Error(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "warn", "message": "sending pauses", "role": "push", "app": "gaurun", "g": map[string]any{"time": "x", "msg": "y"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// flaky is a disk that is full now and then.
type flaky struct {
	mu   sync.Mutex
	full bool
	text bytes.Buffer
}

func (f *flaky) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return 0, errors.New("disk full")
	}
	return f.text.Write(b)
}

func (f *flaky) setFull(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

// A log that cannot be written is told of once, on standard error, and written
// again as soon as that is possible.
func TestLogDiskFull(t *testing.T) {
	t.Parallel()
	var disk, report flaky
	l, err := gaurun.OpenLogs(gaurun.LogOptions{Error: "stdout", Level: "info", Stdout: &disk, Stderr: &report})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(l.Handler())
	disk.setFull(true)
	for range 10 {
		log.Info("lost")
	}
	told := func() string {
		report.mu.Lock()
		defer report.mu.Unlock()
		return report.text.String()
	}
	for told() == "" {
		if t.Context().Err() != nil {
			t.Fatal("nobody was told")
		}
	}
	disk.setFull(false)
	log.Info("kept")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "furima: log stdout: lines are lost: disk full\n"; told() != want {
		t.Errorf("told %q, want %q", told(), want)
	}
	if !strings.Contains(disk.text.String(), "kept") {
		t.Errorf("log %q", disk.text.String())
	}
}

// Many goroutines: every line is whole, and none is lost by Close.
func TestLogConcurrent(t *testing.T) {
	t.Parallel()
	l := openLogs(t, "info")
	gw := newRig(t, gaurun.Options{}, nil).gw
	h := gaurun.New(gw, gaurun.Options{Logs: l.Logs})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 250 {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/push", nil))
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(read(t, l.access), "\n"), "\n")
	if len(lines) != 2000 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("broken: %s", line)
		}
	}
}

// What a process has accepted another one may deliver: the line says the same.
func TestLogAfterRestart(t *testing.T) {
	t.Parallel()
	l := openLogs(t, "")
	var notes []string
	// Stored by an earlier process under its own ids.
	first := openLogs(t, "")
	obs := &observed{notes: &notes, Observer: first.Logs}
	r := newRigObserved(t, gaurun.Options{Logs: first.Logs}, nil, obs)
	r.call("POST", "/push", strings.NewReader(one(`,"identifier":"i"`)))
	first.await(func(access, _ string) bool { return strings.Contains(access, "succeeded-push") })
	l.Ended(push.Ended{App: "market", Platform: push.APNS, Token: "t", Note: notes[0], Place: 3, Took: 1234567 * time.Microsecond})
	l.Ended(push.Ended{App: "market", Platform: push.APNS, Token: "t", Note: notes[0][:1], Reason: "x"}) // damaged: no line
	l.Ended(push.Ended{App: "market", Platform: push.FCM, Token: "t", Note: "", Reason: "x"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"level":"info","time":"2026/03/04 05:06:07 JST","message":"m","id":%d,"platform":"ios","token":"t","type":"succeeded-push","ptime":1.234,"error":"","identifier":"i"}`+"\n", firstID+3)
	if got := read(t, l.access); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	if got := read(t, l.errors); got != "" {
		t.Errorf("error log %s", got)
	}
}

// observed remembers the notes that an observer sees.
type observed struct {
	push.Observer
	mu    sync.Mutex
	notes *[]string
}

func (o *observed) Ended(e push.Ended) {
	o.mu.Lock()
	*o.notes = append(*o.notes, e.Note)
	o.mu.Unlock()
	o.Observer.Ended(e)
}
