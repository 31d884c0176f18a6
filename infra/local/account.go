package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
)

const (
	demoAccount = "alice-reporter" // alice, through the agent "reporter"
	demoBinding = "alice-notes"
	demoEmail   = "alice@example.com"
)

// account is what each side saw of one call.
type account struct {
	latency  time.Duration
	receipt  string
	answer   string      // what the agent got
	upstream http.Header // what the upstream got
	records  []broker.Record
	secret   string // the value in Secrets Manager, for comparison only
	official string // what the official server answered to a second call
}

// call makes the governed call as an agent with nothing but its identity, and
// one more on the official everything-server.
func (w *world) call(ctx context.Context) (*account, error) {
	token, err := w.issuer.Token(demoAccount)
	if err != nil {
		return nil, err
	}
	agent := &stack.Caller{Token: token}
	seen := &account{secret: w.made[demoBinding]}
	if _, _, err := callTool(ctx, agent, w.endpoint("notes"), "whoami"); err != nil { // warms connections and keys
		return nil, err
	}
	if seen.answer, seen.latency, err = callTool(ctx, agent, w.endpoint("notes"), "whoami"); err != nil {
		return nil, err
	}
	seen.receipt = agent.LastReceipt()
	seen.upstream, _ = w.notes.Last()
	if seen.records, err = w.deployment.Audit(ctx, seen.receipt); err != nil {
		return nil, err
	}
	seen.official, _, err = callTool(ctx, agent, w.endpoint("everything"), "test_simple_text")
	return seen, err
}

// callTool opens a session, calls one tool and gives the text of its answer
// and the time of the call alone.
func callTool(ctx context.Context, agent *stack.Caller, endpoint, tool string) (string, time.Duration, error) {
	session, err := agent.Connect(ctx, endpoint)
	if err != nil {
		return "", 0, err
	}
	began := time.Now()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: map[string]any{}})
	took := time.Since(began)
	receipt := agent.LastReceipt()
	if err != nil {
		return "", 0, fmt.Errorf("call %s (receipt %s): %w", tool, receipt, err)
	}
	var text strings.Builder
	for _, c := range result.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			text.WriteString(t.Text)
		}
	}
	return text.String(), took, nil
}

// check holds each side to what it should have seen.
func (a *account) check() error {
	var wrong []error
	require := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, errors.New(what))
		}
	}
	require(a.upstream.Get("Authorization") == "Bearer "+a.secret, "the upstream did not get the credential")
	require(a.upstream.Get("X-User-Email") == demoEmail, "the upstream did not get the verified e-mail")
	require(a.upstream.Get("Bindery-Receipt") == a.receipt, "the upstream did not get the receipt")
	require(!strings.Contains(a.answer, a.secret), "the agent saw the credential")
	require(strings.Contains(a.answer, "[masked:"+demoBinding+"]"), "the agent's answer was not masked")
	require(len(a.records) == 2, "the audit table does not hold intent and outcome")
	require(a.official != "", "the official everything-server did not answer")
	for _, r := range a.records {
		require(r.Binding == demoBinding && r.Target == "whoami" && r.Agent == stack.DemoIssuerName+":"+stack.Agent, "the audit record does not name binding, tool and agent")
	}
	return errors.Join(wrong...)
}

// print shows the account. The credential itself is never printed, only that
// it is the one in Secrets Manager.
func (a *account) print(out io.Writer) {
	same := "NOT the value in Secrets Manager"
	if a.upstream.Get("Authorization") == "Bearer "+a.secret {
		same = "the value in Secrets Manager"
	}
	fmt.Fprintf(out, "\n  One governed call\n\n")
	row := func(label, text string, args ...any) {
		fmt.Fprintf(out, "  %-18s %s\n", label, fmt.Sprintf(text, args...))
	}
	row("who called", "agent %q for %s, with an access token of its own and no secret", stack.Agent, stack.Alice)
	row("which binding", "%s", demoBinding)
	row("upstream saw", "Authorization: Bearer %s… (%s)", fingerprint(a.secret), same)
	for _, name := range []string{"X-User-Email", "Bindery-Mode", "Bindery-Receipt"} {
		row("", "%s: %s", name, a.upstream.Get(name))
	}
	row("agent saw", "%s", a.excerpt())
	for _, r := range a.records {
		row("audit "+string(r.Phase), "%s", line(r))
	}
	row("latency", "%.1f ms, the local endpoint's AWS calls included", float64(a.latency.Microseconds())/1000)
	row("and", "the official everything-server answered: %.60s", a.official)
}

// line is an audit record in one line: the facts an auditor asks for first.
func line(r broker.Record) string {
	text := fmt.Sprintf("#%d %s: %s of %s by %s through %s, binding %s v%d, %s", r.Sequence, r.Method, r.Target, r.Server,
		r.Principal[:10]+"…", r.Agent, r.Binding, r.BindingVersion, r.Mode)
	if r.Phase == broker.Outcome {
		text = fmt.Sprintf("#%d status %d, %d masked, %d ms", r.Sequence, r.Status, r.Masked, r.LatencyMS)
		for _, a := range r.Accesses {
			text += ", read " + a.Reference + " version " + a.Version
		}
	}
	return text
}

// excerpt is the line of the agent's answer that would have shown the secret.
func (a *account) excerpt() string {
	at := strings.Index(a.answer, "[masked:")
	if at < 0 {
		return "an answer without the credential"
	}
	from := max(0, strings.LastIndexByte(a.answer[:at], ',')+1)
	to := at + strings.IndexByte(a.answer[at:], ']') + 1
	return "…" + a.answer[from:to] + "…"
}

// fingerprint names a value without showing any of it.
func fingerprint(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:4])
}
