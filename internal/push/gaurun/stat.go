package gaurun

import (
	"encoding/json"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/furima/furima/internal/push"
)

// serveStatApp answers with what /stat/app of Gaurun counts. Its queue is the
// gateway's backlog; its pushers are the notifications that may be, and are,
// under way at once: as core.pusher_max and core.workers have it, if they are
// known.
func (s *Surface) serveStatApp(w http.ResponseWriter, _ *http.Request) {
	type platform struct {
		Success int64 `json:"push_success"`
		Error   int64 `json:"push_error"`
	}
	o := s.options()
	st := s.gw.Stats(o.App)
	queueMax, pusherMax := st.MaxBacklog, st.MaxInFlight
	if o.QueueMax > 0 {
		queueMax = o.QueueMax
	}
	if n := s.pushersSet(); n != nil {
		pusherMax = *n * max(o.Workers, 1)
	} else if o.Workers > 0 {
		pusherMax = o.PusherMax * o.Workers
	}
	of := func(p push.Platform) platform {
		return platform{Success: st.Platforms[p].Sent, Error: st.Platforms[p].Failed}
	}
	body, err := json.MarshalIndent(struct {
		QueueMax    int64    `json:"queue_max"`
		QueueUsage  int64    `json:"queue_usage"`
		PusherMax   int64    `json:"pusher_max"`
		PusherCount int64    `json:"pusher_count"`
		IOS         platform `json:"ios"`
		Android     platform `json:"android"`
	}{queueMax, st.Backlog, pusherMax, st.InFlight, of(push.APNS), of(push.FCM)}, "", " ")
	if err != nil {
		s.logs.fault("Response-body could not be created")
		http.Error(w, "Response-body could not be created", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Server", s.server())
	_, _ = w.Write(body) // the client may be gone
}

// statGo answers with the state of the Go runtime, in the fields that Gaurun
// has. Rates are since the answer before.
type statGo struct {
	mu      sync.Mutex // guards what follows
	at      time.Time  // of the last answer
	numGC   uint32
	pauseNs uint64
}

type goStats struct {
	Time          int64     `json:"time"`
	GoVersion     string    `json:"go_version"`
	GoOS          string    `json:"go_os"`
	GoArch        string    `json:"go_arch"`
	CPUNum        int       `json:"cpu_num"`
	GoroutineNum  int       `json:"goroutine_num"`
	Gomaxprocs    int       `json:"gomaxprocs"`
	CgoCallNum    int64     `json:"cgo_call_num"`
	MemoryAlloc   uint64    `json:"memory_alloc"`
	MemoryTotal   uint64    `json:"memory_total_alloc"`
	MemorySys     uint64    `json:"memory_sys"`
	MemoryLookups uint64    `json:"memory_lookups"`
	MemoryMallocs uint64    `json:"memory_mallocs"`
	MemoryFrees   uint64    `json:"memory_frees"`
	StackInUse    uint64    `json:"memory_stack"`
	HeapAlloc     uint64    `json:"heap_alloc"`
	HeapSys       uint64    `json:"heap_sys"`
	HeapIdle      uint64    `json:"heap_idle"`
	HeapInuse     uint64    `json:"heap_inuse"`
	HeapReleased  uint64    `json:"heap_released"`
	HeapObjects   uint64    `json:"heap_objects"`
	GCNext        uint64    `json:"gc_next"`
	GCLast        uint64    `json:"gc_last"`
	GCNum         uint32    `json:"gc_num"`
	GCPerSecond   float64   `json:"gc_per_second"`
	GCPausePerSec float64   `json:"gc_pause_per_second"`
	GCPause       []float64 `json:"gc_pause"`
}

func (s *statGo) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	now := time.Now()
	st := goStats{
		Time: now.UnixNano(), GoVersion: runtime.Version(), GoOS: runtime.GOOS, GoArch: runtime.GOARCH,
		CPUNum: runtime.NumCPU(), GoroutineNum: runtime.NumGoroutine(), Gomaxprocs: runtime.GOMAXPROCS(0), CgoCallNum: runtime.NumCgoCall(),
		MemoryAlloc: m.Alloc, MemoryTotal: m.TotalAlloc, MemorySys: m.Sys, MemoryLookups: m.Lookups, MemoryMallocs: m.Mallocs, MemoryFrees: m.Frees,
		StackInUse: m.StackInuse,
		HeapAlloc:  m.HeapAlloc, HeapSys: m.HeapSys, HeapIdle: m.HeapIdle, HeapInuse: m.HeapInuse, HeapReleased: m.HeapReleased, HeapObjects: m.HeapObjects,
		GCNext: m.NextGC, GCLast: m.LastGC, GCNum: m.NumGC,
		GCPause: []float64{},
	}
	s.since(&st, &m, now)
	body, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		http.Error(w, "Response-body could not be created", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body))) // never chunked, as in Gaurun
	_, _ = w.Write(body)                                      // the client may be gone
}

// since fills in what has changed since the answer before.
func (s *statGo) since(st *goStats, m *runtime.MemStats, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() {
		if took := now.Sub(s.at).Seconds(); took > 0 {
			st.GCPerSecond = float64(m.NumGC-s.numGC) / took
		}
		// The name promises a rate; Gaurun has always told the sum.
		st.GCPausePerSec = float64(m.PauseTotalNs-s.pauseNs) / 1e6
	}
	for i := range min(m.NumGC-s.numGC, uint32(len(m.PauseNs))) {
		st.GCPause = append(st.GCPause, float64(m.PauseNs[(m.NumGC-1-i)%uint32(len(m.PauseNs))])/1e6)
	}
	s.at, s.numGC, s.pauseNs = now, m.NumGC, m.PauseTotalNs
}
