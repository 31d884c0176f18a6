//go:build e2e && !nojava

package lifecycle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/brokertest/runtimeapi"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// asking is a request as API Gateway sends it. Its session is that of the legacy
// revision, or empty.
type asking struct{ server, method, revision, session, body string }

func toolCall(server, session, tool string) asking {
	return asking{server, http.MethodPost, legacy, session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`}
}

func listening(server, session string) asking {
	return asking{server, http.MethodGet, legacy, session, ""}
}

func subscription(server string) asking {
	return asking{server, http.MethodPost, modern, "", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`}
}

// event is the request of alice.
func (w *world) event(a asking) []byte {
	w.tb.Helper()
	accept := "application/json, text/event-stream"
	if a.method == http.MethodGet {
		accept = "text/event-stream"
	}
	headers := map[string][]string{"Host": {"mcp.example.com"}, "Authorization": {"Bearer " + w.token}, "Accept": {accept}, "MCP-Protocol-Version": {a.revision}}
	if a.method == http.MethodPost {
		headers["Content-Type"] = []string{"application/json"}
	}
	if a.revision == modern {
		headers["Mcp-Method"] = []string{"subscriptions/listen"}
	}
	if a.session != "" {
		headers["Mcp-Session-Id"] = []string{a.session}
	}
	text, err := json.Marshal(events.APIGatewayProxyRequest{HTTPMethod: a.method, Path: "/mcp/" + environment + "/" + a.server, Body: a.body, MultiValueHeaders: headers})
	must(w.tb, err)
	return text
}

// outcome is what a call came to.
type outcome string

const (
	worked outcome = "worked"
	denied outcome = "refused"
	slow   outcome = "the store was too slow"
)

// patience is how often a caller repeats a call that the store was too slow for,
// as the answer advises: the function gives the stores less than three seconds,
// which many processes on a small machine may use up.
const patience = 20

// tooSlow are the codes of such answers. Nothing was called then.
func tooSlow() []string { return []string{`"code":15032`, `"code":15033`, `"code":15034`} }

// sessionOver is the code of an answer to whoever brings a session that is over.
const sessionOver = `"code":14041`

// once calls and gives the answer's text.
func (w *world) once(f *runtimeapi.Function, event []byte) (outcome, []byte) {
	response, err := f.Invoke(w.tb.Context(), event)
	if err != nil {
		return outcome(err.Error()), nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return outcome(err.Error()), body
	case response.StatusCode == http.StatusOK && bytes.Contains(body, []byte(answered)):
		return worked, body
	case response.StatusCode == http.StatusForbidden, bytes.Contains(body, []byte(sessionOver)):
		return denied, body
	case slices.ContainsFunc(tooSlow(), func(code string) bool { return bytes.Contains(body, []byte(code)) }):
		return slow, body
	}
	return outcome(fmt.Sprintf("%d %s", response.StatusCode, body)), body
}

// patiently calls again as long as the store is too slow.
func (w *world) patiently(f *runtimeapi.Function, event []byte) (o outcome, body []byte, repeated int) {
	for ; ; repeated++ {
		if o, body = w.once(f, event); o != slow || repeated == patience {
			return o, body, repeated
		}
	}
}

// session begins a session of the legacy revision.
func (w *world) session(f *runtimeapi.Function, server string) (id string) {
	w.tb.Helper()
	response, err := f.Invoke(w.tb.Context(), w.event(asking{server, http.MethodPost, legacy, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"made-up","version":"1"}}}`}))
	must(w.tb, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(w.tb, err)
	if id = response.Header.Get("Mcp-Session-Id"); id == "" {
		w.tb.Fatalf("no session: %d %s", response.StatusCode, body)
	}
	return id
}

// stream is an answer that stays open.
type stream struct {
	what  string
	ended chan time.Time
}

// listen opens a stream and waits for its first event.
func (w *world) listen(f *runtimeapi.Function, a asking) stream {
	w.tb.Helper()
	response, err := f.Invoke(w.tb.Context(), w.event(a))
	must(w.tb, err)
	from := bufio.NewReader(response.Body)
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			w.tb.Fatalf("%s %s was answered %d, %q: %v", a.method, a.body, response.StatusCode, line, err)
		}
		if strings.Contains(line, heard) {
			break
		}
	}
	s := stream{a.method + " " + a.body, make(chan time.Time, 1)}
	go func() {
		_, _ = io.Copy(io.Discard, from) // however it ends
		s.ended <- time.Now()
		_ = response.Body.Close()
	}()
	return s
}
