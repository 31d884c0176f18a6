package mcp_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"bindery/shared/mcp"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestRealClientAndServerPass: what the official Go SDK sends is accepted in
// both eras, the server understands the headers that remain, and every answer
// survives being cut into events.
func TestRealClientAndServerPass(t *testing.T) {
	for version, want := range map[string][]string{
		"2026-07-28": {"server/discover", "tools/list", "tools/call", "prompts/get", "resources/read", "completion/complete"},
		"2025-11-25": {"initialize", "notifications/initialized", "tools/list", "tools/call", "prompts/get", "resources/read", "completion/complete", "GET", "DELETE"},
		"2025-06-18": {"initialize", "tools/call", "GET", "DELETE"},
	} {
		t.Run(version, func(t *testing.T) {
			seen := &relayed{t: t}
			handler := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return everyFeature() },
				&sdk.StreamableHTTPOptions{Stateless: version >= "2026-07-28"})
			server := httptest.NewServer(seen.relay(handler))
			defer server.Close()
			useAll(t, server.URL, version)
			for _, method := range want {
				if !slices.Contains(seen.methods, version+" "+method) {
					t.Errorf("%s was not relayed as %s; seen %q", method, version, seen.methods)
				}
			}
		})
	}
}

// relayed notes the methods that passed.
type relayed struct {
	t       *testing.T
	mu      sync.Mutex
	methods []string
}

// relay judges each request and hands it on with only the allowed headers. The
// client knows its session by another id than the server.
func (r *relayed) relay(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			r.t.Error(err)
		}
		m, err := parse(in, body)
		if err != nil {
			r.t.Errorf("refused: %v: %s %s", err, in.Method, body)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.methods = append(r.methods, m.Version+" "+m.Method)
		r.mu.Unlock()
		out := in.Clone(in.Context())
		out.Header, out.Body = mcp.UpstreamHeader(in.Header, m), io.NopCloser(bytes.NewReader(body))
		if m.Session != "" {
			out.Header.Set("Mcp-Session-Id", strings.TrimPrefix(m.Session, "wrapped-"))
		}
		if m.Kind == mcp.Listen {
			next.ServeHTTP(w, out)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, out)
		for name, values := range mcp.CallerHeader(answer.Header()) {
			w.Header()[name] = values
		}
		if id, ok := mcp.SessionID(answer.Header()); !ok {
			r.t.Errorf("%s: the server's session id is refused", m.Method)
		} else if id != "" {
			w.Header().Set("Mcp-Session-Id", "wrapped-"+id)
		}
		w.WriteHeader(answer.Code)
		r.copy(w, answer, m)
	})
}

func parse(in *http.Request, body []byte) (*mcp.Message, error) {
	switch in.Method {
	case http.MethodGet:
		return mcp.ParseListen(in.Header)
	case http.MethodDelete:
		return mcp.ParseEnd(in.Header)
	}
	return mcp.Parse(in.Header, body)
}

// copy passes the answer on, event by event where it is a stream, and checks
// that a request finds its response.
func (r *relayed) copy(w io.Writer, answer *httptest.ResponseRecorder, m *mcp.Message) {
	if mcp.MediaType(answer.Header()) != mcp.EventStream {
		body := answer.Body.Bytes()
		if m.Kind == mcp.Request && !mcp.IsResponseTo(body, m.ID) {
			r.t.Errorf("%s: not the response to %s: %s", m.Method, m.ID, body)
		}
		_, _ = w.Write(body) // the client reports what it misses
		return
	}
	answered := false
	reader := mcp.NewEventReader(answer.Body, 1<<20)
	for {
		event, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			r.t.Errorf("%s: %v", m.Method, err)
			return
		}
		answered = answered || mcp.IsResponseTo(event.Data(), m.ID)
		_, _ = w.Write(event.Raw) // the client reports what it misses
	}
	if !answered {
		r.t.Errorf("%s: stream without the response", m.Method)
	}
}

func everyFeature() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "test", Version: "1"}, &sdk.ServerOptions{
		CompletionHandler: func(context.Context, *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
			return &sdk.CompleteResult{Completion: sdk.CompletionResultDetails{Values: []string{"v"}}}, nil
		},
	})
	type none struct{}
	sdk.AddTool(s, &sdk.Tool{Name: "t"}, func(context.Context, *sdk.CallToolRequest, none) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "ok"}}}, nil, nil
	})
	s.AddPrompt(&sdk.Prompt{Name: "p"}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
		return &sdk.GetPromptResult{}, nil
	})
	s.AddResource(&sdk.Resource{Name: "r", URI: "file:///r"}, func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: "file:///r", Text: "ok"}}}, nil
	})
	return s
}

func useAll(t *testing.T, url, version string) {
	ctx := t.Context()
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: url}, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	_, list := session.ListTools(ctx, nil)
	_, call := session.CallTool(ctx, &sdk.CallToolParams{Name: "t"})
	_, prompt := session.GetPrompt(ctx, &sdk.GetPromptParams{Name: "p"})
	_, read := session.ReadResource(ctx, &sdk.ReadResourceParams{URI: "file:///r"})
	_, complete := session.Complete(ctx, &sdk.CompleteParams{
		Ref:      &sdk.CompleteReference{Type: "ref/prompt", Name: "p"},
		Argument: sdk.CompleteParamsArgument{Name: "a", Value: "v"},
	})
	for what, err := range map[string]error{"list": list, "call": call, "prompt": prompt, "read": read, "complete": complete} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
