package apns

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/furima/furima/internal/push"
)

// plainly is what package encoding/json makes of a value.
func plainly(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func FuzzAppendText(f *testing.F) {
	for _, s := range []string{"", "plain", "売れました", `"quoted" \ <b>&`, "\x00\x1f\x7f\b\f\n\r\t", "\xff\xc3(", "\u2028\u2029", "\ufffd", "😀 end"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(appendText(nil, s)), plainly(t, s); got != want {
			t.Errorf("%q became %s, want %s", s, got, want)
		}
	})
}

func FuzzEncodeAll(f *testing.F) {
	f.Add("Sold!", "本文", "sub", "key", "arg", "default", "cat", "thread", "https://x/y.jpg", "item", "it_1", 3, 1, 0, true, 0.5)
	f.Add("", "", "", "", "", "", "", "", "", "", "", 0, 0, 1, false, 0.0)
	f.Fuzz(func(t *testing.T, title, body, subtitle, key, arg, sound, category, thread, image, name, value string, badge, available, mutable int, changed bool, score float64) {
		if score != score || score > 1e300 || score < -1e300 || name == "aps" || name == imageMember {
			t.Skip("refused before")
		}
		a := aps{
			Alert: &alert{Title: title, TitleLocKey: key, Subtitle: subtitle, Body: body, LocKey: key},
			Badge: &badge, Sound: sound, Category: category, ThreadID: thread, ContentAvailable: available,
			ContentChanged: changed, MutableContent: mutable, InterruptionLevel: category, RelevanceScore: score,
		}
		if arg != "" {
			a.Alert.TitleLocArgs, a.Alert.LocArgs = []string{arg}, []string{arg, "", arg}
		}
		if changed {
			a.Badge = nil
		}
		d := &draft{Notification: &push.Notification{Data: map[string]string{name: value, "b": "", "a": arg}, Image: image}}
		all := map[string]any{"aps": a, "b": "", "a": arg}
		all[name] = d.Data[name]
		if image != "" {
			all[imageMember] = image
		}
		if got, want := string(d.encodeAll(a.appendTo)), plainly(t, all); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
