// Package upstream is a small MCP server for the local stack that shows what
// reaches an upstream: the credential, the verified e-mail, the receipt. Its
// tools give away what they got on purpose, so that the masking can be seen.
// It is built on the official Go SDK and is not part of any deployment.
package upstream

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Server is the upstream and its memory of the last call.
type Server struct {
	Handler http.Handler

	mu   sync.Mutex
	last http.Header
	seen int
}

// New makes the upstream. Both protocol eras are served.
func New() *Server {
	s := &Server{}
	m := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcp.AddTool(m, &mcp.Tool{Name: "whoami", Description: "Says who is calling, and carelessly shows the headers it got."}, s.whoami)
	mcp.AddTool(m, &mcp.Tool{Name: "count", Description: "Streams a progress notification for each step."}, s.count)
	mcp.AddTool(m, &mcp.Tool{Name: "delete_everything", Description: "A tool of critical risk."}, s.deleteEverything)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return m }, &mcp.StreamableHTTPOptions{Stateless: true})
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.last, s.seen = r.Header.Clone(), s.seen+1
		s.mu.Unlock()
		handler.ServeHTTP(w, r)
	})
	return s
}

// Last gives the headers of the last request and how many there were.
func (s *Server) Last() (http.Header, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.Clone(), s.seen
}

type whoamiResult struct {
	User    string            `json:"user" jsonschema:"the verified e-mail"`
	Headers map[string]string `json:"headers" jsonschema:"every header the upstream got"`
}

func (s *Server) whoami(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, whoamiResult, error) {
	result := whoamiResult{User: r.Extra.Header.Get("X-User-Email"), Headers: map[string]string{}}
	for name := range r.Extra.Header {
		result.Headers[name] = r.Extra.Header.Get(name)
	}
	return nil, result, nil
}

type countArguments struct {
	To           int `json:"to" jsonschema:"how far to count, up to 100"`
	Milliseconds int `json:"milliseconds,omitempty" jsonschema:"pause between steps, up to 1000"`
}

func (s *Server) count(ctx context.Context, r *mcp.CallToolRequest, a countArguments) (*mcp.CallToolResult, any, error) {
	for i := range min(a.To, 100) {
		if token := r.Params.GetProgressToken(); token != nil {
			note := &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(i + 1), Total: float64(a.To)}
			if err := r.Session.NotifyProgress(ctx, note); err != nil {
				return nil, nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(time.Duration(min(a.Milliseconds, 1000)) * time.Millisecond):
		}
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
}

func (s *Server) deleteEverything(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "deleted"}}}, nil, nil
}
