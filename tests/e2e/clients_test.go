//go:build e2e && !nonode

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/secret"
)

// visit is one client at one server, once directly and once through Bindery.
type visit struct {
	server      string // of the deployment, and key of its upstream
	sdk         int
	negotiation string
	version     string // that the two agree on
	steps       string
}

// What each era has in common, and what is only in one of them.
const (
	plainSteps   = "call list binary failing unknown prompt resource progress "
	askingSteps  = "sampling elicitation changes terminate"
	sessionSteps = plainSteps + "logging " + askingSteps
	currentSteps = plainSteps + "inputs inputPrompt header listen"
)

func visits() map[string]visit {
	return map[string]visit{
		"first SDK":                      {"stateful", 1, "", legacy, sessionSteps},
		"second SDK, legacy":             {"stateful", 2, "legacy", legacy, "unknown progress logging " + askingSteps},
		"second SDK finds a legacy one":  {"stateful", 2, "auto", legacy, "call header changes"},
		"second SDK finds a current one": {"stateless", 2, "auto", modern, "call header"},
		"second SDK insists":             {"stateless", 2, modern, modern, currentSteps},
		"first SDK without a session":    {"stateless", 1, "", legacy, "call resource progress"},
		"first SDK resumes":              {"resumable", 1, "", legacy, "reconnect terminate"},
		"second SDK resumes":             {"resumable", 2, "legacy", legacy, "reconnect terminate"},
	}
}

// TestTypeScriptClientsSeeThroughBinderyWhatTheySeeDirectly, in both eras, with
// all that an era has: progress, requests of the server's, notifications,
// rounds of input, resumption and the end of a session.
func TestTypeScriptClientsSeeThroughBinderyWhatTheySeeDirectly(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	urls := map[string]string{"stateful": shared.everything.URL, "stateless": shared.stateless.URL, "resumable": resumable(t)}
	for name, url := range urls {
		d.server(name, url)
		_, reference := d.secret(name)
		d.bind(d.card(name, "dev-"+name, group("dev"), reference))
	}
	var names []string
	var scripts []parts.Script
	for name, v := range visits() {
		names = append(names, name)
		direct := parts.Script{URL: urls[v.server], Token: secret.New("none"), SDK: v.sdk, Negotiation: v.negotiation, Steps: strings.Fields(v.steps)}
		through := direct
		through.URL, through.Token = d.url+"/mcp/"+d.env+"/"+v.server, secret.New(token(t, alice))
		scripts = append(scripts, direct, through)
	}
	saw, err := shared.clients.TypeScript(t.Context(), scripts...)
	must(t, err)
	ledger := d.ledger(t)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			receipts := texts(saw[2*i+1]["receipts"])
			sameSight(t, visits()[name], saw[2*i], saw[2*i+1])
			d.attested(t, ledger, visits()[name].version, receipts)
		})
	}
}

// sameSight holds what a client saw through Bindery against what it saw
// directly.
func sameSight(t *testing.T, v visit, direct, through map[string]any) {
	t.Helper()
	if direct["error"] != nil || direct["version"] != v.version {
		t.Fatalf("without Bindery: at %v: %v, version %v", direct["at"], direct["error"], direct["version"])
	}
	for _, step := range strings.Fields(v.steps) {
		if direct[step] == nil {
			t.Errorf("without Bindery the client says nothing about %q", step)
		}
	}
	if through["error"] != nil {
		t.Fatalf("through Bindery: at %v: %v, after %v", through["at"], through["error"], through["http"])
	}
	mustDiffer(t, direct, through, v.server)
	for _, saw := range []map[string]any{direct, through} {
		exchanges := texts(saw["http"])
		slices.Sort(exchanges) // what a client does side by side has no order
		saw["http"] = exchanges
	}
	if diff := cmp.Diff(direct, through); diff != "" {
		t.Errorf("Bindery can be told from the server (-direct +through):\n%s", diff)
	}
}

// mustDiffer takes out what Bindery alone may show, and requires it: receipts,
// a session of its own where the server of a legacy client has none, and that
// nobody shares a cached answer.
func mustDiffer(t *testing.T, direct, through map[string]any, server string) {
	t.Helper()
	delete(direct, "receipts")
	delete(through, "receipts")
	if server == "stateless" && direct["version"] == legacy {
		if direct["session"] != false || through["session"] != true {
			t.Errorf("session without Bindery %v, through it %v", direct["session"], through["session"])
		}
		through["session"] = false
	}
	if resource, ok := through["resource"].(map[string]any); ok {
		if resource["cacheScope"] != "private" {
			t.Errorf("a resource may be cached for %v", resource["cacheScope"])
		}
		resource["cacheScope"] = "public"
	}
}

// attested requires intent and outcome of every receipt, in one session if the
// era has them. What the ledger does not hold yet is read again.
func (d *deployment) attested(t *testing.T, ledger map[string][]broker.Record, version string, receipts []string) {
	t.Helper()
	sessions, called := map[string]bool{}, false
	for _, receipt := range receipts {
		records := ledger[receipt]
		if len(records) != 2 {
			var err error
			records, err = d.Audit(t.Context(), receipt)
			must(t, err)
		}
		if len(records) != 2 || records[0].Phase != broker.Intent || records[1].Phase != broker.Outcome {
			t.Errorf("records %+v, want intent and outcome", records)
			continue
		}
		r := records[1]
		if r.Principal != broker.PrincipalID(shared.oidc.URL, alice) || r.Agent != shellAgent {
			t.Errorf("%s is recorded for %s through %s", r.Method, r.Principal, r.Agent)
		}
		if r.Method == "initialize" || r.Method == "server/discover" {
			continue
		}
		if r.Era != version {
			t.Errorf("%s is recorded in era %q, want %s", r.Method, r.Era, version)
		}
		sessions[r.Session] = true
		called = called || r.Method == "tools/call" && r.Target != ""
	}
	if !called || len(sessions) != 1 || version == modern && !sessions[""] {
		t.Errorf("%d receipts, a tool called: %t, sessions %v", len(receipts), called, sessions)
	}
}

// ledger is the audit table: by receipt, in the order of phases.
func (d *deployment) ledger(t *testing.T) map[string][]broker.Record {
	t.Helper()
	found := map[string][]broker.Record{}
	pages := dynamodb.NewScanPaginator(d.direct, &dynamodb.ScanInput{TableName: &d.Config.Tables.Audit})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, item := range page.Items {
			var r broker.Record
			must(t, attributevalue.UnmarshalMapWithOptions(item, &r, func(o *attributevalue.DecoderOptions) { o.TagKey = "json" }))
			found[r.Receipt] = append(found[r.Receipt], r)
		}
	}
	for _, records := range found {
		slices.SortFunc(records, func(a, b broker.Record) int { return strings.Compare(string(a.Phase), string(b.Phase)) })
	}
	return found
}

// texts is a list of JSON texts; null is "".
func texts(list any) []string {
	all, _ := list.([]any)
	found := make([]string, len(all))
	for i, one := range all {
		found[i], _ = one.(string)
	}
	return found
}

// resumable is an official server whose streams can be resumed. Its tool closes
// the stream of its own call before it answers.
func resumable(t *testing.T) string {
	server := mcp.NewServer(&mcp.Implementation{Name: "resumable", Version: "1"}, nil)
	server.AddTool(&mcp.Tool{Name: "test_reconnection", InputSchema: json.RawMessage(`{"type":"object"}`)}, interrupted)
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)})
	served := httptest.NewServer(h)
	t.Cleanup(func() { served.CloseClientConnections(); served.Close() })
	return served.URL
}

// interrupted sends the client away in the middle of its call.
func interrupted(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	r.Extra.CloseSSEStream(mcp.CloseSSEStreamArgs{RetryAfter: 10 * time.Millisecond})
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "answered on another stream"}}}, nil
}
