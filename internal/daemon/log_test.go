package daemon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/internal/daemon"
)

func TestLogFormats(t *testing.T) {
	say := func(cfg daemon.LogConfig) string {
		var buf bytes.Buffer
		log := daemon.NewLogger(&buf, cfg)
		log.Debug("too fine")
		log.Info("item listed", "item_id", 7)
		return buf.String()
	}
	for _, format := range []string{"", "auto", "json", "nonsense"} {
		var m map[string]any
		if err := json.Unmarshal([]byte(say(daemon.LogConfig{Format: format})), &m); err != nil {
			t.Fatalf("format %q: %v", format, err)
		}
		delete(m, "time")
		if diff := cmp.Diff(map[string]any{"level": "INFO", "msg": "item listed", "item_id": 7.0}, m); diff != "" {
			t.Errorf("format %q: %s", format, diff)
		}
	}
	plain := say(daemon.LogConfig{Format: "text", Color: "auto"})
	if !strings.HasSuffix(plain, " INFO  item listed item_id=7\n") || strings.Contains(plain, "\x1b") {
		t.Errorf("text: %q", plain)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z07:00", strings.Fields(plain)[0]); err != nil {
		t.Errorf("text: %v", err)
	}
	if s := say(daemon.LogConfig{Format: "text", Color: "always"}); !strings.Contains(s, "\x1b[1mitem listed\x1b[0m") {
		t.Errorf("coloured text: %q", s)
	}
	if s := say(daemon.LogConfig{Format: "text", Color: "never"}); strings.Contains(s, "\x1b") {
		t.Errorf("plain text: %q", s)
	}
}

// A pipe, as under systemd, is not a terminal.
func TestLogToPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	daemon.NewLogger(w, daemon.DefaultLogConfig()).Info("hello")
	w.Close()
	var m map[string]any
	if err := json.NewDecoder(r).Decode(&m); err != nil || m["msg"] != "hello" {
		t.Errorf("%v, %v", m, err)
	}
}

func TestLogText(t *testing.T) {
	var buf bytes.Buffer
	root := daemon.NewLogger(&buf, daemon.LogConfig{Level: "debug", Format: "text"})
	with := root.With("role", "api").WithGroup("req").With("id", 1)
	tests := []struct {
		say  func()
		want string
	}{
		{func() { root.Debug("fine") }, "DEBUG fine"},
		{func() { root.Warn("slow", "took", 1500*time.Millisecond) }, "WARN  slow took=1.5s"},
		{func() { root.Error("gone", "error", errors.New("no route")) }, `ERROR gone error="no route"`},
		{func() { root.Info("n", "f", 0.25, "b", true, "nil", nil, "empty", "") }, `INFO  n f=0.25 b=true nil=<nil> empty=""`},
		{func() { root.Info("t", "at", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) }, "INFO  t at=2026-01-02T03:04:05Z"},
		{func() { root.Info("u", "title", "青い自転車", "q", `a"b`, "eq", "a=b") }, `INFO  u title=青い自転車 q="a\"b" eq="a=b"`},
		{func() { root.Info("evil\n2026 INFO faked \x1b[31m", "v", "x\r\ny\x1b[0m") }, `INFO  "evil\n2026 INFO faked \x1b[31m" v="x\r\ny\x1b[0m"`},
		{func() { with.Info("done", "status", 200) }, "INFO  done role=api req.id=1 req.status=200"},
		{func() { root.Info("g", slog.Group("db", "rows", 3), slog.Group("", "flat", 1), slog.Attr{}) }, "INFO  g db.rows=3 flat=1"},
		{func() { with.WithGroup("").Info("same", slog.Any("v", valuer{})) }, "INFO  same role=api req.id=1 req.v=resolved"},
	}
	for _, tt := range tests {
		buf.Reset()
		tt.say()
		_, got, _ := strings.Cut(strings.TrimSuffix(buf.String(), "\n"), " ")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("resolved") }

func TestConfigValidate(t *testing.T) {
	collect := func(validate func(func(key, problem string))) map[string]string {
		m := map[string]string{}
		validate(func(key, problem string) { m[key] = problem })
		return m
	}
	tests := []struct {
		name     string
		validate func(func(key, problem string))
		want     map[string]string
	}{
		{"log default", daemon.DefaultLogConfig().Validate, map[string]string{}},
		{"log zero", daemon.LogConfig{}.Validate, map[string]string{}},
		{"log wrong", daemon.LogConfig{Level: "INFO", Format: "xml", Color: "yes"}.Validate, map[string]string{
			"level": `must be "debug", "info", "warn" or "error"`, "format": `must be "auto", "json" or "text"`,
			"color": `must be "auto", "always" or "never"`}},
		{"ops default", daemon.DefaultOpsConfig().Validate, map[string]string{}},
		{"ops zero", daemon.OpsConfig{}.Validate, map[string]string{}},
		{"ops wrong", daemon.OpsConfig{Listen: "x", StopTimeout: -1, DrainDelay: -1}.Validate, map[string]string{
			"listen": `must be "host:port" or "unix:/path"`, "stop_timeout": "must not be negative", "drain_delay": "must not be negative"}},
		{"long drain", daemon.OpsConfig{DrainDelay: time.Minute}.Validate, map[string]string{
			"drain_delay": "must be shorter than stop_timeout (30s)"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, collect(tt.validate)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
