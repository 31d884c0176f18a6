package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"bindery/infra/local/parts"
)

// process is a program that runs beside this one and ends with it.
type process struct {
	*parts.Process
	name string
	log  string // where its output goes
}

// background starts a program. Its output goes to a file.
func background(name, log string, env []string, argv ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer file.Close() // the program has its own
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, file, file
	running, err := parts.Spawn(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &process{running, name, log}, nil
}

// stop gives the program time to remove its containers.
func (p *process) stop() {
	if p != nil {
		p.StopWithin(20 * time.Second)
	}
}

// await returns when ready says so, or with the last lines of the program if it
// ends or takes too long.
func (p *process) await(ctx context.Context, limit time.Duration, ready func() bool) error {
	timeout := time.After(limit)
	for {
		if ready() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.Done():
			return fmt.Errorf("%s ended before it was ready:%s", p.name, p.tail())
		case <-timeout:
			return fmt.Errorf("%s was not ready within %s:%s", p.name, limit, p.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// said is the program's output so far, or why that cannot be read.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail is the last lines of it.
func (p *process) tail() string { return lastLines(p.said(), 15) }

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "\n  | " + strings.Join(lines, "\n  | ")
}

// output runs a program to its end and gives what it printed. Its last lines are
// in the error.
func output(ctx context.Context, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return out.String(), fmt.Errorf("%s %s: %w:%s", argv[0], argv[min(1, len(argv)-1)], err, lastLines(failed.String(), 15))
	}
	return out.String(), nil
}
