//go:build race

package job_test

// raceEnabled: the race detector slows SQLite, which is Go here, tenfold.
const raceEnabled = true
