package parts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"bindery/shared/secret"
)

// VaultServer is a started Vault, empty and in memory.
type VaultServer struct {
	*Process
	Root secret.Value // the root token
	key  string       // that unseals it
}

// Vault builds (once; some minutes and about 1 GB of module and build cache) and
// starts a HashiCorp Vault under the Mozilla Public License, see the program in
// the folder vault, initialises and unseals it. Only the Go tool chain is needed.
func Vault(ctx context.Context, p Progress) (*VaultServer, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	return h.vault(ctx, p)
}

func (h home) vault(ctx context.Context, p Progress) (*VaultServer, error) {
	binary, err := h.buildVault(ctx, p)
	if err != nil {
		return nil, err
	}
	proc, err := h.start(ctx, program{
		name:  "vault",
		argv:  func(port string) []string { return []string{binary, port} },
		ready: func(port string) string { return "serving on 127.0.0.1:" + port },
		wait:  startTime,
	})
	if err != nil {
		return nil, err
	}
	v := &VaultServer{Process: proc}
	if err := v.initialise(ctx); err != nil {
		proc.Stop()
		return nil, fmt.Errorf("%w: vault: %w", ErrStart, err)
	}
	return v, nil
}

// buildVault builds the program in the folder vault as its go.sum pins it.
func (h home) buildVault(ctx context.Context, p Progress) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", fmt.Errorf("%w: go was not found: install Go 1.26 or newer and put it on PATH", ErrRuntime)
	}
	source := filepath.Join(h.root, "infra", "local", "parts", "vault")
	pins := []string{runtime.Version(), runtime.GOOS, runtime.GOARCH}
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("%w: reading %s of vault: %w", ErrInstall, name, err)
		}
		pins = append(pins, string(text))
	}
	dir, err := h.install(ctx, p, "vault", pins, func(dir string) error {
		p.say("vault: building it from its Go module (once; some minutes)")
		build := tool{dir: source, doing: "building Vault from its Go module", advice: tryAgain,
			argv: []string{"go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "vault"), "."}}
		return build.run(ctx)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "vault"), nil
}

func (v *VaultServer) initialise(ctx context.Context) error {
	var made struct {
		Keys []string `json:"keys"`
		Root string   `json:"root_token"`
	}
	if err := v.Do(ctx, http.MethodPut, "sys/init", map[string]int{"secret_shares": 1, "secret_threshold": 1}, &made); err != nil {
		return err
	}
	if len(made.Keys) != 1 || made.Root == "" {
		return fmt.Errorf("it gave %d keys", len(made.Keys))
	}
	v.Root, v.key = secret.New(made.Root), made.Keys[0]
	return v.Unseal(ctx)
}

// Unseal opens the server after it was sealed.
func (v *VaultServer) Unseal(ctx context.Context) error {
	return v.Do(ctx, http.MethodPut, "sys/unseal", map[string]string{"key": v.key}, nil)
}

// Do asks the server as root: path is below /v1/, in and out are JSON or nil.
func (v *VaultServer) Do(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, v.URL+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Vault-Token", v.Root.Reveal())
	client := http.Client{Timeout: time.Minute}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode >= 300:
		return fmt.Errorf("%s %s: HTTP %d: %.200s", method, path, answer.StatusCode, text)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}
