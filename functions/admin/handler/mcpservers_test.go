package handler

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzReadServers: whatever stands in a file, reading it does not panic, makes
// names that can be used, and puts no value of a header or a query into anything
// but the values.
func FuzzReadServers(f *testing.F) {
	f.Add("Team Notes", "https://notes.example.com/mcp", "Authorization", "Bearer canary-0123456789")
	f.Add("a", "https://a.example.com/?key=1", "X-Key", "${VAR:-canary-0123456789}")
	f.Add("a", "https://u:p@a.example.com", "Mcp-Session-Id", "{{x}} canary-0123456789")
	f.Add("", "://", "", "")
	f.Fuzz(func(t *testing.T, name, url, header, value string) {
		u := readServers(map[string]any{name: map[string]any{"url": url, "headers": map[string]any{header: value}}, "other": value})
		for server := range u.servers {
			if nameFrom(server) != server || server == "" {
				t.Errorf("a server is called %q", server)
			}
		}
		marked := strings.ReplaceAll(value, " ", "") + "MARK" + value // in no other part of the file, nor in a name of a variable
		if strings.Contains(name+url+header, "MARK") || strings.ContainsAny(value, "${}\\\"<>&") {
			return
		}
		u = readServers(map[string]any{name: map[string]any{"url": url, "headers": map[string]any{header: "Bearer " + marked}}, "other": marked})
		if said, err := json.Marshal([]any{u.servers, u.references, u.inputs, u.left}); err != nil || strings.Contains(string(said), "MARK") {
			t.Errorf("a value is said: %s", said)
		}
	})
}
