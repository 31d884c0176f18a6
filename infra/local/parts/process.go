package parts

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is a started part. It ends with the context it was started with, but
// only Stop waits for that: a caller that is about to exit defers it.
type Process struct {
	// URL is where the part serves: http://127.0.0.1:port, without a final slash.
	URL string

	child *child
}

// Stop ends the part and everything it started, and returns when it is gone.
// It may be called more than once and from several goroutines.
func (p *Process) Stop() { p.child.stop(3 * time.Second) }

// StopWithin is Stop with as much time for the part to end by itself.
func (p *Process) StopWithin(grace time.Duration) { p.child.stop(grace) }

// Done is closed when the part has ended, by Stop or by itself.
func (p *Process) Done() <-chan struct{} { return p.child.done }

// Spawn starts a program that is no part in the way that parts are started: in a
// process group of its own that ends with this process. It has no URL.
func Spawn(cmd *exec.Cmd) (*Process, error) {
	c, err := spawn(cmd)
	if err != nil {
		return nil, err
	}
	return &Process{child: c}, nil
}

// startTime is how long a part may take until it serves. One that ends before is
// noticed at once, so only a busy machine ever needs it.
const startTime = 2 * time.Minute

// program says how to start one part.
type program struct {
	name  string
	argv  func(port string) []string
	env   []string                 // added to plainEnv
	dir   string                   // where it runs; empty means here
	ready func(port string) string // words of the line printed once it listens
	wait  time.Duration            // the longest it may take to get there

	// announces is set when the program prints the line before it has the port:
	// then the port must answer too, and be the program's own.
	announces bool
	stdin     func(port string) (string, error) // may be nil
}

// start runs the program on a free loopback port and returns when it listens.
// The port is free when it is chosen, but another process can take it before
// the program does; then another one is tried. The part lives until Stop or
// until the context ends.
func (h home) start(ctx context.Context, prog program) (*Process, error) {
	for attempt := 1; ; attempt++ {
		port, err := h.freePort()
		if err != nil {
			return nil, fmt.Errorf("%w: no free loopback port for %s: %w", ErrStart, prog.name, err)
		}
		c, out, err := h.launch(prog, port)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrStart, prog.name, err)
		}
		err = h.awaitReady(ctx, prog, port, c, out)
		if err == nil {
			proc := &Process{URL: "http://127.0.0.1:" + port, child: c}
			context.AfterFunc(ctx, proc.Stop)
			return proc, nil
		}
		if attempt == 3 || !out.lostPort() {
			return nil, err
		}
	}
}

// launch starts the program on the port, with its output going to the log.
func (h home) launch(prog program, port string) (*child, *transcript, error) {
	input := ""
	if prog.stdin != nil {
		var err error
		if input, err = prog.stdin(port); err != nil {
			return nil, nil, err
		}
	}
	log, err := h.openLog(prog.name)
	if err != nil {
		return nil, nil, err
	}
	out := newTranscript(prog.ready(port), log)
	argv := prog.argv(port)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = prog.dir, plainEnv(prog.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), out, out
	c, err := spawn(cmd)
	if err != nil {
		_ = log.Close()
		return nil, nil, err
	}
	go func() { <-c.done; _ = log.Close() }()
	return c, out, nil
}

// awaitReady returns nil once the program listens. On an error the program is gone.
func (h home) awaitReady(ctx context.Context, prog program, port string, c *child, out *transcript) error {
	limit := time.NewTimer(prog.wait)
	defer limit.Stop()
	listens := out.passed
	if prog.announces {
		listens = answers(port, out.passed, c)
	}
	var what string
	select {
	case <-listens:
		return nil
	case <-ctx.Done():
		c.stop(time.Second)
		return fmt.Errorf("%w: %s: stopped: %w", ErrStart, prog.name, context.Cause(ctx))
	case <-c.done:
		what = "ended before it served"
	case <-limit.C:
		c.stop(0)
		what = "did not serve within " + prog.wait.String()
	}
	return fmt.Errorf("%w: %s %s; its whole output is in %s, the last lines were:%s",
		ErrStart, prog.name, what, filepath.Join(h.local, "log", prog.name+".log"), out.tail())
}

// answers closes its channel once the port accepts a connection after the
// announcement, and it is the program that listens there: one that lost the port to
// another ends, but not before somebody has asked the other.
func answers(port string, announced <-chan struct{}, c *child) chan struct{} {
	up := make(chan struct{})
	go func() {
		select {
		case <-announced:
		case <-c.done:
			return
		}
		for {
			conn, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, time.Second)
			if err == nil {
				_ = conn.Close()
			}
			select {
			case <-c.done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if err == nil && listensOn(c.pid, port) {
				close(up)
				return
			}
		}
	}()
	return up
}

// openLog opens the part's log for appending. Several processes of one part
// share it, so it is emptied only once it has grown large.
func (h home) openLog(name string) (*os.File, error) {
	const limit = 8 << 20
	dir := filepath.Join(h.local, "log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder for logs: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.Size() > limit {
		_ = f.Truncate(0)
	}
	return f, nil
}

// loopbackPort asks the kernel for a port that nobody listens on.
func loopbackPort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// saysPortTaken recognises how the parts' runtimes say that a port is in use.
func saysPortTaken(line string) bool {
	lower := strings.ToLower(line)
	return strings.Contains(lower, "address already in use") ||
		strings.Contains(lower, "eaddrinuse") ||
		strings.Contains(lower, "is in use by another program")
}
