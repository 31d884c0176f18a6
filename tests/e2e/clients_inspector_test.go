//go:build e2e && !nonode

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/infra/local/parts"
	upstreams "bindery/infra/local/upstream"
	"bindery/shared/brokertest/leak"
)

// The Inspector's exit statuses.
const (
	fine         = 0
	authRequired = 3
	toolFailed   = 5
)

// TestTheInspectorWorksThroughBindery: the field's own debugging tool gets from
// Bindery, byte for byte, what it gets from the server, with the same status.
func TestTheInspectorWorksThroughBindery(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	urls := map[string]string{legacy: shared.everything.URL, modern: shared.stateless.URL}
	transient := regexp.MustCompile(`{"name":"__[^}]*}},?`) // a tool that other tests add to the server
	canary := d.simple(d.upstream(upstreams.New().Handler.ServeHTTP))
	for version, url := range urls {
		d.server("server-"+version, url)
		d.bind(d.card("server-"+version, "card", group("dev"), "aws-sm:"+d.env+"/notes#token"))
	}
	for version, direct := range urls {
		through := d.url + "/mcp/" + d.env + "/server-" + version
		for name, c := range map[string]struct {
			code int
			args []string
		}{
			"lists": {fine, []string{"--method", "tools/list"}},
			"calls": {fine, []string{"--method", "tools/call", "--tool-name", "test_x_mcp_header", "--tool-arg", "region=west"}},
			"fails": {toolFailed, []string{"--method", "tools/call", "--tool-name", "test_error_handling"}},
		} {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel()
				want := inspect(t, version, direct, "none", c.args...)
				got := inspect(t, version, through, token(t, alice), c.args...)
				want.Out, got.Out = transient.ReplaceAllString(want.Out, ""), transient.ReplaceAllString(got.Out, "")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-direct +through):\n%s", diff)
				}
				if got.Code != c.code || c.code == fine && !strings.Contains(got.Out, `"result"`) {
					t.Errorf("ended with %d and %.300s", got.Code, got.Out)
				}
			})
		}
		t.Run(version+" shows no credential", func(t *testing.T) {
			t.Parallel()
			got := inspect(t, version, d.url+"/mcp/"+d.env+"/notes", token(t, alice), "--method", "tools/call", "--tool-name", "whoami")
			if all := got.Out + got.Err; got.Code != fine || !strings.Contains(all, "[masked:dev-notes]") || len(leak.Find([]byte(all), canary)) > 0 {
				t.Errorf("ended with %d; a credential shows as %v", got.Code, leak.Find([]byte(all), canary))
			}
		})
		t.Run(version+" without a token", func(t *testing.T) {
			t.Parallel()
			got := inspect(t, version, through, "", "--method", "tools/list", "--stored-auth-only")
			if got.Code != authRequired || !strings.Contains(got.Err, `{"error":{"code":"auth_required",`) || got.Out != "" {
				t.Errorf("ended with %d and %.300s%.300s", got.Code, got.Out, got.Err)
			}
		})
	}
}

// inspect runs the Inspector in an era, at a URL, with a token if there is one.
func inspect(t *testing.T, version, url, token string, args ...string) parts.Ran {
	t.Helper()
	server := map[string]any{"type": "streamable-http", "url": url, "headers": map[string]string{}, "protocolEra": "legacy"}
	if token != "" {
		server["headers"] = map[string]string{"Authorization": "Bearer " + token}
	}
	if version == modern {
		server["protocolEra"] = "modern"
	}
	text, err := json.Marshal(map[string]any{"mcpServers": map[string]any{"it": server}})
	must(t, err)
	home := t.TempDir()
	config := filepath.Join(home, "config.json")
	must(t, os.WriteFile(config, text, 0o600))
	ran, err := shared.clients.Inspect(t.Context(), home, append([]string{"--config", config, "--server", "it", "--format", "json"}, args...)...)
	must(t, err)
	return ran
}
