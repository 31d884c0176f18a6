package parts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAnInstallIsDoneOnceForManyThatAskAtTheSameTime(t *testing.T) {
	h := testHome(t)
	var filled atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := h.install(t.Context(), nil, "part", []string{"pin"}, func(dir string) error {
				filled.Add(1)
				time.Sleep(50 * time.Millisecond)
				return os.WriteFile(filepath.Join(dir, "program"), []byte("x"), 0o755)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "program")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := filled.Load(); n != 1 {
		t.Errorf("filled %d times, want once", n)
	}
}

func TestAChangedPinIsANewInstall(t *testing.T) {
	h := testHome(t)
	seen := map[string]bool{}
	for _, pins := range [][]string{{"a", "bc"}, {"ab", "c"}, {"abc"}} {
		dir, err := h.install(t.Context(), nil, "part", pins, func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if seen[dir] {
			t.Errorf("pins %q share the install %s", pins, dir)
		}
		seen[dir] = true
	}
}

func TestAFailedInstallLeavesNothingAndIsTriedAgain(t *testing.T) {
	h := testHome(t)
	broken := errors.New("the download broke off")
	_, err := h.install(t.Context(), nil, "part", []string{"pin"}, func(dir string) error {
		_ = os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatalf("install = %v, want the filler's error", err)
	}
	mustInstallFresh(t, h)
}

// The installer is killed outright: its lock goes with it and what it left is
// neither used nor kept.
func TestAKilledInstallIsNotTakenForComplete(t *testing.T) {
	h := testHome(t)
	cmd, read := startRole(t, "install="+h.local)
	if got := read(); got != "half way" {
		t.Fatalf("installer said %q", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if left, _ := filepath.Glob(filepath.Join(h.local, "part-*")); len(left) != 0 {
		t.Fatalf("a killed install left %v", left)
	}
	mustInstallFresh(t, h)
}

// A folder that came there in another way, or lost its stamp, is not trusted.
func TestAFolderWithoutItsStampIsInstalledAgain(t *testing.T) {
	h := testHome(t)
	dir, err := h.install(t.Context(), nil, "part", []string{"pin"}, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, stamp)); err != nil {
		t.Fatal(err)
	}
	mustInstallFresh(t, h)
}

// mustInstallFresh installs and finds what this filler made, alone.
func mustInstallFresh(t *testing.T, h home) {
	t.Helper()
	dir, err := h.install(t.Context(), t.Logf, "part", []string{"pin"}, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "whole")); err != nil {
		t.Error("the second install is not there:", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
		t.Error("the first install's leftovers are in the second one")
	}
}

func TestWaitingForAnotherInstallerIsSaidAndEndsWithTheContext(t *testing.T) {
	h := testHome(t)
	unlock, err := h.lock(t.Context(), nil, "part")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	var said []string
	_, err = h.install(ctx, func(format string, _ ...any) { said = append(said, format) }, "part", []string{"pin"},
		func(string) error { t.Error("installed without the lock"); return nil })
	if !errors.Is(err, ErrInstall) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("install = %v, want ErrInstall and the deadline", err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "waiting for another process") {
		t.Errorf("progress was %q, want one line about waiting", said)
	}
}

func TestAFailedToolShowsItsLastLinesAndWhatToDo(t *testing.T) {
	failing := tool{doing: "installing x from the y registry", advice: tryAgain,
		argv: []string{"sh", "-c", "for i in $(seq 100); do echo line $i; done; exit 3"}}
	err := failing.run(t.Context())
	if !errors.Is(err, ErrInstall) {
		t.Fatalf("run = %v, want ErrInstall", err)
	}
	for _, want := range []string{"installing x from the y registry", "exit status 3", tryAgain, "line 81", "line 100"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "line 80\n") {
		t.Errorf("the error shows more than the last %d lines", tailLines)
	}
}

func TestADownloadThatFailsOnceIsTriedAgain(t *testing.T) {
	for advice, want := range map[string]bool{tryAgain: true, "check the JDK on PATH": false} {
		flaky := tool{dir: t.TempDir(), doing: "installing x", advice: advice, argv: []string{"sh", "-c", "test -e begun || { touch begun; exit 1; }"}}
		if err := flaky.run(t.Context()); (err == nil) != want {
			t.Errorf("with the advice %q: %v", advice, err)
		}
	}
}

func TestAStoppedToolTakesWhatItStartedWithIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	pidFile := filepath.Join(dir, "pid")
	go func() {
		for !exists(pidFile) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	// The inner shell ignores the polite request.
	slow := tool{dir: dir, doing: "waiting", argv: []string{"sh", "-c", `sh -c 'trap "" TERM; echo $$ > pid; sleep 600' & wait`}}
	if err := slow.run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("run = %v, want the end of its context", err)
	}
	mustBeDead(t, pidFile)
}
