// Package parts installs and starts the real third-party programs that the
// broker meets on one machine: an AWS-compatible endpoint (moto), AWS's own
// DynamoDB Local, the official MCP everything-server and conformance suite, MCP
// clients of others, and a certified OpenID provider. `make run`, `make demo` and
// the tests share it.
//
// Every part is pinned by files in this folder and installed once into .local/
// at the repository root: one install at a time, filled beside its final place
// and moved there when it is complete, so that a killed install never counts.
// A started part listens on 127.0.0.1 only, on a port chosen here, and dies
// with the process that started it.
//
// The package never installs anything outside .local/ (pip, npm and Maven keep
// their usual download caches), never asks for more
// rights, never hands AWS credentials or other settings of the caller to a
// part, and is never part of what is deployed.
package parts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var (
	// ErrRuntime means a program that must already be on the machine is missing or too old.
	ErrRuntime = errors.New("missing runtime")
	// ErrInstall means a pinned part could not be downloaded or built.
	ErrInstall = errors.New("install failed")
	// ErrStart means an installed part ended or stayed silent instead of serving.
	ErrStart = errors.New("start failed")
)

// Progress is told, in one line without a line end, each step that takes a
// while. A nil Progress says nothing.
type Progress func(format string, args ...any)

func (p Progress) say(format string, args ...any) {
	if p != nil {
		p(format, args...)
	}
}

// home is where parts are installed.
type home struct {
	root  string // of the repository: where go.mod is
	local string // root/.local

	freePort func() (string, error)
}

// findHome walks up from the working directory to the module's go.mod.
func findHome() (home, error) {
	dir, err := os.Getwd()
	if err != nil {
		return home{}, fmt.Errorf("%w: finding the repository: %w", ErrInstall, err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module bindery\n") {
			return home{root: dir, local: filepath.Join(dir, ".local"), freePort: loopbackPort}, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return home{}, fmt.Errorf("%w: no go.mod of bindery in this folder or above: run this inside the repository", ErrInstall)
		}
		dir = parent
	}
}
