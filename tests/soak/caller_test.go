//go:build e2e && !nojava

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/brokertest/runtimeapi"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// asking is one request of one person.
type asking struct {
	server, method, revision string
	id                       int    // of the JSON-RPC message
	does                     string // its method
	tool                     string // the tool, or how a stream begins
	session                  string
}

func (a asking) body() string {
	if a.method != http.MethodPost {
		return ""
	}
	var params []string
	if a.revision == modern {
		params = append(params, `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`)
	}
	switch a.does {
	case "tools/call":
		params = append(params, `"name":"`+a.tool+`","arguments":{}`)
	case "initialize":
		params = append(params, `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"made-up","version":"1"}`)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, a.id, a.does, strings.Join(params, ","))
}

// event is the request as API Gateway sends it.
func (a asking) event(token string) ([]byte, error) {
	headers := map[string][]string{"Host": {"mcp.example.com"}, "Authorization": {"Bearer " + token},
		"Accept": {"application/json, text/event-stream"}, "MCP-Protocol-Version": {a.revision}}
	if a.method == http.MethodPost {
		headers["Content-Type"] = []string{"application/json"}
	}
	if a.method == http.MethodGet {
		headers["Accept"] = []string{"text/event-stream"}
		headers["Last-Event-ID"] = []string{a.tool}
	}
	if a.revision == modern {
		headers["Mcp-Method"] = []string{a.does}
		if a.does == "tools/call" {
			headers["Mcp-Name"] = []string{a.tool}
		}
	}
	if a.session != "" {
		headers["Mcp-Session-Id"] = []string{a.session}
	}
	return json.Marshal(events.APIGatewayProxyRequest{HTTPMethod: a.method, Path: "/mcp/" + environment + "/" + a.server, Body: a.body(), MultiValueHeaders: headers})
}

// said is what came of a request.
type said struct {
	status  int
	row     string // of the error table; empty: none
	receipt string
	session string
	text    string // all of it, with its headers
	body    string
	err     error // of the invocation: no answer, or not all of it
}

// worked reports whether the caller got what the upstream says.
func (s said) worked() bool {
	return s.err == nil && s.row == "" && s.status < 300 && !strings.Contains(s.body, `"error":{"code"`)
}

// what is the outcome in a word, for counts.
func (s said) what() string {
	switch {
	case s.err != nil:
		return "no answer"
	case s.row != "":
		return s.row
	case s.worked():
		return "worked"
	}
	return "ended with an error"
}

// invocation is the time limit of one.
const invocation = 30 * time.Second

// ask makes one request and reads all that comes of it.
func ask(ctx context.Context, f *runtimeapi.Function, a asking, token string) (s said) {
	event, err := a.event(token)
	if err != nil {
		return said{err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, invocation)
	defer cancel()
	response, err := f.Invoke(ctx, event)
	if err != nil {
		return said{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return said{status: response.StatusCode, row: response.Header.Get("Bindery-Error"), receipt: response.Header.Get("Bindery-Receipt"),
		session: response.Header.Get("Mcp-Session-Id"), body: string(body), text: fmt.Sprintf("%v\n%s", response.Header, body), err: err}
}

// patience is how often a caller repeats a call that the stores were too slow for,
// as the answer advises: the function gives them less than three seconds, which
// many processes on a small machine may use up.
const patience = 30

// retryAfter is what such answers say.
const retryAfter = time.Second

// tooSlow are the rows of such answers. Nothing was called then.
func tooSlow(s said) bool {
	return s.row == "decision_unavailable" || s.row == "audit_unavailable" || s.row == "credential_unavailable" || s.row == "issuer_unavailable"
}
