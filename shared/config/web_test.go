package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/config"
)

func TestHostsAndOrigins(t *testing.T) {
	for name, test := range map[string]struct {
		publicURL, hosts, origins string
		wantHosts, wantOrigins    []string
	}{
		"only the public URL": {"https://MCP.example.com/", "", "",
			[]string{"mcp.example.com"}, []string{"https://mcp.example.com"}},
		"its own port is not written by clients": {"https://mcp.example.com:443", "", "",
			[]string{"mcp.example.com"}, []string{"https://mcp.example.com"}},
		"another port is": {"https://mcp.example.com:8443", "", "",
			[]string{"mcp.example.com:8443"}, []string{"https://mcp.example.com:8443"}},
		"further ones, each once": {"https://mcp.example.com", " API.example.com , mcp.example.com,10.0.0.1:8443,[fd00::1]:8443,", "https://App.example.com,http://localhost:6274,https://mcp.example.com",
			[]string{"mcp.example.com", "api.example.com", "10.0.0.1:8443", "[fd00::1]:8443"},
			[]string{"https://mcp.example.com", "https://app.example.com", "http://localhost:6274"}},
		"one machine has three names": {"http://127.0.0.1:8080", "", "",
			[]string{"127.0.0.1:8080", "localhost:8080", "[::1]:8080"}, []string{"http://127.0.0.1:8080"}},
	} {
		env := complete()
		env[config.PublicURL], env[config.Hosts], env[config.Origins], env[config.Local] = test.publicURL, test.hosts, test.origins, "true"
		c, err := load(env)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.wantHosts, c.Hosts) + cmp.Diff(test.wantOrigins, c.Origins); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestNoHostOrOriginThatMatchesMore: nothing that stands for many, and nothing
// that looks like a rule and would never match.
func TestNoHostOrOriginThatMatchesMore(t *testing.T) {
	for variable, list := range map[string][]string{
		config.Hosts: {"*", "*.example.com", "https://a.example", "a.example/", "a.example/path", "user@a.example", "a.example:", "a.example:0",
			"a.example:65536", "a.example:080", "a.example:https", ":443", "a b", "a.example?x", "a.example#x", "[::1", "[fe80::1%25eth0]", "[]", "a_b.example", "ä.example", "a%2e.example"},
		config.Origins: {"*", "null", "https://*", "https://*.example.com", "a.example", "//a.example", "https://", "https://a.example/", "https://a.example/path",
			"https://user@a.example", "http://a.example", "ftp://a.example", "file://", "https://a.example:0", "https://a.example?x", "https:a.example", "https://https://a.example"},
	} {
		for _, value := range list {
			env := complete()
			env[variable] = "first.example, " + value
			if variable == config.Origins {
				env[variable] = "https://first.example, " + value
			}
			_, err := load(env)
			if err == nil || !strings.Contains(err.Error(), variable) || strings.Contains(err.Error(), "first") {
				t.Errorf("%s %q: %v", variable, value, err)
			}
		}
	}
}
