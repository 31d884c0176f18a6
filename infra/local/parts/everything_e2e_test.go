//go:build e2e

package parts

import (
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Both eras: a current client and a legacy one each list the tools.
func TestEverythingServerSpeaksBothEras(t *testing.T) {
	for name, stateful := range map[string]bool{"current, stateless": false, "legacy, stateful": true} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			p, err := EverythingServer(t.Context(), t.Logf, stateful)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop()
			t.Logf("ready in %s", time.Since(began).Round(time.Millisecond))
			options := &mcp.ClientSessionOptions{}
			if stateful {
				options.ProtocolVersion = "2025-11-25"
			}
			client := mcp.NewClient(&mcp.Implementation{Name: "parts-test", Version: "1"}, nil)
			session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: p.URL}, options)
			if err != nil {
				t.Fatal(err)
			}
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) == 0 {
				t.Fatalf("ListTools = %v, want some tools", err)
			}
			if got := session.ID() != ""; got != stateful {
				t.Errorf("server gave a session: %t, want %t", got, stateful)
			}
			_ = session.Close()
		})
	}
}
