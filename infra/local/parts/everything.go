package parts

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	everythingModule  = "github.com/modelcontextprotocol/go-sdk"
	everythingPackage = everythingModule + "/conformance/everything-server"
)

// EverythingServer starts the official go-sdk conformance server. With stateful
// it speaks the legacy revisions with sessions, without it the current one. The
// URL includes the path /mcp. It is built once from the pinned module; only the
// Go tool chain is needed.
func EverythingServer(ctx context.Context, p Progress, stateful bool) (*Process, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	return h.everythingServer(ctx, p, stateful)
}

func (h home) everythingServer(ctx context.Context, p Progress, stateful bool) (*Process, error) {
	binary, err := h.buildEverything(ctx, p)
	if err != nil {
		return nil, err
	}
	proc, err := h.start(ctx, program{
		name: "everything-server",
		argv: func(port string) []string {
			return []string{binary, "-http", "127.0.0.1:" + port, fmt.Sprintf("-stateless=%t", !stateful)}
		},
		ready:     func(port string) string { return "listening at 127.0.0.1:" + port },
		announces: true,
		wait:      startTime,
	})
	if err != nil {
		return nil, err
	}
	proc.URL += "/mcp"
	return proc, nil
}

// buildEverything builds the server that go.mod pins, unless that version is built.
func (h home) buildEverything(ctx context.Context, p Progress) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", fmt.Errorf("%w: go was not found: install Go 1.26 or newer and put it on PATH", ErrRuntime)
	}
	ask := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}} {{.Sum}}", everythingModule)
	ask.Dir = h.root
	pin, err := ask.Output()
	if err != nil {
		return "", fmt.Errorf("%w: go.mod does not pin %s, which it lists as a tool", ErrInstall, everythingModule)
	}
	pins := []string{strings.TrimSpace(string(pin)), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	dir, err := h.install(ctx, p, "everything-server", pins, func(dir string) error {
		p.say("everything-server: building the official MCP test server from its Go module (once)")
		build := tool{dir: h.root, doing: "building the everything-server from its Go module", advice: tryAgain,
			argv: []string{"go", "build", "-o", filepath.Join(dir, "everything-server"), everythingPackage}}
		return build.run(ctx)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "everything-server"), nil
}
