package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/furima/furima/internal/push/sandbox"
)

// browser opens a page in a headless Chromium of the given width.
func browser(t *testing.T, url string, width int64, scheme string) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out tests with chromium")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing")
		}
		t.Skip("chromium is missing")
	}
	// Outside t.TempDir: Chromium still writes there while it ends.
	dir, err := os.MkdirTemp("", "furima-chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(dir))
	for _, flag := range []string{"disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	// Chromium's own windows are not narrower than 500 pixels.
	size := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 500}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, size); err != nil {
		t.Fatal(err)
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// until waits for a JavaScript expression to become true.
func until(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
}

func TestPageShowsWhatArrives(t *testing.T) {
	for _, c := range []struct {
		width  int64
		scheme string
	}{{1280, "light"}, {390, "dark"}} {
		t.Run(fmt.Sprint(c.width, c.scheme), func(t *testing.T) {
			s := start(t, sandbox.AppleOptions{})
			ctx := browser(t, servePhones(t, s.phones), c.width, c.scheme)
			shot := func(name string) {
				png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+".png"), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			until(t, ctx, `document.querySelector("#live").dataset.state === "on" && !document.querySelector("#empty").hidden`)
			shot("empty")

			other := strings.Repeat("ab", 32)
			s.phones.Label(aToken, "Haruka")
			s.phones.Label(other, "Kenji")
			s.deliver(t, aToken, id(1), `{"aps":{"alert":{"title":"Sold!","body":"<img src=x onerror=alert(1)>"},"badge":1}}`)
			s.deliver(t, other, id(2), `{"aps":{"alert":"New comment"}}`)
			until(t, ctx, `document.querySelectorAll(".phone").length === 2`)
			until(t, ctx, `document.querySelector(".phone strong").textContent === "Kenji"`)
			s.deliver(t, aToken, id(3), `{"aps":{"content-available":1}}`)
			until(t, ctx, `document.querySelector(".phone strong").textContent === "Haruka"`)
			until(t, ctx, `document.querySelectorAll(".phone .note").length === 3`)
			until(t, ctx, `document.querySelectorAll(".phone .note .body")[1].textContent === "<img src=x onerror=alert(1)>"`)
			until(t, ctx, `document.querySelectorAll(".phones img").length === 0`)
			until(t, ctx, `document.documentElement.scrollWidth <= innerWidth`)
			shot("phones")

			if err := chromedp.Do(ctx, chromedp.SendKeys("#filter", "kenj")); err != nil {
				t.Fatal(err)
			}
			until(t, ctx, `document.querySelectorAll(".phone").length === 1 && document.querySelector(".phone strong").textContent === "Kenji"`)
			until(t, ctx, `document.querySelector(".phone").getAnimations().length === 0`) // it stands still
			if err := chromedp.Do(ctx, chromedp.Click(".phone .toggle")); err != nil {
				t.Fatal(err)
			}
			until(t, ctx, `document.querySelector(".phone").classList.contains("gone")`)
			if _, gone := s.phones.Gone()[other]; !gone {
				t.Error("the button did not take the app from the phone")
			}
			if err := chromedp.Do(ctx, chromedp.SendKeys("#filter", "x")); err != nil {
				t.Fatal(err)
			}
			until(t, ctx, `!document.querySelector("#none").hidden`)
			if err := chromedp.Do(ctx, chromedp.Click("#clear")); err != nil {
				t.Fatal(err)
			}
			until(t, ctx, `document.querySelectorAll(".phone").length === 2`)
		})
	}
}
