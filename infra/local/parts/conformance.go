package parts

import (
	"context"
	_ "embed" // the pinned suite
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed conformance/package.json
var conformancePackage string

//go:embed conformance/package-lock.json
var conformanceLock string

// Suite is the installed official MCP conformance suite.
type Suite struct {
	node, program string
}

// ConformanceSuite installs the official MCP conformance suite, and the Node
// release that it runs on, which is newer than the one the other parts need. It
// needs Node 20 or newer with npm to do so (about 200 MB, once).
func ConformanceSuite(ctx context.Context, p Progress) (*Suite, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	return h.conformanceSuite(ctx, p)
}

func (h home) conformanceSuite(ctx context.Context, p Progress) (*Suite, error) {
	if _, err := findNode(ctx); err != nil {
		return nil, err
	}
	files := map[string]string{"package.json": conformancePackage, "package-lock.json": conformanceLock}
	pins := []string{conformancePackage, conformanceLock, runtime.GOOS, runtime.GOARCH}
	dir, err := h.install(ctx, p, "conformance", pins, func(dir string) error {
		p.say("conformance: installing the pinned suite and its Node from the npm registry (about 60 MB to download, once)")
		if err := npmInstall(ctx, dir, "the conformance suite", files); err != nil {
			return err
		}
		_, err := pinnedNode(dir) // npm leaves it out without a word where no release fits
		return err
	})
	if err != nil {
		return nil, err
	}
	node, err := pinnedNode(dir)
	if err != nil {
		return nil, err
	}
	return &Suite{node, filepath.Join(dir, "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")}, nil
}

// pinnedNode is the one Node, of those the package lists, that fits the machine.
func pinnedNode(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "node_modules", "node-*", "bin", "node"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%w: npm installed no Node for the conformance suite: it has one for Linux and macOS, x86-64 and arm64; on those, %s", ErrInstall, tryAgain)
	}
	return found[0], nil
}

// Run tests the server at url against what a revision requires. Results go
// below the folder, what the suite says to out. An error means that the suite
// itself failed, not that a check did.
func (s *Suite) Run(ctx context.Context, url, revision, folder string, out io.Writer) error {
	return s.run(ctx, out, "server", "--url", url, "--requirements", revision, "-o", folder)
}

// RunClient tests a client against what a revision requires: a command that the
// suite starts for each scenario, through a shell, with the server's address as
// its last argument. Results and errors are as with Run.
func (s *Suite) RunClient(ctx context.Context, command, revision, folder string, out io.Writer) error {
	return s.run(ctx, out, "client", "--command", command, "--requirements", revision, "-o", folder)
}

func (s *Suite) run(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.Command(s.node, append([]string{s.program}, args...)...) // #nosec G204 -- the pinned suite
	cmd.Env, cmd.Stdout, cmd.Stderr = plainEnv(), out, out
	c, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("%w: the conformance suite: %w", ErrStart, err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.stop(0)
		return fmt.Errorf("the conformance suite was stopped: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	if errors.As(c.err, &exit) && exit.ExitCode() == 1 {
		return nil // some check failed
	}
	if c.err != nil {
		return fmt.Errorf("the conformance suite ended with %q", strings.TrimSpace(c.err.Error()))
	}
	return nil
}
