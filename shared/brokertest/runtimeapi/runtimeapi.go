// Package runtimeapi runs a compiled Lambda function without Lambda: it plays
// the Runtime API (version 2018-06-01) to one process and hands its answers to
// a test as they arrive, chunk by chunk. It is as much of the Extensions API as
// a function needs that asks for SIGTERM.
//
// It adds nothing to the function's environment but AWS_LAMBDA_RUNTIME_API,
// makes no API Gateway events (the caller brings the event), enforces no memory
// or time limit, and is used by tests only.
package runtimeapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// grace is how long a function has between SIGTERM and SIGKILL. Lambda gives
// about 500 ms; a busy test machine must not decide the outcome.
const grace = 15 * time.Second

// ErrExited: the process ended while it was waited for.
var ErrExited = errors.New("function process exited")

// Function is one running process. Invoke may be called concurrently; a process
// takes as many events at once as it asks for, usually one.
type Function struct {
	cmd      *exec.Cmd
	server   *http.Server
	stdout   output
	stderr   output
	started  time.Time
	ready    chan time.Duration // exec to first /next, once
	initFail chan struct{}      // an /init/error came
	queue    chan *invocation
	exited   chan struct{} // closed when the process has ended
	stopping chan struct{} // closed to release blocked requests

	mu      sync.Mutex
	running map[string]*invocation
	count   int

	coldStart time.Duration
	stopOnce  sync.Once
}

// Start runs binary with exactly env (KEY=value) plus AWS_LAMBDA_RUNTIME_API,
// in the binary's folder, and waits until it asks for its first event. When ctx
// ends the process is killed; call Stop before that to end it as Lambda does.
//
// If the process ran but failed to initialise, Start returns the Function as
// well as the error, so that its output can be read.
func Start(ctx context.Context, binary string, env []string) (*Function, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("runtimeapi: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("runtimeapi: %w", err)
	}
	f := &Function{
		cmd: exec.CommandContext(ctx, binary), ready: make(chan time.Duration, 1), initFail: make(chan struct{}, 1),
		queue: make(chan *invocation), exited: make(chan struct{}), stopping: make(chan struct{}), running: map[string]*invocation{},
	}
	f.server = &http.Server{Handler: f.routes(), ReadHeaderTimeout: DefaultTimeout}
	f.cmd.Dir, f.cmd.Stdout, f.cmd.Stderr, f.cmd.WaitDelay = filepath.Dir(binary), &f.stdout, &f.stderr, grace
	f.cmd.Env = append(append([]string{}, env...), "AWS_LAMBDA_RUNTIME_API="+l.Addr().String())
	f.started = time.Now()
	if err := f.cmd.Start(); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("runtimeapi: %w", err)
	}
	go func() { _ = f.server.Serve(l) }() // ends with ErrServerClosed
	go func() {
		_ = f.cmd.Wait() // ProcessState says how it ended
		close(f.exited)
		_ = f.server.Close()
	}()
	return f, f.awaitReady(ctx)
}

func (f *Function) awaitReady(ctx context.Context) error {
	select {
	case f.coldStart = <-f.ready:
		return nil
	case <-f.initFail:
		f.Stop()
		return fmt.Errorf("runtimeapi: init failed: %w", ErrExited)
	case <-f.exited:
		return fmt.Errorf("runtimeapi: before its first event: %w: %v", ErrExited, f.cmd.ProcessState)
	case <-ctx.Done():
		<-f.exited
		return fmt.Errorf("runtimeapi: before its first event: %w", ctx.Err())
	}
}

// ColdStart is the time from exec to the first request for work.
func (f *Function) ColdStart() time.Duration { return f.coldStart }

// Stdout is what the process has written to its standard output: all of it
// after Stop, what has arrived before.
func (f *Function) Stdout() []byte { return f.stdout.snapshot() }

// Stderr is the same for its standard error.
func (f *Function) Stderr() []byte { return f.stderr.snapshot() }

// PID is the process id.
func (f *Function) PID() int { return f.cmd.Process.Pid }

// Stop sends SIGTERM, waits, and after a grace period sends SIGKILL. It returns
// how the process ended and may be called again.
func (f *Function) Stop() *os.ProcessState {
	f.stopOnce.Do(func() {
		_ = f.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
		select {
		case <-f.exited:
		case <-time.After(grace):
			_ = f.cmd.Process.Kill() // as above
		}
		close(f.stopping)
	})
	<-f.exited
	return f.cmd.ProcessState
}

// output is a writer that can be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) snapshot() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.buf.Bytes())
}
