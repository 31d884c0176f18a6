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

// Process is a started part.
type Process struct {
	// URL is where the part serves: http://127.0.0.1:port, without a final slash.
	URL string

	child *child
}

// Stop ends the part and everything it started, and returns when it is gone.
// It may be called more than once and from several goroutines.
func (p *Process) Stop() { p.child.stop(3 * time.Second) }

// Done is closed when the part has ended, by Stop or by itself.
func (p *Process) Done() <-chan struct{} { return p.child.done }

// program says how to start one part.
type program struct {
	name  string
	argv  func(port string) []string
	env   func(port string) []string // added to plainEnv; may be nil
	dir   string
	ready func(port string) string // words of the line printed once it listens
	wait  time.Duration            // the longest it may take to get there

	// announces is set when the program prints the line before it has the port:
	// then the port must answer too, and the program must outlive that.
	announces bool
	stdin     func(port string) (string, error) // may be nil
}

// start runs the program on a free loopback port and returns when it listens.
// The port is free when it is chosen, but another process can take it before
// the program does; then another one is tried. The part lives until Stop or
// until the context ends.
func (h home) start(ctx context.Context, prog program, freePort func() (string, error)) (*Process, error) {
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return nil, fmt.Errorf("%w: no free loopback port for %s: %w", ErrStart, prog.name, err)
		}
		proc, out, err := h.startOn(ctx, prog, port)
		if err == nil {
			return proc, nil
		}
		if attempt == 3 || !portTaken(out) {
			return nil, err
		}
	}
}

func (h home) startOn(ctx context.Context, prog program, port string) (*Process, string, error) {
	logTo, err := h.openLog(prog.name)
	if err != nil {
		return nil, "", err
	}
	out := newTranscript(prog.ready(port), logTo)
	argv := prog.argv(port)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = prog.dir, out, out, plainEnv()
	if prog.env != nil {
		cmd.Env = plainEnv(prog.env(port)...)
	}
	if prog.stdin != nil {
		input, err := prog.stdin(port)
		if err != nil {
			_ = logTo.Close()
			return nil, "", fmt.Errorf("%w: %s: %w", ErrStart, prog.name, err)
		}
		cmd.Stdin = strings.NewReader(input)
	}
	c, err := spawn(cmd)
	if err != nil {
		_ = logTo.Close()
		return nil, "", fmt.Errorf("%w: %s: %w", ErrStart, prog.name, err)
	}
	go func() { <-c.done; _ = logTo.Close() }()

	limit := time.NewTimer(prog.wait)
	defer limit.Stop()
	listens := out.passed
	if prog.announces {
		listens = answers(port, out.passed, c.done)
	}
	select {
	case <-listens:
		proc := &Process{URL: "http://127.0.0.1:" + port, child: c}
		context.AfterFunc(ctx, proc.Stop)
		return proc, "", nil
	case <-c.done:
		return nil, out.tail(), fmt.Errorf("%w: %s ended before it served; its last lines (more in %s) were:%s",
			ErrStart, prog.name, logTo.Name(), out.tail())
	case <-limit.C:
		c.stop(0)
		return nil, out.tail(), fmt.Errorf("%w: %s did not serve within %s; its last lines (more in %s) were:%s",
			ErrStart, prog.name, prog.wait, logTo.Name(), out.tail())
	case <-ctx.Done():
		c.stop(time.Second)
		return nil, "", fmt.Errorf("%w: %s: stopped: %w", ErrStart, prog.name, context.Cause(ctx))
	}
}

// answers closes its channel once the port accepts a connection after the
// announcement and the program has not ended shortly after: a program that lost
// the port to another one ends at once.
func answers(port string, announced, ended <-chan struct{}) chan struct{} {
	up := make(chan struct{})
	go func() {
		select {
		case <-announced:
		case <-ended:
			return
		}
		for {
			conn, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, time.Second)
			if err == nil {
				_ = conn.Close()
			}
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if err == nil {
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
		return nil, fmt.Errorf("%w: making %s: %w", ErrStart, dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: opening the log of %s: %w", ErrStart, name, err)
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

// portTaken recognises how the parts' runtimes say that a port is in use.
func portTaken(output string) bool {
	lower := strings.ToLower(output)
	return strings.Contains(lower, "address already in use") ||
		strings.Contains(lower, "eaddrinuse") ||
		strings.Contains(lower, "is in use by another program")
}
