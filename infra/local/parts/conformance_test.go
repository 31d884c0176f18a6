package parts

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeSuite is a suite whose Node is a shell script.
func fakeSuite(t *testing.T, script string) *Suite {
	t.Helper()
	node := filepath.Join(t.TempDir(), "node")
	if err := os.WriteFile(node, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Suite{node, "index.js"}
}

// The suite ends with 1 when a check failed, which is for the caller to judge.
func TestASuiteThatCrashesIsNoResult(t *testing.T) {
	for script, ok := range map[string]bool{
		"echo checked; exit 0": true, "echo checked; exit 1": true,
		"exit 2": false, "exit 134": false, "kill -9 $$": false,
	} {
		var out bytes.Buffer
		err := fakeSuite(t, script).Run(t.Context(), "http://127.0.0.1:9/mcp", "2026-07-28", t.TempDir(), &out)
		if (err == nil) != ok {
			t.Errorf("%s: %v, want it accepted: %t", script, err, ok)
		}
		if ok && strings.TrimSpace(out.String()) != "checked" {
			t.Errorf("%s: it said %q", script, out.String())
		}
	}
	missing := &Suite{filepath.Join(t.TempDir(), "node"), "index.js"}
	if err := missing.Run(t.Context(), "", "", "", &bytes.Buffer{}); !errors.Is(err, ErrStart) {
		t.Errorf("without Node: %v, want ErrStart", err)
	}
}

func TestASuiteThatHangsIsStopped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := fakeSuite(t, "sleep 60").Run(ctx, "", "", "", &bytes.Buffer{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v, want the deadline", err)
	}
}

// npm leaves out an optional package without a word: where none fits the
// machine, and where the download failed.
func TestASuiteWithoutItsNodeIsNotInstalled(t *testing.T) {
	scriptOnPath(t, map[string]string{"node": "#!/bin/sh\necho v20.20.2", "npm": "#!/bin/sh\nexit 0"})
	h := testHome(t)
	_, err := h.conformanceSuite(t.Context(), nil)
	if !errors.Is(err, ErrInstall) || !strings.Contains(err.Error(), "no Node") {
		t.Errorf("conformanceSuite = %v, want ErrInstall about Node", err)
	}
	left, err := filepath.Glob(filepath.Join(h.local, "conformance-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("an install without Node counts: %v %v", left, err)
	}
}
