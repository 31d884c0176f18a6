//go:build e2e && !nonode

package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/stack"
)

// slow is an official server with one tool: it reports progress, waits, and
// then says how that ended.
func slow(await func(context.Context) string) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "slow", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "work"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		note := &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 1}
		if err := r.Session.NotifyProgress(ctx, note); err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: await(ctx)}}}, nil, nil
	})
	return server
}

// work is a call of that tool, which asks for progress.
func work() *mcp.CallToolParams {
	params := &mcp.CallToolParams{Name: "work", Arguments: map[string]any{}}
	params.SetProgressToken("p1")
	return params
}

// TestWhatAClientCancelsEndsAtTheUpstream: by a notification in the legacy era,
// and in the current one by leaving.
func TestWhatAClientCancelsEndsAtTheUpstream(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			left, ended := make(chan struct{}), make(chan string, 1)
			server := slow(func(ctx context.Context) string {
				how := "by itself"
				select {
				case <-ctx.Done():
					how = "cancelled"
				case <-left:
					how = "left"
				case <-time.After(pending):
				}
				ended <- how
				return how
			})
			h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: version == modern})
			u := d.upstream(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Mcp-Method") == "tools/call" { // only the current era says so
					defer context.AfterFunc(r.Context(), func() { close(left) })()
				}
				h.ServeHTTP(w, r)
			})
			name := "slow-" + version
			d.server(name, u.URL)
			_, reference := d.secret(name)
			d.bind(d.card(name, "card", group("dev"), reference))

			ctx, cancel := context.WithCancel(t.Context())
			client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, &mcp.ClientOptions{
				ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { cancel() }})
			session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: d.url + "/mcp/" + d.env + "/" + name,
				HTTPClient: &http.Client{Transport: &stack.Caller{Token: token(t, alice)}}}, &mcp.ClientSessionOptions{ProtocolVersion: version})
			must(t, err)
			defer session.Close()
			if _, err := session.CallTool(ctx, work()); err == nil {
				t.Error("the cancelled call has a result")
			}
			if how := <-ended; how != map[string]string{legacy: "cancelled", modern: "left"}[version] {
				t.Errorf("the upstream's call ended %s", how)
			}
		})
	}
}
