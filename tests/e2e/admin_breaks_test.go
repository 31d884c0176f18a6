//go:build e2e && !nonode

package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bindery/shared/brokertest/faultproxy"
)

// TestAChangeThatBreaksOffLeavesNothingHalfDone: what the endpoint does to each
// of its writes, and the same request again under the same key.
func TestAChangeThatBreaksOffLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		operation, text string
		effect          faultproxy.Effect
		applied         bool
	}{
		"a server's row never arrives":      {"PutItem", `"sk":{"S":"server"}`, faultproxy.Reset(), false},
		"a server's answer is lost":         {"PutItem", `"sk":{"S":"server"}`, faultproxy.DropAnswer(), true},
		"the index never gets the server":   {"PutItem", `"sk":{"S":"name/late"}`, faultproxy.Reset(), false},
		"the change cannot be recorded":     {"PutItem", `"put-server"`, faultproxy.ServerError(), false},
		"the end of the change is not kept": {"PutItem", `"sk":{"S":"outcome"}`, faultproxy.ServerError(), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := administered(t)
			put := func() answer {
				return d.ask(bob, "PUT", "/servers/late", body(serverAt("http://127.0.0.1:1/mcp")), "If-None-Match", "*", "Idempotency-Key", "once")
			}
			d.faults.Inject(always(c.operation, c.text, c.effect))
			if first := put(); first.status != 503 {
				t.Errorf("answered %d %s", first.status, first.body)
			}
			d.faults.Clear()
			there := d.ask(bob, "GET", "/servers/late", "")
			listed := d.ask(bob, "GET", "/servers", "")
			if (there.status == 200) != c.applied || strings.Contains(listed.body, `"late"`) != c.applied {
				t.Errorf("half done: read %d, listed %s", there.status, listed.body)
			}
			put().want(t, 200, `"version":1`) // at once
			again := put()
			again.want(t, 200, `"version":1`)
			if again.header.Get("Idempotent-Replay") != "true" {
				t.Error("the request was made once more")
			}
			d.ask(bob, "GET", "/servers/late", "").want(t, 200, `"version":1`)
		})
	}
}

// TestAGeneratedClientDoesTheWholeLifeOfABinding: oapi-codegen makes a client of
// the document that the API serves; it is compiled, and used.
func TestAGeneratedClientDoesTheWholeLifeOfABinding(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	program := d.generated()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{"API=" + strings.TrimSuffix(d.at, "/admin/v1"), "TOKEN=" + d.tokens[bob], "UPSTREAM=" + u.URL, "VALUE=" + d.canary()}
	out, err := cmd.CombinedOutput()
	_, _ = d.answers.Write(out)
	const want = "put-store 200\nput-server 200\nput-value 200\nput-binding 200\nput-binding 200\nput-binding 200\n" +
		"get-binding 200\nget-binding-version 200\ndelete-binding 204\nget-binding 404\n"
	if err != nil || string(out) != want {
		t.Errorf("%v, printed\n%s", err, out)
	}
	u.untouched(t)
}

// generated makes a client in a folder of its own and compiles it.
func (d *desk) generated() string {
	d.t.Helper()
	dir := d.t.TempDir()
	must(d.t, os.CopyFS(dir, os.DirFS("../../infra/tools/admin-client")))
	response, err := client.Get(d.at + "/openapi.json")
	must(d.t, err)
	defer response.Body.Close()
	document, err := io.ReadAll(response.Body)
	must(d.t, err)
	if response.StatusCode != http.StatusOK {
		d.t.Fatalf("the document is answered with %d", response.StatusCode)
	}
	must(d.t, os.WriteFile(filepath.Join(dir, "openapi.json"), document, 0o600))
	program := filepath.Join(dir, "admin-client")
	for _, argv := range [][]string{{"tool", "oapi-codegen", "-config", "oapi-codegen.yaml", "openapi.json"}, {"vet", "."}, {"build", "-o", program, "."}} {
		cmd := exec.CommandContext(d.t.Context(), "go", argv...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			d.t.Fatalf("go %s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	return program
}
