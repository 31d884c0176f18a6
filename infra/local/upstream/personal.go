package upstream

import (
	"context"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// accountHeader carries the account from the check of the token to the tool.
const accountHeader = "X-Account"

// Personal makes an upstream that knows people by their tokens and lets nobody
// else in. account tells whose a token is.
func Personal(account func(token string) (string, bool)) http.Handler {
	m := mcp.NewServer(&mcp.Implementation{Name: "drive", Version: "1.0.0"}, nil)
	mcp.AddTool(m, &mcp.Tool{Name: "whoami", Description: "Says whose account is used."},
		func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "you are " + r.Extra.Header.Get(accountHeader)}}}, nil, nil
		})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return m }, &mcp.StreamableHTTPOptions{Stateless: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := account(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.Header.Set(accountHeader, name)
		handler.ServeHTTP(w, r)
	})
}
