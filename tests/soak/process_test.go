//go:build e2e && !nojava

package soak

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"bindery/shared/brokertest/runtimeapi"
)

// sample is what a process has at one moment.
type sample struct {
	rss int // KiB
	fds int
}

func sampleOf(f *runtimeapi.Function) (s sample, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID()))
	if err != nil {
		return s, err
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, err = fmt.Sscan(rest, &s.rss)
		}
	}
	open, unread := os.ReadDir(fmt.Sprintf("/proc/%d/fd", f.PID()))
	if err == nil {
		err = unread
	}
	s.fds = len(open)
	return s, err
}

// grown is how much the samples grew from their first third to their last: their
// mean size, and the most descriptors that were open at once.
func grown(samples []sample) (rss, fds int) {
	third := len(samples) / 3
	first, last := samples[:third], samples[len(samples)-third:]
	return mean(last) - mean(first), mostOpen(last) - mostOpen(first)
}

func mean(samples []sample) (rss int) {
	for _, s := range samples {
		rss += s.rss
	}
	return rss / max(1, len(samples))
}

func mostOpen(samples []sample) (fds int) {
	for _, s := range samples {
		fds = max(fds, s.fds)
	}
	return fds
}

// goroutines ends a process by SIGQUIT, at which a Go program says what each of
// its goroutines does, and counts them.
func goroutines(f *runtimeapi.Function) (n int, all []byte) {
	for until := time.Now().Add(invocation); syscall.Kill(f.PID(), syscall.SIGQUIT) == nil && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond) // until it has said all and has ended
	}
	f.Stop()
	all = f.Stderr()
	return bytes.Count(all, []byte("\ngoroutine ")), all
}

// percentiles of numbers: the middle, 95 and 99 of a hundred, and the largest.
func percentiles(all []float64) (p50, p95, p99, most float64) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	at := func(share float64) float64 { return all[int(share*float64(len(all)-1))] }
	return at(0.5), at(0.95), at(0.99), all[len(all)-1]
}
