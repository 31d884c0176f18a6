//go:build e2e && !nonode

package e2e

//lint:file-ignore SA1019 deprecated features are still spoken and must pass

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/stack"
)

// sight is what a client of the official Go SDK saw.
type sight struct {
	mu        sync.Mutex
	lines     []string // exchanges and results
	receipts  []string
	streaming chan struct{} // a standing stream is open
	changed   chan struct{} // the server's tools have changed
	next      http.RoundTripper
}

func (s *sight) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// RoundTrip writes down what was asked and how it was answered.
func (s *sight) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	s.add("%s %s: %d %s", r.Method, r.Header.Get("Mcp-Method"), response.StatusCode, response.Header.Get("Content-Type"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receipts = append(s.receipts, response.Header.Get("Bindery-Receipt")); r.Method == http.MethodGet && response.StatusCode == http.StatusOK {
		close(s.streaming)
	}
	return response, nil
}

// TestGoClientsSeeThroughBinderyWhatTheySeeDirectly, in both eras, ending each
// session as they found it.
func TestGoClientsSeeThroughBinderyWhatTheySeeDirectly(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for version, url := range map[string]string{legacy: shared.everything.URL, modern: shared.stateless.URL} {
		name := "server-" + version
		d.server(name, url)
		_, reference := d.secret(name)
		d.bind(d.card(name, "card", group("dev"), reference))
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			direct := look(t, version, url, http.DefaultTransport)
			through := look(t, version, d.url+"/mcp/"+d.env+"/"+name, &stack.Caller{Token: token(t, alice)})
			if diff := cmp.Diff(direct.lines, through.lines); diff != "" {
				t.Errorf("Bindery can be told from the server (-direct +through):\n%s", diff)
			}
			if end := "DELETE : 204 "; slices.Contains(direct.lines, end) != (version == legacy) {
				t.Errorf("want the end of a session in the legacy era alone: %q", direct.lines)
			}
			d.attested(t, d.ledger(t), version, through.receipts)
		})
	}
}

// look connects and does all that the era has. Lines have an order of their own,
// because a client does some things side by side.
func look(t *testing.T, version, url string, next http.RoundTripper) *sight {
	t.Helper()
	s := &sight{streaming: make(chan struct{}), changed: make(chan struct{}, 100), next: next}
	client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, s.answers())
	client.AddRoots(&mcp.Root{URI: "file:///work", Name: "work"})
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: s}},
		&mcp.ClientSessionOptions{ProtocolVersion: version})
	must(t, err)
	result := session.InitializeResult()
	s.add("server %s %s %s", result.ProtocolVersion, result.ServerInfo.Name, jsonOf(result.Capabilities))
	for tool, err := range session.Tools(t.Context(), nil) {
		must(t, err)
		if !strings.HasPrefix(tool.Name, "__") { // the server's own tests add such ones
			s.add("tool %s %s", tool.Name, jsonOf(tool.InputSchema))
		}
	}
	prompt, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "test_simple_prompt"})
	must(t, err)
	resource, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "test://static-binary"})
	must(t, err)
	s.add("prompt %s, resource %s", jsonOf(prompt.Messages), jsonOf(resource.Contents))
	tools := []string{"simple_text", "image_content", "error_handling", "tool_with_progress"}
	if version == legacy {
		tools = append(tools, "sampling", "elicitation")
		s.await(t, s.streaming)
	} else {
		tools = append(tools, "input_required_result_elicitation", "input_required_result_sampling", "input_required_result_list_roots",
			"input_required_result_multi_round", "input_required_result_request_state", "input_required_result_multiple_inputs")
	}
	for _, tool := range append(tools, "trigger_tool_change") {
		s.call(t, session, "test_"+tool)
	}
	s.await(t, s.changed)
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "no_such_tool"})
	s.add("no such tool: %v", err)
	must(t, session.Close())
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.lines)
	return s
}

// answers is how this client answers what a server asks, and what it notices.
func (s *sight) answers() *mcp.ClientOptions {
	return &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Model: "none", Role: "assistant", Content: &mcp.TextContent{Text: "yes to " + jsonOf(r.Params.Messages)}}, nil
		},
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			var schema struct {
				Properties map[string]struct{ Type string }
			}
			if err := json.Unmarshal([]byte(jsonOf(r.Params.RequestedSchema)), &schema); err != nil {
				return nil, err
			}
			content := map[string]any{}
			for name, property := range schema.Properties {
				if content[name] = "my " + name; property.Type == "boolean" {
					content[name] = true
				}
			}
			return &mcp.ElicitResult{Action: "accept", Content: content}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			s.add("progress %v of %v", r.Params.Progress, r.Params.Total)
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { s.changed <- struct{}{} },
	}
}

func (s *sight) call(t *testing.T, session *mcp.ClientSession, tool string) {
	t.Helper()
	params := &mcp.CallToolParams{Name: tool, Arguments: map[string]any{}}
	switch tool {
	case "test_tool_with_progress":
		params.SetProgressToken("p1")
	case "test_sampling":
		params.Arguments = map[string]any{"prompt": "well?"}
	case "test_elicitation":
		params.Arguments = map[string]any{"message": "who?"}
	}
	result, err := session.CallTool(t.Context(), params)
	must(t, err)
	s.add("%s: %t %s", tool, result.IsError, jsonOf(result.Content))
}

// await waits for a sign that only a stream brings.
func (s *sight) await(t *testing.T, sign <-chan struct{}) {
	t.Helper()
	select {
	case <-sign:
	case <-time.After(pending):
		t.Fatal("no sign came over the stream")
	}
}

// jsonOf is a value as JSON.
func jsonOf(value any) string {
	all, _ := json.Marshal(value)
	return string(all)
}
