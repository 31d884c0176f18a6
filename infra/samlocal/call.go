package main

import (
	"context"
	"encoding/json"
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

// account is what each side saw of the call through SAM's gateway.
type account struct {
	secret, receipt string
	answer          string // what the agent got
	took            time.Duration
	upstream        http.Header
	records         []broker.Record
	resource        string // what the metadata document names
	refused         int    // a call without a token
	challenge       string
	servers         []string // what the admin function lists
}

// call makes one governed call, and asks what needs no upstream.
func (w *world) call(ctx context.Context) (*account, error) {
	token, err := w.issuer.Token(callAccount)
	if err != nil {
		return nil, err
	}
	w.say("a call through the emulated API Gateway: the official MCP client, an agent's token, SAM's containers")
	seen := &account{secret: w.secret}
	agent := &stack.Caller{Token: token}
	if err := w.callTool(ctx, agent, seen); err != nil {
		return nil, err
	}
	seen.upstream, _ = w.notes.Last()
	if seen.records, err = w.deployment.Audit(ctx, seen.receipt); err != nil {
		return nil, err
	}
	return seen, w.askAround(ctx, seen)
}

func (w *world) callTool(ctx context.Context, agent *stack.Caller, seen *account) error {
	session, err := agent.Connect(ctx, w.url()+"/mcp/"+environment+"/notes")
	if err != nil {
		return fmt.Errorf("%w; what the functions said:%s", err, w.api.tail())
	}
	began := time.Now()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
	if err != nil {
		return fmt.Errorf("call whoami: %w; what the functions said:%s", err, w.api.tail())
	}
	seen.took, seen.receipt = time.Since(began), agent.LastReceipt()
	for _, c := range result.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			seen.answer += text.Text
		}
	}
	return nil
}

// askAround asks for the metadata document, without a token, and the admin API.
func (w *world) askAround(ctx context.Context, seen *account) error {
	document, err := w.get(ctx, "/.well-known/oauth-protected-resource/mcp/"+environment+"/notes", "")
	if err != nil {
		return err
	}
	var metadata struct{ Resource string }
	_ = json.Unmarshal(document.body, &metadata) // checked by what it holds
	seen.resource = strings.TrimPrefix(metadata.Resource, w.url())
	refusal, err := w.get(ctx, "/mcp/"+environment+"/notes", "")
	if err != nil {
		return err
	}
	seen.refused, seen.challenge = refusal.status, refusal.header.Get("WWW-Authenticate")
	token, err := w.issuer.Token("auditor")
	if err != nil {
		return err
	}
	list, err := w.get(ctx, "/admin/v1/servers", token)
	if err != nil {
		return err
	}
	var listed struct{ Items []struct{ Name string } }
	_ = json.Unmarshal(list.body, &listed) // checked by what it holds
	for _, server := range listed.Items {
		seen.servers = append(seen.servers, server.Name)
	}
	return nil
}

// check holds each side to what it should have seen.
func (a *account) check() error {
	var wrong []error
	require := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, errors.New("the call: "+what))
		}
	}
	require(a.upstream.Get("Authorization") == "Bearer "+a.secret, "the upstream did not get the credential")
	require(a.upstream.Get("X-User-Email") == stack.Alice+"@example.com", "the upstream did not get the verified e-mail")
	require(a.receipt != "" && a.upstream.Get("Bindery-Receipt") == a.receipt, "the upstream did not get the receipt")
	require(!strings.Contains(a.answer, a.secret), "the agent saw the credential")
	require(strings.Contains(a.answer, "[masked:"+callCard+"]"), "the agent's answer was not masked")
	require(len(a.records) == 2, "the audit table does not hold intent and outcome")
	for _, r := range a.records {
		require(r.Binding == callCard && r.Target == "whoami" && r.Agent == stack.DemoIssuerName+":"+stack.Agent, "the audit record does not name binding, tool and agent")
	}
	require(a.resource == "/mcp/"+environment+"/notes", "the metadata document does not name the resource")
	require(a.refused == http.StatusUnauthorized && strings.HasPrefix(a.challenge, "Bearer "), "a call without a token was not answered by a challenge")
	require(len(a.servers) == 1 && a.servers[0] == "notes", "the admin function does not list the server")
	return errors.Join(wrong...)
}

// print shows the account, and never the credential.
func (a *account) print(out io.Writer) {
	row := func(label, text string, args ...any) {
		_, _ = fmt.Fprintf(out, "  %-18s %s\n", label, fmt.Sprintf(text, args...))
	}
	same := "NOT the value in the secret store"
	if a.upstream.Get("Authorization") == "Bearer "+a.secret {
		same = "the value in the secret store"
	}
	_, _ = fmt.Fprintf(out, "\n  One governed call, in containers\n\n")
	row("upstream saw", "Authorization: Bearer … (%s)", same)
	for _, name := range []string{"X-User-Email", "Bindery-Mode", "Bindery-Receipt"} {
		row("", "%s: %s", name, a.upstream.Get(name))
	}
	row("agent saw", "[masked:%s] where the credential was: %t", callCard, strings.Contains(a.answer, "[masked:"+callCard+"]"))
	for _, r := range a.records {
		became := ""
		if r.Phase == broker.Outcome {
			became = fmt.Sprintf(", status %d, %d masked", r.Status, r.Masked)
		}
		row("audit "+string(r.Phase), "%s of %s by %s, binding %s%s", r.Target, r.Server, r.Agent, r.Binding, became)
	}
	row("metadata", "%s", a.resource)
	row("without a token", "%d, WWW-Authenticate: %s", a.refused, a.challenge)
	row("admin API", "servers %s", strings.Join(a.servers, ", "))
	row("latency", "%.0f ms, SAM's emulation and the local endpoint included", float64(a.took.Microseconds())/1000)
	_, _ = fmt.Fprintln(out)
}
