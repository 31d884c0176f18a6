package parts

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// busyFirst gives a port that is in use, then free ones, and counts.
func busyFirst(t *testing.T, busy int) (freePort func() (string, error), given *int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	given = new(int)
	return func() (string, error) {
		if *given++; *given <= busy {
			return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
		}
		return loopbackPort()
	}, given
}

func listening(address string) bool {
	conn, err := net.DialTimeout("tcp4", address, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestABusyPortIsReplacedByAnother(t *testing.T) {
	for _, role := range []string{"serve", "announce"} {
		t.Run(role, func(t *testing.T) {
			h := testHome(t)
			var given *int
			h.freePort, given = busyFirst(t, 1)
			prog := testProgram(t, role)
			prog.announces = role == "announce"
			p, err := h.start(t.Context(), prog)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop()
			if *given != 2 || !listening(strings.TrimPrefix(p.URL, "http://")) {
				t.Errorf("asked for %d ports and serves on %s, want the second one", *given, p.URL)
			}
		})
	}
}

func TestPortsThatAreAlwaysBusyEndInAClearError(t *testing.T) {
	h := testHome(t)
	var given *int
	h.freePort, given = busyFirst(t, 100)
	_, err := h.start(t.Context(), testProgram(t, "serve"))
	if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "address already in use") || *given != 3 {
		t.Errorf("start = %v after %d ports, want ErrStart with the reason after 3", err, *given)
	}
}

func TestAPartThatDiesAtOnceShowsItsLastLines(t *testing.T) {
	h := testHome(t)
	_, err := h.start(t.Context(), program{name: "dying", wait: time.Minute,
		argv:  func(string) []string { return []string{"sh", "-c", "echo no licence found >&2; exit 1"} },
		ready: func(string) string { return "ready" }})
	if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "no licence found") {
		t.Errorf("start = %v, want ErrStart with the last line", err)
	}
	log, readErr := os.ReadFile(filepath.Join(h.local, "log", "dying.log"))
	if readErr != nil || !strings.Contains(string(log), "no licence found") {
		t.Errorf("log is %q (%v), want the output", log, readErr)
	}
}

func TestAPartThatStaysSilentIsEndedAfterItsTime(t *testing.T) {
	h := testHome(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	for wait := 300 * time.Millisecond; !exists(pidFile); wait *= 2 { // on a busy machine it can be over before the part runs
		_, err := h.start(t.Context(), program{name: "silent", wait: wait,
			argv:  func(string) []string { return []string{"sh", "-c", "echo $$ > " + pidFile + "; exec sleep 600"} },
			ready: func(string) string { return "ready" }})
		if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "did not serve within "+wait.String()) {
			t.Fatalf("start = %v, want ErrStart with the time", err)
		}
	}
	mustBeDead(t, pidFile)
}

func TestStopEndsTheWholeGroupAndMayBeCalledByMany(t *testing.T) {
	h := testHome(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	p, err := h.start(t.Context(), program{name: "group", wait: time.Minute,
		argv: func(string) []string {
			return []string{"sh", "-c", "sleep 600 & echo $! > " + pidFile + "; echo ready; wait"}
		},
		ready: func(string) string { return "ready" }})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(p.Stop)
	}
	wg.Wait()
	select {
	case <-p.Done():
	default:
		t.Error("Stop returned before the part had ended")
	}
	mustBeDead(t, pidFile)
}

func TestAPartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := testHome(t).start(ctx, testProgram(t, "serve"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		p.Stop()
		t.Error("the part outlived its context")
	}
}

// A part is somebody else's program: it gets none of the caller's credentials.
func TestPartsAndInstallersDoNotGetAWSCredentials(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "made-up-canary-0001")
	t.Setenv("SOME_TOKEN", "made-up-canary-0002")
	if env := strings.Join(plainEnv("A=b"), "\n"); strings.Contains(env, "canary") || !strings.Contains(env, "A=b") {
		t.Error("a part gets the caller's credentials, or not its own setting")
	}
	if env := callerEnv("A=b"); slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "AWS_") }) {
		t.Error("an installer gets AWS settings")
	}
}

func TestALogThatHasGrownLargeIsEmptied(t *testing.T) {
	h := testHome(t)
	f, err := h.openLog("part")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(9 << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f, err = h.openLog("part")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("log has %d bytes (%v), want none", info.Size(), err)
	}
}

// One endless line must not grow without bound, nor hide the awaited words.
func TestATranscriptIsBounded(t *testing.T) {
	out := newTranscript("ready", nil)
	for range 1000 {
		_, _ = out.Write([]byte(strings.Repeat("x", 1000)))
	}
	_, _ = out.Write([]byte("\n\x1b[31mrea"))
	_, _ = out.Write([]byte("dy\x1b[0m\n\x1b[1mlast words\x1b[0m\n"))
	select {
	case <-out.passed:
	default:
		t.Error("the awaited words in two writes were not seen")
	}
	if tail := out.tail(); len(tail) > tailLines*(lineLimit+10) || !strings.HasSuffix(tail, "| last words") {
		t.Errorf("tail has %d bytes and ends with %q", len(tail), tail[len(tail)-20:])
	}
}

// exists reports whether a file is there and has something in it.
func exists(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() > 0
}

// mustBeDead fails unless the process whose id is in the file is gone, or is
// at most a zombie that nobody has waited for.
func mustBeDead(t *testing.T, pidFile string) {
	t.Helper()
	content, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	for range 1200 {
		stat, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("process %d still runs", pid)
}
