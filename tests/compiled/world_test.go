//go:build e2e

package compiled

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

const environment = "compiled"

// world is one deployment and the folder its processes live in.
type world struct {
	*stack.Deployment
	dir    string // working and temporary folder of the function
	binary string
	issuer *idp.Issuer
	canary string
}

// newWorld builds the binary, starts the endpoint, and binds group staff to
// an upstream with a canary as its credential.
func newWorld(t *testing.T, upstream http.Handler) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), canary: stack.RandomSecret("canary-")}
	w.binary = filepath.Join(w.dir, "bootstrap")
	runtimeapi.Build(t, w.binary, []string{"proxy"})
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	w.issuer, w.Deployment = deploy(t, moto.URL)
	server := serve(t, upstream)
	w.seed(t, server)
	return w
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	listener, err := stack.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	served := stack.Serve(listener, h)
	t.Cleanup(served.Stop)
	return served.URL
}

func deploy(t *testing.T, endpoint string) (*idp.Issuer, *stack.Deployment) {
	t.Helper()
	listener, err := stack.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	issuer, err := idp.New(url, "Log in", "bindery", stack.DemoAccounts(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Serve(listener, issuer.Handler()).Stop)
	document, err := stack.DemoIssuers(url, environment)
	if err != nil {
		t.Fatal(err)
	}
	d, err := stack.Provision(t.Context(), stack.AWS(endpoint), environment, "https://mcp.example.com", document)
	if err != nil {
		t.Fatal(err)
	}
	return issuer, d
}

func (w *world) seed(t *testing.T, upstream string) {
	t.Helper()
	reference, err := broker.ParseReference("aws-sm:" + environment + "/raw")
	if err != nil {
		t.Fatal(err)
	}
	agent := stack.DemoIssuerName + ":shell"
	for _, err := range []error{
		w.PutSecret(t.Context(), environment+"/raw", w.canary),
		w.Registry.PutStore(t.Context(), broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active}),
		w.Registry.PutServer(t.Context(), broker.Server{Environment: environment, Name: "raw", State: broker.Active, Owner: "platform", URL: upstream,
			Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}),
		w.DB.PutAgent(t.Context(), broker.Agent{Environment: environment, ID: agent, State: broker.Active, Team: "platform", Ceiling: broker.Critical}),
		w.Registry.Bind(t.Context(), broker.Binding{Environment: environment, Server: "raw", Name: "staff-raw", State: broker.Active, Actor: broker.Actor{Group: "staff"},
			Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static, Owner: "platform",
			Fields: []broker.Field{{Name: "token", Reference: reference}}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// settings is the function's environment, as template.yaml sets it.
func (w *world) settings() []string {
	c := w.Config
	return []string{
		config.Environment + "=" + environment, config.PublicURL + "=" + c.PublicURL, config.Issuers + "=" + string(c.Issuers),
		config.CatalogueTable + "=" + c.Tables.Catalogue, config.RevocationsTable + "=" + c.Tables.Revocations,
		config.GrantsTable + "=" + c.Tables.Grants, config.TransientTable + "=" + c.Tables.Transient, config.AuditTable + "=" + c.Tables.Audit,
		config.AuditIndexTable + "=" + c.Tables.AuditIndex, config.Revocation + "=bindery-" + environment + "-revocation",
		config.ValuesKey + "=" + c.ValuesKey, config.Local + "=true", config.CallTimeout + "=20s",
		"AWS_ENDPOINT_URL=" + *w.AWS.BaseEndpoint, "AWS_REGION=" + stack.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"TMPDIR=" + w.dir, "GOTRACEBACK=crash",
	}
}

func (w *world) start(t *testing.T, function string) *runtimeapi.Function {
	t.Helper()
	f, err := runtimeapi.Start(t.Context(), w.binary, w.as(t, function, w.settings()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Stop() })
	return f
}

// event is a call of the tool, as API Gateway sends it.
func (w *world) event(t *testing.T, account, body string) []byte {
	t.Helper()
	token, err := w.issuer.Token(account)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(events.APIGatewayProxyRequest{HTTPMethod: http.MethodPost, Path: "/mcp/" + environment + "/raw", Body: body,
		MultiValueHeaders: map[string][]string{"Host": {"mcp.example.com"}, "Authorization": {"Bearer " + token}, "Content-Type": {"application/json"},
			"Accept": {"application/json, text/event-stream"}, "MCP-Protocol-Version": {"2025-11-25"}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
