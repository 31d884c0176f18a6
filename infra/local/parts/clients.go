package parts

import (
	"bytes"
	"context"
	_ "embed" // the pinned clients
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bindery/shared/secret"
)

//go:embed clients/package.json
var clientsPackage string

//go:embed clients/package-lock.json
var clientsLock string

//go:embed clients/client.mjs
var clientsProgram string

// Clients are MCP clients of others, on Node: the Inspector's command line and
// the two generations of the official TypeScript SDK.
type Clients struct {
	node, dir string
}

// Ran is what a client printed and how it ended.
type Ran struct {
	Out, Err string
	Code     int
}

// MCPClients installs the clients. It needs Node 20 or newer with npm (about
// 20 MB to download and 100 MB on disk, once).
func MCPClients(ctx context.Context, p Progress) (*Clients, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	return h.mcpClients(ctx, p)
}

func (h home) mcpClients(ctx context.Context, p Progress) (*Clients, error) {
	node, err := findNode(ctx)
	if err != nil {
		return nil, err
	}
	// Optional packages are left out: bundlers' binaries, which the command line
	// does without, and access to the desktop's key store, which it must not have.
	files := map[string]string{"package.json": clientsPackage, "package-lock.json": clientsLock, "client.mjs": clientsProgram,
		".npmrc": "omit=optional\n"}
	dir, err := h.install(ctx, p, "mcp-clients", []string{clientsPackage, clientsLock, clientsProgram}, func(dir string) error {
		p.say("mcp-clients: installing the Inspector and the TypeScript SDKs from the npm registry (about 20 MB to download, once)")
		return npmInstall(ctx, dir, "the MCP clients", files)
	})
	if err != nil {
		return nil, err
	}
	return &Clients{node: node, dir: dir}, nil
}

// Inspect runs the Inspector's command line. It keeps what it remembers in
// home, which should be a folder of the caller's own.
func (c *Clients) Inspect(ctx context.Context, home string, args ...string) (Ran, error) {
	argv := append([]string{"node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", "--cli"}, args...)
	return c.run(ctx, "", []string{"HOME=" + home, "MCP_INSPECTOR_SECRET_STORE=memory"}, argv)
}

// Script is what a client does at one server, in this order.
type Script struct {
	URL   string
	Token secret.Value
	SDK   int // 1 or 2
	// Negotiation is the era that SDK 2 asks for: "legacy", "auto", or a
	// revision that it insists on. SDK 1 knows one era.
	Negotiation string
	Steps       []string // names that client.mjs knows
	// Browser is where links are posted that the client's person shall open. A
	// client without one opens none, and says so.
	Browser string
}

// TypeScript starts a client of the TypeScript SDK for each script, all of them
// at once, and returns what each of them saw, in the words of client.mjs. It
// takes as long as the slowest, and never longer than a minute.
func (c *Clients) TypeScript(ctx context.Context, scripts ...Script) ([]map[string]any, error) {
	type instruction struct {
		URL   string   `json:"url"`
		Token string   `json:"token"`
		SDK   int      `json:"sdk"`
		Mode  any      `json:"mode,omitempty"`
		Steps []string `json:"steps"`

		Browser string `json:"browser,omitempty"`
	}
	list := make([]instruction, len(scripts))
	for i, s := range scripts {
		list[i] = instruction{URL: s.URL, Token: s.Token.Reveal(), SDK: s.SDK, Steps: s.Steps, Browser: s.Browser}
		switch s.Negotiation {
		case "":
		case "legacy", "auto":
			list[i].Mode = s.Negotiation
		default:
			list[i].Mode = map[string]string{"pin": s.Negotiation}
		}
	}
	input, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	ran, err := c.run(ctx, string(input), nil, []string{"client.mjs"})
	if err != nil {
		return nil, err
	}
	var saw []map[string]any
	if err := json.Unmarshal([]byte(ran.Out), &saw); err != nil || len(saw) != len(scripts) {
		return nil, fmt.Errorf("the clients ended with status %d and without a report: %.2000s", ran.Code, ran.Err)
	}
	return saw, nil
}

// run runs a Node program of the clients' folder to its end. When the context
// ends, so does its whole process group.
func (c *Clients) run(ctx context.Context, input string, env, argv []string) (Ran, error) {
	var out, errs bytes.Buffer
	cmd := exec.Command(c.node, argv...)
	cmd.Dir, cmd.Env = c.dir, append(plainEnv(), env...) // of two values of one name the last one counts
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	child, err := spawn(cmd)
	if err != nil {
		return Ran{}, fmt.Errorf("%w: %s: %w", ErrStart, filepath.Base(argv[0]), err)
	}
	select {
	case <-child.done:
	case <-ctx.Done():
		child.stop(time.Second)
		return Ran{}, fmt.Errorf("%w: %s: stopped: %w", ErrStart, filepath.Base(argv[0]), context.Cause(ctx))
	}
	ended, abnormal := errors.AsType[*exec.ExitError](child.err)
	if child.err != nil && !abnormal {
		return Ran{}, fmt.Errorf("%w: %s: %w", ErrStart, filepath.Base(argv[0]), child.err)
	}
	ran := Ran{Out: out.String(), Err: errs.String()}
	if abnormal {
		ran.Code = ended.ExitCode()
	}
	return ran, nil
}
