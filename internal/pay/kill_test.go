package pay_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/pay"
)

const envFile = "FURIMA_PAY_TEST_FILE"

// TestKill kills a process that charges, in the middle of it, and holds that
// every charge which it had answered is known.
func TestKill(t *testing.T) {
	for round := range 5 {
		file := filepath.Join(t.TempDir(), "charges.jsonl")
		child := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$", "-test.v")
		child.Env = append(os.Environ(), envFile+"="+file)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var answered []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if key, ok := strings.CutPrefix(lines.Text(), "charged "); ok {
				answered = append(answered, key)
			}
			if len(answered) == 10+7*round {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
		s := open(t, file)
		for _, key := range answered {
			if c, err := s.Lookup(t.Context(), key); err != nil || c.Status != market.ChargeSucceeded {
				t.Errorf("round %d: %s was answered and is %+v, %v", round, key, c, err)
			}
		}
		if n := taken(t, s); n < len(answered) {
			t.Errorf("round %d: %d charges of %d that were answered", round, n, len(answered))
		}
	}
}

// TestKilledProcess is what TestKill kills.
func TestKilledProcess(t *testing.T) {
	file := os.Getenv(envFile)
	if file == "" {
		t.Skip("it is a process of TestKill")
	}
	s, err := pay.OpenSandbox(file, pay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100_000 {
		key := fmt.Sprint("key-", i)
		if _, err := s.Charge(t.Context(), charge(key, pay.TokenOK)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("charged " + key)
	}
}
