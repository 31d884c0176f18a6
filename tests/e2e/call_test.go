//go:build e2e && !nonode

package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
)

// The protocol revisions, newest of each era.
const legacy, modern = "2025-11-25", "2026-07-28"

// answer is what a caller got.
type answer struct {
	status  int
	header  http.Header
	body    string
	receipt string
}

// toolCall is a call of the tool "whoami" in an era.
func toolCall(version string) string {
	meta := ""
	if version == modern {
		meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},`
	}
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + meta + `"name":"whoami","arguments":{}}}`
}

// request is the raw form of toolCall, by an account.
func (d *deployment) request(account, server, version, body string) *http.Request {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url+"/mcp/"+d.env+"/"+server, strings.NewReader(body))
	must(d.t, err)
	r.Header.Set("Authorization", "Bearer "+token(d.t, account))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("MCP-Protocol-Version", version)
	if version == modern {
		r.Header.Set("Mcp-Method", "tools/call")
		r.Header.Set("Mcp-Name", "whoami")
	}
	return r
}

// post calls the tool "whoami" in the legacy era.
func (d *deployment) post(account, server string, changes ...func(*http.Request)) answer {
	d.t.Helper()
	r := d.request(account, server, legacy, toolCall(legacy))
	for _, change := range changes {
		change(r)
	}
	return d.send(r)
}

// naming asks for one binding by name.
func naming(binding string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Bindery-Binding", binding) }
}

// client has a connection for each request, so that no test waits for another's.
var client = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

// send makes one request and reads the whole answer. Where the machine was too busy
// for a decision that may be acted on, and no fault is injected, it does what the
// answer advises.
func (d *deployment) send(r *http.Request) answer {
	d.t.Helper()
	for again := 0; ; again++ {
		began := time.Now()
		a := d.once(r)
		late := a.status == http.StatusServiceUnavailable && strings.Contains(a.body, undecided) && time.Since(began) > broker.DecisionLife
		if !late || !d.faults.Idle() || r.GetBody == nil || again == 10 {
			return a
		}
		body, err := r.GetBody()
		must(d.t, err)
		r = r.Clone(r.Context())
		r.Body = body
	}
}

func (d *deployment) once(r *http.Request) answer {
	d.t.Helper()
	response, err := client.Do(r)
	must(d.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(d.t, err)
	return answer{response.StatusCode, response.Header, string(body), response.Header.Get("Bindery-Receipt")}
}

// want holds an answer to a status and a text it must contain.
func (a answer) want(t *testing.T, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Errorf("answered %d %.300s\nwant %d with %s", a.status, a.body, status, text)
	}
}

// The refusals of the error table that tests look for.
const (
	forbidden         = `"code":14030`
	undecided         = `"code":15032`
	unrecorded        = `"code":15033`
	noCredential      = `"code":15034`
	credentialFailed  = `"code":15020`
	unreachable       = `"code":15021`
	authenticateFirst = `"code":14010`
	badToken          = `"code":14011`
)

// records gives the audit records of a call.
func (d *deployment) records(a answer) []broker.Record {
	d.t.Helper()
	records, err := d.Audit(d.t.Context(), a.receipt)
	must(d.t, err)
	return records
}

// outcome requires that a call left an intent and an outcome, and gives the
// outcome.
func (d *deployment) outcome(a answer) broker.Record {
	d.t.Helper()
	records := d.records(a)
	if len(records) != 2 || records[0].Phase != broker.Intent || records[1].Phase != broker.Outcome {
		d.t.Fatalf("records %+v, want intent and outcome", records)
	}
	return records[1]
}

// ended requires an outcome with a reason.
func (d *deployment) ended(a answer, reason broker.Reason) broker.Record {
	d.t.Helper()
	r := d.outcome(a)
	if r.Reason != reason {
		d.t.Errorf("the outcome's reason is %q, want %q", r.Reason, reason)
	}
	return r
}

// refused requires that a call left a refusal with a reason, and nothing else.
func (d *deployment) refused(a answer, reason broker.Reason) broker.Record {
	d.t.Helper()
	records := d.records(a)
	if len(records) != 1 || records[0].Phase != broker.Refused || records[0].Reason != reason {
		d.t.Fatalf("records %+v, want one refusal with %s", records, reason)
	}
	return records[0]
}

// session opens an MCP session with the official client.
func (d *deployment) session(account, server, version string) (*mcp.ClientSession, *stack.Caller) {
	d.t.Helper()
	caller := &stack.Caller{Token: token(d.t, account), Version: version}
	s, err := caller.Connect(d.t.Context(), d.url+"/mcp/"+d.env+"/"+server)
	must(d.t, err)
	d.t.Cleanup(func() { _ = s.Close() })
	return s, caller
}

// transport is an account's connection for a client that a test sets up itself.
func (d *deployment) transport(account, server string) mcp.Transport {
	return &mcp.StreamableClientTransport{Endpoint: d.url + "/mcp/" + d.env + "/" + server, MaxRetries: -1, DisableStandaloneSSE: true,
		HTTPClient: &http.Client{Transport: &stack.Caller{Token: token(d.t, account)}}}
}

// textOf joins the text of a tool's result.
func textOf(r *mcp.CallToolResult) string {
	var all strings.Builder
	for _, c := range r.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			all.WriteString(text.Text)
		}
	}
	return all.String()
}

// echo is an upstream that answers with everything it got, and more.
func echo(more ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var got strings.Builder
		_ = r.Header.Write(&got)
		got.WriteString(r.URL.RawQuery)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":`+object(slices.Concat([]string{"got", got.String()}, more)...)+`}`)
	}
}
