package runtimeapi

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Build compiles functions as `make build` does, for this machine or as env says
// (GOARCH=arm64). into is a folder that is there, or the file of a single one.
func Build(tb testing.TB, into string, functions []string, env ...string) {
	tb.Helper()
	args := []string{"build", "-trimpath", "-tags", "lambda.norpc", "-ldflags=-s -w", "-o", into}
	for _, name := range functions {
		args = append(args, "bindery/functions/"+name)
	}
	command := exec.Command("go", args...)
	command.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := command.CombinedOutput(); err != nil {
		tb.Fatal(fmt.Errorf("build: %w\n%s", err, out))
	}
}
