package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/furima/furima/client"
	"github.com/furima/furima/internal/push/campaign"
)

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"token":"%064x","platform":"apns"}`+"\n", i)
	}
	return b.String()
}

func cut(t *testing.T, in string, skip int64, o campaign.Options) ([]client.PushRequest, []int64, []campaign.BadLine) {
	t.Helper()
	reqs, starts, bad, err := campaign.Cut(strings.NewReader(in), skip, o)
	if err != nil {
		t.Fatal(err)
	}
	return reqs, starts, bad
}

// shape tells how many tokens each notification of each request has.
func shape(reqs []client.PushRequest) [][]int {
	var out [][]int
	for _, r := range reqs {
		var ns []int
		for _, n := range r.Notifications {
			ns = append(ns, len(n.Tokens))
		}
		out = append(out, ns)
	}
	return out
}

func TestBatches(t *testing.T) {
	own := func(i int) string {
		return fmt.Sprintf(`{"token":"t%d","platform":"fcm","title":"Hello %d"}`+"\n", i, i)
	}
	tokens := func(n int) string {
		return `{"platform":"fcm","tokens":["` + strings.Repeat(`a","`, n-1) + `a"]}` + "\n"
	}
	tests := map[string]struct {
		in    string
		batch int
		want  [][]int
	}{
		"nothing":             {in: "", want: nil},
		"blank lines":         {in: "\n \r\n\n", want: [][]int{nil}},
		"one text":            {in: lines(2500), want: [][]int{{1000}, {1000}, {500}}},
		"the last unfinished": {in: strings.TrimSuffix(lines(3), "\n"), batch: 2, want: [][]int{{2}, {1}}},
		"own texts":           {in: own(1) + own(2) + own(1), want: [][]int{{2, 1}}},
		"platforms mixed":     {in: lines(2) + tokens(1) + lines(1), want: [][]int{{3, 1}}},
		"a line that does not fit": {in: tokens(2) + tokens(3) + tokens(1), batch: 4,
			want: [][]int{{2}, {4}}},
		"a line larger than a batch": {in: tokens(1) + tokens(2300) + tokens(1), batch: 10, want: [][]int{{1}, {1000, 1000, 300}, {1}}},
		"another app":                {in: `{"app":"a","platform":"fcm","token":"x"}` + "\n" + `{"app":"b","platform":"fcm","token":"x"}` + "\n", want: [][]int{{1}, {1}}},
		"topics stand alone": {in: strings.Repeat(`{"platform":"fcm","fcm":{"topic":"a"}}`+"\n", 2),
			want: [][]int{{0, 0}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reqs, _, bad := cut(t, tt.in, 0, campaign.Options{Batch: tt.batch})
			if d := cmp.Diff(tt.want, shape(reqs)); d != "" {
				t.Error(d)
			}
			if bad != nil {
				t.Errorf("bad lines %v", bad)
			}
		})
	}
}

func TestBatchLimits(t *testing.T) {
	var times strings.Builder
	for i := range 40 {
		fmt.Fprintf(&times, `{"token":"t","platform":"fcm","send_at":"2026-01-01T00:%02d:00Z"}`+"\n", i)
	}
	reqs, _, _ := cut(t, times.String(), 0, campaign.Options{})
	if got := []int{len(reqs[0].Notifications), len(reqs[1].Notifications)}; !cmp.Equal(got, []int{32, 8}) {
		t.Errorf("40 times make notifications %v; the gateway takes 32 times in a request", got)
	}
	var large strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&large, `{"token":"t","platform":"fcm","body":"%d %s"}`+"\n", i, strings.Repeat("x", 3000))
	}
	reqs, _, _ = cut(t, large.String(), 0, campaign.Options{})
	if len(reqs) < 3 {
		t.Errorf("3 MB went into %d requests", len(reqs))
	}
	reqs, starts, bad := cut(t, strings.Repeat("x\n", 50_000)+lines(1), 0, campaign.Options{})
	if len(bad) != 50_000 || len(reqs) < 3 || starts[1] == 0 {
		t.Errorf("%d bad lines in %d batches: the place to go on from must move", len(bad), len(reqs))
	}
}

func TestLongLines(t *testing.T) {
	long := `{"token":"a","platform":"fcm","body":"` + strings.Repeat("x", 1<<20) + `"}` + "\n"
	tooLong := `{"body":"` + strings.Repeat("x", 5<<20) + `"}` + "\n"
	reqs, _, bad := cut(t, lines(1)+long+tooLong+lines(1)+strings.TrimSpace(tooLong), 0, campaign.Options{})
	if d := cmp.Diff([][]int{{1}, {1}, {1}}, shape(reqs)); d != "" {
		t.Error(d)
	}
	want := []campaign.BadLine{{Line: 3, Reason: "is longer than 4194304 bytes"}, {Line: 5, Reason: "is longer than 4194304 bytes"}}
	if d := cmp.Diff(want, bad); d != "" {
		t.Error(d)
	}
}

// TestCutsAgain holds what going on after a crash rests on: from wherever a
// batch began, the same batches come again.
func TestCutsAgain(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for i := range 1000 {
		switch rnd.IntN(12) {
		case 0:
			b.WriteString("not a line\n")
		case 1:
			b.WriteString("\n")
		case 2:
			fmt.Fprintf(&b, `{"platform":"fcm","token":"%d","title":"own %d"}`+"\r\n", i, rnd.IntN(5))
		case 3:
			fmt.Fprintf(&b, `{"platform":"fcm","tokens":["%d%s"]}`+"\n", i, strings.Repeat(`","x`, rnd.IntN(40)))
		case 4:
			fmt.Fprintf(&b, `{"platform":"fcm","fcm":{"topic":"%d"}}`+"\n", i)
		case 5:
			fmt.Fprintf(&b, `{"platform":"fcm","token":"x","app":"app%d"}`+"\n", rnd.IntN(2))
		default:
			fmt.Fprintf(&b, `{"platform":"apns","token":"%d"}`+"\n", i)
		}
	}
	o := campaign.Options{Batch: 37}
	reqs, starts, _ := cut(t, b.String(), 0, o)
	for i, start := range starts {
		if i%5 != 0 {
			continue
		}
		again, places, _ := cut(t, b.String(), start, o)
		if d := cmp.Diff(starts[i:], places); d != "" {
			t.Fatalf("from batch %d on it is cut elsewhere: %s", i, d)
		}
		if d := cmp.Diff(reqs[i:], again); d != "" {
			t.Fatalf("from batch %d on the requests differ: %s", i, d)
		}
	}
}
