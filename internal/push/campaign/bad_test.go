package campaign_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push/campaign"
)

// withBad puts lines that are not JSON after every nth of lines(n).
func withBad(n, every int) (in string, bad []int64) {
	var b strings.Builder
	line := int64(0)
	for l := range strings.Lines(lines(n)) {
		b.WriteString(l)
		if line++; int(line-int64(len(bad)))%every == 0 {
			b.WriteString("nonsense\n")
			line++
			bad = append(bad, line)
		}
	}
	return b.String(), bad
}

func TestBadLinesAreSkipped(t *testing.T) {
	in, want := withBad(5000, 700)
	f := newFake()
	var got []int64
	sum, err := campaign.Run(t.Context(), strings.NewReader(in), campaign.Options{
		Sender: f, Text: sale, OnError: campaign.Skip,
		BadLine: func(b campaign.BadLine) { got = append(got, b.Line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.once(5000); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if sum.Lines != 5000+int64(len(want)) || sum.Bad != int64(len(want)) || sum.Accepted != 5000 {
		t.Errorf("summary %+v", sum)
	}
}

// TestBadLineStops holds that everything before a bad line is sent, and that the
// campaign goes on with the line once it is mended.
func TestBadLineStops(t *testing.T) {
	all := strings.SplitAfter(lines(3000), "\n")
	broken := slices.Clone(all)
	broken[1234] = "{\n"
	f := newFake()
	o := campaign.Options{Sender: f, Text: sale, StatePath: filepath.Join(t.TempDir(), "state")}
	for range 2 { // the second time it stops right there
		sum, err := campaign.Run(t.Context(), strings.NewReader(strings.Join(broken, "")), o)
		bad, ok := errors.AsType[*campaign.BadLineError](err)
		if !ok || bad.Line != 1235 || bad.LeftOut {
			t.Fatalf("error %v", err)
		}
		if err := f.once(1234); err != nil || sum.Position.Line != 1234 || !sum.Clean || sum.Done {
			t.Errorf("%v; %+v", err, sum)
		}
	}
	if _, err := campaign.Run(t.Context(), strings.NewReader(strings.Join(all, "")), o); err != nil {
		t.Fatal(err)
	}
	if err := f.once(3000); err != nil {
		t.Error(err)
	}
}

// refusing is a gateway that refuses some tokens.
func refusing(tokens ...int) *fake {
	f := newFake()
	var dead []string
	for _, i := range tokens {
		dead = append(dead, fmt.Sprintf("%064x", i))
	}
	f.wrong = func(n client.Notification) (faults []client.FieldError) {
		for i, t := range n.Tokens {
			if slices.Contains(dead, t) {
				faults = append(faults, client.FieldError{Pointer: fmt.Sprintf("/tokens/%d", i), Message: "is odd"})
			}
		}
		return faults
	}
	return f
}

// TestRefusedLinesAreSkipped holds that what the gateway finds wrong is put down
// to its line, and the rest of the batch is sent.
func TestRefusedLinesAreSkipped(t *testing.T) {
	var many []int
	for i := range 180 { // more than one answer lists
		many = append(many, 2000+3*i)
	}
	f := refusing(append(many, 0, 999, 1000, 4321)...)
	got := map[int64]string{}
	state := filepath.Join(t.TempDir(), "state")
	sum, err := campaign.Run(t.Context(), strings.NewReader(lines(5000)), campaign.Options{
		Sender: f, Text: sale, OnError: campaign.Skip, StatePath: state,
		BadLine: func(b campaign.BadLine) { got[b.Line] = b.Reason },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 184 || sum.Bad != 184 || sum.Accepted != 5000-184 || f.total != 5000-184 {
		t.Errorf("%d bad lines, %d accepted, %+v", len(got), f.total, sum)
	}
	for _, line := range []int64{1, 1000, 1001, 2001, 4322} {
		if got[line] != "token is odd" {
			t.Errorf("line %d: %q", line, got[line])
		}
	}
}

// TestRefusedLineStops holds that the place to go on from is behind everything
// that was sent, so that nothing has to be sent again.
func TestRefusedLineStops(t *testing.T) {
	f := refusing(1234)
	o := campaign.Options{Sender: f, Text: sale, Batch: 100, StatePath: filepath.Join(t.TempDir(), "state")}
	sum, err := campaign.Run(t.Context(), strings.NewReader(lines(5000)), o)
	bad, ok := errors.AsType[*campaign.BadLineError](err)
	if !ok || bad.Line != 1235 || !bad.LeftOut || bad.Error() != "line 1235: token is odd" {
		t.Fatalf("error %v", err)
	}
	if !sum.Clean || sum.Bad != 1 || sum.Position.Line < 1300 || sum.Position.Line == 5000 || int64(f.total) != sum.Accepted {
		t.Errorf("summary %+v, %d accepted", sum, f.total)
	}
	if _, err := campaign.Run(t.Context(), strings.NewReader(lines(5000)), o); err != nil {
		t.Fatal(err)
	}
	if f.total != 4999 || f.accepted[fmt.Sprintf("%064x", 1234)] != 0 {
		t.Errorf("%d accepted", f.total)
	}
}

func TestRefusals(t *testing.T) {
	fault := func(pointer string) func(client.Notification) []client.FieldError {
		return func(n client.Notification) []client.FieldError {
			if n.Platform != client.FCM || pointer == "/tokens/1" && len(n.Tokens) < 2 {
				return nil
			}
			return []client.FieldError{{Pointer: pointer, Message: "is odd"}}
		}
	}
	own := `{"platform":"fcm","token":"a","title":"own"}` + "\n" + `{"platform":"fcm","token":"b","title":"own"}` + "\n"
	tests := map[string]struct {
		wrong func(client.Notification) []client.FieldError
		in    string
		want  string // an error
		bad   []campaign.BadLine
	}{
		"the text of the campaign": {fault("/title"), lines(3) + `{"platform":"fcm","token":"a"}`, "the gateway refuses the text: title is odd", nil},
		"a platform without credentials": {fault("/platform"), lines(3) + `{"platform":"fcm","token":"a"}`, "",
			[]campaign.BadLine{{Line: 4, Reason: "platform is odd"}}},
		"a text of lines' own": {fault("/title"), lines(3) + own, "",
			[]campaign.BadLine{{Line: 4, Reason: "title is odd"}, {Line: 5, Reason: "title is odd"}}},
		"a topic":             {fault("/fcm/topic"), lines(3) + `{"platform":"fcm","fcm":{"topic":"x"}}`, "", []campaign.BadLine{{Line: 4, Reason: "fcm/topic is odd"}}},
		"several of one line": {fault("/tokens/1"), lines(3) + `{"platform":"fcm","tokens":["a","b"]}`, "", []campaign.BadLine{{Line: 4, Reason: "token is odd"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.wrong = tt.wrong
			var bad []campaign.BadLine
			sum, err := campaign.Run(t.Context(), strings.NewReader(tt.in), campaign.Options{Sender: f, Text: sale, OnError: campaign.Skip,
				BadLine: func(b campaign.BadLine) { bad = append(bad, b) }})
			if tt.want != "" {
				if err == nil || err.Error() != tt.want {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.bad, bad); d != "" {
				t.Error(d)
			}
			if sum.Bad != int64(len(bad)) || f.total < 3 {
				t.Errorf("summary %+v, %d accepted", sum, f.total)
			}
		})
	}
}

func TestRefusalOfNoLine(t *testing.T) {
	f := newFake()
	for _, pointer := range []string{"/app", "header/Idempotency-Key", "/notifications", "/notifications/7/title", "/notifications/x/title", "/notifications/0/tokens/9"} {
		f.before = func(int, client.PushRequest) error {
			return &client.Problem{Status: 422, Code: client.Invalid, Errors: []client.FieldError{{Pointer: pointer, Message: "is odd"}}}
		}
		_, err := campaign.Run(t.Context(), strings.NewReader(lines(3)), campaign.Options{Sender: f, Text: sale, OnError: campaign.Skip})
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != 422 {
			t.Errorf("%s: %v", pointer, err)
		}
	}
}

// TestTooLarge holds that a request which the gateway finds too large is cut
// until it fits, that what never fits is a bad line, and that this comes out the
// same when a part was accepted before a crash.
func TestTooLarge(t *testing.T) {
	f := newFake()
	lost := true
	f.before = func(call int, req client.PushRequest) error {
		n := 0
		for _, x := range req.Notifications {
			n += max(1, len(x.Tokens))
		}
		huge := slices.ContainsFunc(req.Notifications, func(n client.Notification) bool { return n.Title == "huge" })
		if n > 40 || huge {
			return &client.Problem{Status: 413, Code: client.Invalid}
		}
		if lost && call > 20 {
			return &client.Problem{Status: 401, Code: client.Unauthenticated}
		}
		return nil
	}
	in := lines(990) + `{"platform":"fcm","token":"x","title":"huge"}` + "\n"
	o := campaign.Options{Sender: f, Text: sale, OnError: campaign.Skip, InFlight: 1, StatePath: filepath.Join(t.TempDir(), "state")}
	sum, err := campaign.Run(t.Context(), strings.NewReader(in), o)
	if err == nil || sum.Clean || f.total == 0 || sum.Accepted != 0 {
		t.Fatalf("%v, %+v, %d accepted", err, sum, f.total)
	}
	lost = false
	o.Batch = 500 // not followed: a part of the batch was accepted
	sum, err = campaign.Run(t.Context(), strings.NewReader(in), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.once(990); err != nil {
		t.Error(err)
	}
	if sum.Bad != 1 || sum.Accepted != 990 {
		t.Errorf("summary %+v", sum)
	}
}

// TestNothingLeft holds that a batch of which one line after the other is refused
// comes to its end.
func TestNothingLeft(t *testing.T) {
	f := newFake()
	f.before = func(_ int, req client.PushRequest) error {
		for i, n := range req.Notifications {
			if n.Title == "odd" {
				return &client.Problem{Status: 422, Code: client.Invalid, Errors: []client.FieldError{{Pointer: fmt.Sprintf("/notifications/%d/title", i), Message: "is odd"}}}
			}
		}
		return &client.Problem{Status: 413, Code: client.Invalid}
	}
	in := `{"platform":"fcm","token":"x","title":"odd"}` + "\n" + `{"platform":"fcm","token":"x","title":"huge"}`
	var bad []campaign.BadLine
	sum, err := campaign.Run(t.Context(), strings.NewReader(in), campaign.Options{Sender: f, OnError: campaign.Skip,
		BadLine: func(b campaign.BadLine) { bad = append(bad, b) }})
	if err != nil || !sum.Done || sum.Bad != 2 {
		t.Errorf("%+v, %v", sum, err)
	}
	if d := cmp.Diff([]campaign.BadLine{{Line: 1, Reason: "title is odd"}, {Line: 2, Reason: "is larger than the gateway takes"}}, bad); d != "" {
		t.Error(d)
	}
}

func TestStateFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	f := newFake()
	o := campaign.Options{Sender: f, Text: sale, StatePath: path, Batch: 10}
	if _, err := campaign.Run(t.Context(), strings.NewReader(lines(100)), o); err != nil {
		t.Fatal(err)
	}
	calls := f.calls
	other := o
	other.Text.Title = "Another sale"
	anotherApp := o
	anotherApp.App = "shop"
	named := o
	named.ID = "spring"
	gone := o
	gone.StatePath = filepath.Join(dir, "no", "such", "folder")
	folder := o
	folder.StatePath = dir
	tests := map[string]struct {
		o    campaign.Options
		in   string
		want string
	}{
		"another text":     {other, lines(200), "another text, app or format"},
		"another app":      {anotherApp, lines(200), "another text, app or format"},
		"another id":       {named, lines(200), "another id"},
		"a shorter input":  {o, lines(50), "ends before the place"},
		"another input":    {o, strings.Replace(lines(200), "apns", "FCM1", 1), "differs from what was sent"},
		"no such folder":   {gone, lines(1), "write the state file"},
		"a folder":         {folder, lines(1), "read the state file"},
		"not a state file": {campaign.Options{Sender: f, Text: sale, StatePath: writeFile(t, "x")}, lines(1), "not a state file"},
		"a damaged one":    {campaign.Options{Sender: f, Text: sale, StatePath: writeFile(t, `{"version":1,"campaign":"x","batch":0}`)}, lines(1), ""},
		"a newer one":      {campaign.Options{Sender: f, Text: sale, StatePath: writeFile(t, `{"version":2,"campaign":"x","batch":10}`)}, lines(1), "not a state file of this version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := campaign.Run(t.Context(), strings.NewReader(tt.in), tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
		})
	}
	if f.calls != calls {
		t.Errorf("%d requests were sent all the same", f.calls-calls)
	}
}
