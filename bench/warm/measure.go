package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

type contestant struct {
	name   string
	argv   []string
	mode   string
	runs   []measurement
	memory []measurement
}

type measurement struct {
	wall, cpu float64 // seconds
	pss, peak float64 // MiB, the median and the largest seen
	counts
}

type originProcess struct {
	cmd  *exec.Cmd
	addr string
}

func startOrigin(o options) (*originProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, o.latency.String(), strconv.Itoa(o.body))
	cmd.Env = append(os.Environ(), modeVariable+"="+modeOrigin)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("the origin said nothing: %w", err)
	}
	return &originProcess{cmd: cmd, addr: strings.TrimSpace(line)}, nil
}

func (p *originProcess) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	_ = p.cmd.Wait()
}

// counts asks what the origin saw since it was last asked, without the
// connection that asks.
func (p *originProcess) counts() (c counts, err error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+p.addr+"/-/counts", nil)
	if err != nil {
		return c, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&c); err != nil {
		return c, err
	}
	c.Accepted--
	return c, nil
}

func measure(c *contestant, origin *originProcess, o options, memory bool) (measurement, error) {
	if _, err := origin.counts(); err != nil {
		return measurement{}, err
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	if c.mode != "" {
		cmd.Env = append(os.Environ(), modeVariable+"="+c.mode)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return measurement{}, err
	}
	m := measurement{}
	done := make(chan struct{})
	sampled := make(chan []float64, 1)
	if memory {
		go func() { sampled <- watchPSS(cmd.Process.Pid, done) }()
	}
	err := cmd.Wait()
	m.wall = time.Since(start).Seconds()
	close(done)
	if memory {
		if all := <-sampled; len(all) > 0 {
			slices.Sort(all)
			m.pss, m.peak = all[len(all)/2], all[len(all)-1]
		}
	}
	if err != nil {
		return m, fmt.Errorf("%w: %s", err, first(stderr.String()))
	}
	m.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if m.counts, err = origin.counts(); err != nil {
		return m, err
	}
	if m.Requests != int64(o.n) {
		return m, fmt.Errorf("the origin saw %d requests, not %d", m.Requests, o.n)
	}
	return m, nil
}

// watchPSS reads the proportional set size of a process until done.
func watchPSS(pid int, done <-chan struct{}) (all []float64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return all
		case <-tick.C:
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss:" {
					if kib, err := strconv.ParseFloat(fields[1], 64); err == nil && kib > 0 {
						all = append(all, kib/1024)
					}
				}
			}
		}
	}
}
