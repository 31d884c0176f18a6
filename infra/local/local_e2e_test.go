//go:build e2e

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program compiles this command once.
func program(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "local")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// output is written by the program and read by the test.
type output struct {
	text chan string
	all  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.text <- string(p)
	return len(p), nil
}

// until collects output until it holds what is awaited.
func (o *output) until(t *testing.T, awaited string) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	for !strings.Contains(o.all.String(), awaited) {
		select {
		case text := <-o.text:
			o.all.WriteString(text)
		case <-limit:
			t.Fatalf("no %q in:\n%s", awaited, o.all.String())
		}
	}
}

func TestDemoEndsWithOkAndALatency(t *testing.T) {
	out, err := exec.Command(program(t), "-once").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; !regexp.MustCompile(`^demo: ok, \d+\.\d ms$`).MatchString(last) {
		t.Errorf("last line %q", last)
	}
}

func TestRunServesUntilInterruptedAndLeavesNothingRunning(t *testing.T) {
	out := &output{text: make(chan string, 1000)}
	command := exec.Command(program(t))
	command.Env = append(os.Environ(), fmt.Sprintf("PORT=%d", twoPorts(t)))
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	out.until(t, "Ctrl-C stops everything")
	children := descendants(t, command.Process.Pid)
	if len(children) < 2 {
		t.Errorf("%d children, want the endpoint and the official server", len(children))
	}
	t.Run("the five minutes of README.md", func(t *testing.T) { testTour(t, out.all.String()) })
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	for _, pid := range children {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// twoPorts finds two neighbouring ports that are free, below those that systems give
// to whoever asks for any: until they are used, no connection of anybody's takes them.
func twoPorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.N(20_000)
		first, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return port
		}
	}
	t.Fatal("no two neighbouring ports are free")
	return 0
}

// descendants lists the direct children of a process.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(text)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

func TestTroubleIsOneClearSentence(t *testing.T) {
	binary := program(t)
	below := twoPorts(t)
	busy := below + 1 // where the identity provider would be
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", busy))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	empty := t.TempDir()
	cases := map[string]struct {
		env  []string
		want string
	}{
		"a busy port":       {append(os.Environ(), fmt.Sprintf("PORT=%d", busy)), fmt.Sprintf("port %d is taken: stop what listens there, or choose another with PORT=N", busy)},
		"a busy port above": {append(os.Environ(), fmt.Sprintf("PORT=%d", below)), fmt.Sprintf("port %d is taken", busy)},
		"no port":           {append(os.Environ(), "PORT=many"), "PORT=many is no port"},
		"missing runtime":   {append(os.Environ(), "PATH="+empty), "python3"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, binary)
			command.Env = c.env
			var errors bytes.Buffer
			command.Stderr = &errors
			if err := command.Run(); err == nil {
				t.Fatal("started")
			}
			said := strings.TrimSpace(errors.String())
			if !strings.HasPrefix(said, "local: ") || !strings.Contains(said, c.want) || strings.Contains(said, "\n") {
				t.Errorf("said %q", said)
			}
		})
	}
}
