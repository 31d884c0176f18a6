package stack

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Caller is a real MCP client (the official Go SDK) with nothing but an
// identity token.
type Caller struct {
	Token   string
	Version string // protocol revision to speak; empty: the latest

	mu       sync.Mutex
	receipts []string
}

// RoundTrip adds the token and remembers the receipts.
func (c *Caller) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+c.Token)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		c.mu.Lock()
		c.receipts = append(c.receipts, response.Header.Get("Bindery-Receipt"))
		c.mu.Unlock()
	}
	return response, err
}

// LastReceipt is the receipt of the latest answer.
func (c *Caller) LastReceipt() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.receipts) == 0 {
		return ""
	}
	return c.receipts[len(c.receipts)-1]
}

// Connect opens an MCP session at an endpoint.
func (c *Caller) Connect(ctx context.Context, endpoint string) (*mcp.ClientSession, error) {
	transport := &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: &http.Client{Transport: c}, MaxRetries: -1, DisableStandaloneSSE: true}
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: c.Version})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	return session, nil
}
