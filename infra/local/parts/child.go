package parts

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a running program in its own process group.
type child struct {
	pid  int
	done chan struct{} // closed when the program has ended
	err  error         // how it ended; read it after done
}

// spawn starts cmd in a process group of its own that ends with this process
// (see dieWithParent). One thread forks and waits: on Linux the kernel ties the
// child's life to the forking thread, so that thread must outlive it.
func spawn(cmd *exec.Cmd) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	cmd.WaitDelay = 10 * time.Second // a grandchild may hold the output open
	c := &child{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		c.pid = cmd.Process.Pid
		started <- nil
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, <-started
}

// stop ends the whole group: a request first, force after grace. It returns
// when the program is gone, and does nothing when it already is.
func (c *child) stop(grace time.Duration) {
	select {
	case <-c.done:
		return // the pid may belong to someone else by now
	default:
	}
	_ = syscall.Kill(-c.pid, syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-c.pid, syscall.SIGKILL) // also what outlived its leader
	<-c.done
}

// transcript keeps the last lines of a program's output, copies all of it to a
// log, and tells when a line with the awaited words has passed.
type transcript struct {
	copy   io.Writer // may be nil
	await  string
	passed chan struct{} // closed at the first line that holds await

	mu   sync.Mutex
	rest []byte // an unfinished line
	last []string
	seen bool
	// portTaken is set by a line that says that the port is in use.
	portTaken bool
}

const (
	tailLines = 20
	lineLimit = 500 // bytes kept of one line
)

func newTranscript(await string, to io.Writer) *transcript {
	return &transcript{copy: to, await: await, passed: make(chan struct{})}
}

// Write implements io.Writer and never fails: a full disk must not stop a part.
func (t *transcript) Write(p []byte) (int, error) {
	if t.copy != nil {
		_, _ = t.copy.Write(p)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = append(t.rest, p...)
	for {
		line, after, found := bytes.Cut(t.rest, []byte("\n"))
		if !found {
			break
		}
		t.keep(string(line))
		t.rest = after
	}
	if len(t.rest) > 64<<10 {
		t.keep(string(t.rest))
		t.rest = nil
	}
	return len(p), nil
}

// colour matches what programs send to terminals and nobody reads in an error.
var colour = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func (t *transcript) keep(line string) {
	line = strings.TrimRight(colour.ReplaceAllString(line, ""), "\r")
	if t.await != "" && !t.seen && strings.Contains(line, t.await) {
		t.seen = true
		close(t.passed)
	}
	t.portTaken = t.portTaken || saysPortTaken(line)
	if len(line) > lineLimit {
		line = line[:lineLimit] + "..."
	}
	if t.last = append(t.last, line); len(t.last) > tailLines {
		t.last = t.last[len(t.last)-tailLines:]
	}
}

// lostPort reports whether the program said that its port is in use.
func (t *transcript) lostPort() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.portTaken
}

// tail is the last lines, each on a line of its own with a margin; empty when
// the program said nothing.
func (t *transcript) tail() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.last
	if len(t.rest) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(t.rest[:min(len(t.rest), lineLimit)]))
	}
	var b strings.Builder
	for _, line := range lines {
		if strings.TrimSpace(line) != "" {
			b.WriteString("\n  | " + line)
		}
	}
	return b.String()
}

// callerEnv is the environment of an installer: the caller's, for its proxies
// and mirrors, but without the AWS settings.
func callerEnv(extra ...string) []string {
	ours := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "AWS_") })
	return append(ours, extra...)
}

// plainEnv is the environment of a started part: what a program needs to run,
// and nothing that the caller keeps there for others, credentials above all.
func plainEnv(extra ...string) []string {
	env := extra
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "JAVA_HOME", "LD_LIBRARY_PATH", "PYTHONHOME"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
