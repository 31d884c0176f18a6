//go:build e2e && !nonode

package e2e

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/shared/broker"
)

// pending is how long one side waits for the other in a handshake that only
// real streaming completes.
const pending = time.Minute

// TestTheFirstEventArrivesWhileTheUpstreamIsStillWriting: the upstream goes on
// only when the caller has its first event.
func TestTheFirstEventArrivesWhileTheUpstreamIsStillWriting(t *testing.T) {
	t.Parallel()
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			arrived := make(chan struct{})
			u := d.upstream(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, progress)
				w.(http.Flusher).Flush()
				select {
				case <-arrived:
					_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"t\":\""+quoted(r.Header.Get("Authorization"))+"\"}}\n\n")
				case <-time.After(pending):
				}
			})
			d.simple(u)
			response, err := client.Do(d.request(alice, "notes", version, toolCall(version)))
			must(t, err)
			defer response.Body.Close()
			body := bufio.NewReader(response.Body)
			first, err := body.ReadString('}')
			must(t, err)
			if !strings.HasPrefix(first, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"") {
				t.Errorf("the first event is %q", first)
			}
			close(arrived)
			rest, err := io.ReadAll(body)
			must(t, err)
			if !strings.Contains(string(rest), `{"t":"Bearer [masked:dev-notes]"}`) {
				t.Errorf("the rest is %q", rest)
			}
			r := d.ended(answer{receipt: response.Header.Get("Bindery-Receipt")}, "")
			if r.Era != version {
				t.Errorf("recorded era %s, want %s", r.Era, version)
			}
		})
	}
}

// TestProgressReachesARealClientWhileItsToolIsRunning, in both eras, through
// the official SDK on both sides.
func TestProgressReachesARealClientWhileItsToolIsRunning(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	heard := make(chan struct{}, 10)
	notes := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	mcp.AddTool(notes, &mcp.Tool{Name: "work"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		note := &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 1}
		if err := r.Session.NotifyProgress(ctx, note); err != nil {
			return nil, nil, err
		}
		said := "nobody heard"
		select {
		case <-heard:
			said = "heard, by " + r.Extra.Header.Get("X-User-Email")
		case <-time.After(pending):
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}, nil, nil
	})
	served := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return notes }, &mcp.StreamableHTTPOptions{Stateless: true})
	d.simple(d.upstream(served.ServeHTTP))
	for _, version := range []string{legacy, modern} {
		client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, &mcp.ClientOptions{
			ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { heard <- struct{}{} }})
		session, err := client.Connect(t.Context(), d.transport(alice, "notes"), &mcp.ClientSessionOptions{ProtocolVersion: version})
		must(t, err)
		params := &mcp.CallToolParams{Name: "work", Arguments: map[string]any{}}
		params.SetProgressToken("p1")
		result, err := session.CallTool(t.Context(), params)
		must(t, err)
		if got := textOf(result); got != "heard, by alice@example.com" {
			t.Errorf("%s: %s", version, got)
		}
		_ = session.Close()
	}
}

// TestTheOfficialServerWorksThroughBindery: sessions, SSE answers and errors of
// the SDK's own everything-server, with both eras of client.
func TestTheOfficialServerWorksThroughBindery(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.server("everything", shared.everything.URL)
	_, reference := d.secret("everything")
	d.bind(d.card("everything", "dev-everything", group("dev"), reference))
	for _, version := range []string{legacy, modern} {
		session, caller := d.session(alice, "everything", version)
		tools, err := session.ListTools(t.Context(), nil)
		must(t, err)
		if len(tools.Tools) < 5 {
			t.Errorf("%s: %d tools", version, len(tools.Tools))
		}
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "test_simple_text", Arguments: map[string]any{}})
		must(t, err)
		r := d.ended(answer{receipt: caller.LastReceipt()}, "")
		if !strings.Contains(textOf(result), "simple text") || r.Target != "test_simple_text" {
			t.Errorf("%s: %q, record %+v", version, textOf(result), r)
		}
		if result, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "test_error_handling", Arguments: map[string]any{}}); err != nil || !result.IsError {
			t.Errorf("%s: the tool's own error came as %v, %v", version, result, err)
		}
		if _, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "test_simple_prompt"}); err != nil {
			t.Errorf("%s: prompt: %v", version, err)
		}
		if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "test://static-text"}); err != nil {
			t.Errorf("%s: resource: %v", version, err)
		}
		if r = d.ended(answer{receipt: caller.LastReceipt()}, ""); r.Action != broker.ReadResource || strings.Contains(r.Target, "static") {
			t.Errorf("%s: record %+v", version, r)
		}
	}
}

// TestBytesAreRelayedAsTheyAre, both ways, where nothing has to be masked.
func TestBytesAreRelayedAsTheyAre(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	var kind, body string
	u := d.upstream(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		for _, b := range []byte(body) {
			_, _ = w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
	})
	d.simple(u)
	meta := ` "_meta" : {"io.modelcontextprotocol/clientCapabilities":{ } ,"io.modelcontextprotocol/protocolVersion":"2026-07-28"},`
	arguments := "\t\"name\": \"whoami\", \"arguments\" :{\"n\":1.0E+2,\"big\":123456789012345678901234567890,\"s\":\"\\u00e9é\\/ \\ud83d\\ude00\",\"z\":[ ],\"<>&\":null} }"
	for version, params := range map[string]string{legacy: "{", modern: "{" + meta} {
		request := "\r\n {\"method\":\"tools/call\" ,\n\"params\":" + params + arguments + ",\"id\": 1,\"jsonrpc\":\"2.0\"}\n "
		for media, answer := range map[string]string{
			"application/json":                "{ \"id\" : 1,\"jsonrpc\":\"2.0\",\n\t\"result\":{\"n\":1.50,\"big\":98765432109876543210,\"s\":\"\\u0041\\/é\",\"a\":{\"b\":1,\"b\":2}}} \r\n",
			"application/json; charset=UTF-8": "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"\\u2028\"}}",
			"text/event-stream":               ": hello\n\nevent:message\r\nid: 7\r\nretry: 10\r\ndata:{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\r\n\r\n\n\nunknown: x\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{} }\n\n: bye\n\n",
		} {
			kind, body = media, answer
			a := d.send(d.request(alice, "notes", version, request))
			if a.body != body || a.status != http.StatusOK {
				t.Errorf("%s %s: the caller got\n%q, the upstream sent\n%q", version, media, a.body, body)
			}
			if got := u.last(t).body; got != request {
				t.Errorf("%s: the upstream got\n%q, the caller sent\n%q", version, got, request)
			}
			if got := u.last(t).ContentLength; got != int64(len(request)) {
				t.Errorf("%s: content length %d", version, got)
			}
			d.ended(a, "")
		}
	}
}

// TestWhatACallerSendsBesidesTheMessageStaysBehind, in particular its token and
// its own copies of what Bindery says to an upstream.
func TestWhatACallerSendsBesidesTheMessageStaysBehind(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(echo())
	key := d.simple(u)
	forged := []string{"X-User-Email", "X-Agent", "Bindery-Receipt", "Bindery-Mode", "Bindery-Other", "Cookie", "X-Forwarded-For", "Forwarded",
		"X-Api-Key", "Proxy-Authorization", "Origin", "X-Amz-Security-Token", "Mcp-Param-Region"}
	a := d.post(alice, "notes", func(r *http.Request) {
		for _, name := range forged {
			r.Header.Set(name, "forged")
		}
		r.Header.Set("Origin", d.url) // any other is refused
		r.Header.Set("Accept-Encoding", "gzip, br")
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	})
	a.want(t, http.StatusOK, "[masked:dev-notes]")
	got := u.last(t).Header
	want := map[string]string{"Authorization": "Bearer " + key, "X-User-Email": "alice@example.com", "X-Agent": shellAgent, "Bindery-Receipt": a.receipt,
		"Bindery-Mode": "service_account", "Accept-Encoding": "identity", "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	for _, name := range forged {
		if got.Get(name) != want[name] {
			t.Errorf("%s: the upstream got another value than Bindery's", name)
		}
	}
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s is wrong at the upstream", name)
		}
	}
	for name, values := range got {
		if strings.Contains(strings.Join(values, " "), token(t, alice)) {
			t.Errorf("the caller's token reached the upstream in %s", name)
		}
	}
}
