package gaurun_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/furima/furima/internal/push"
	"github.com/furima/furima/internal/push/gaurun"
)

// What a line in the access log costs a delivery.
func BenchmarkLogEnded(b *testing.B) {
	l, err := gaurun.OpenLogs(gaurun.LogOptions{Access: filepath.Join(b.TempDir(), "access.log")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const message = `"hello, world"`
	e := push.Ended{
		App: "market", Platform: push.APNS, Token: aToken, Took: 1234 * time.Microsecond,
		Note: "\x01" + string(rune(len(message))) + message + `,"badge":1,"sound":"default"`,
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Ended(e)
	}
}

// Intake of a full request, with and without logs.
func BenchmarkPush(b *testing.B) {
	body := many(100)
	for _, name := range []string{"discard", filepath.Join(b.TempDir(), "access.log")} {
		logs, err := gaurun.OpenLogs(gaurun.LogOptions{Access: name})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(strings.TrimSuffix(filepath.Base(name), ".log"), func(b *testing.B) {
			b.ReportAllocs()
			r := newRig(b, gaurun.Options{Logs: logs}, nil)
			for b.Loop() {
				if res, text := r.call("POST", "/push", strings.NewReader(body)); res.StatusCode != 200 {
					b.Fatalf("%d %s", res.StatusCode, text)
				}
			}
		})
		if err := logs.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
