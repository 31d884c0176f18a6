//go:build e2e && !nojava

package race

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/awsclient"
	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

const (
	environment = "race"
	server      = "files"
	providerRow = "acme"
	clientID    = "bindery"
	agent       = stack.DemoIssuerName + ":shell"
	answered    = "made-up-result"
	publicURL   = "https://mcp.example.com"
	call        = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"anything","arguments":{}}}`
)

// world is one deployment: tables on DynamoDB Local, key and client secret on
// moto, and around it the company's issuer, the provider and the upstream.
type world struct {
	*stack.Deployment
	tb       testing.TB
	provider *provider
	script   *script
	keys     *faultproxy.Proxy // before moto
	tables   string            // DynamoDB Local
	rows     *dynamodb.Client  // straight to it
	binary   string
	grant    broker.GrantKey
	event    []byte
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, script: &script{}, binary: filepath.Join(tb.TempDir(), "bootstrap")}
	runtimeapi.Build(tb, w.binary, []string{"proxy"})
	database, err := parts.DynamoDBLocal(tb.Context(), progress)
	w.must(err)
	tb.Cleanup(database.Stop)
	moto, err := parts.Moto(tb.Context(), progress)
	w.must(err)
	tb.Cleanup(moto.Stop)
	w.tables, w.keys = database.URL, faultproxy.New(tb, moto.URL)
	w.keys.Inject(faultproxy.Rule{Operations: []string{"GenerateDataKey"}, Times: -1, Effect: w.script.sealing()})
	w.provider = newProvider(rest)
	w.provider.before = func() bool { return w.script.reach(asked) }
	w.provider.after = func() bool { return w.script.reach(committed) }
	issuer := w.provision(moto.URL)
	w.seed(w.serve(w.provider), w.serve(http.HandlerFunc(w.upstream)))
	token, err := issuer.Token(stack.Alice)
	w.must(err)
	w.event, err = json.Marshal(events.APIGatewayProxyRequest{HTTPMethod: http.MethodPost, Path: "/mcp/" + environment + "/" + server, Body: call,
		MultiValueHeaders: map[string][]string{"Host": {"mcp.example.com"}, "Authorization": {"Bearer " + token}, "Content-Type": {"application/json"},
			"Accept": {"application/json, text/event-stream"}, "MCP-Protocol-Version": {"2025-06-18"}}})
	w.must(err)
	return w
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "  "+format+"\n", args...) }

func (w *world) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) serve(h http.Handler) string {
	listener, err := stack.Listen(0)
	w.must(err)
	served := stack.Serve(listener, h)
	w.tb.Cleanup(served.Stop)
	return served.URL
}

// provision makes tables and key, and an issuer whose tokens outlive any race.
func (w *world) provision(moto string) *idp.Issuer {
	listener, err := stack.Listen(0)
	w.must(err)
	url := "http://" + listener.Addr().String()
	issuer, err := idp.New(url, "Log in", "bindery", stack.DemoAccounts(), 12*time.Hour)
	w.must(err)
	w.tb.Cleanup(stack.Serve(listener, issuer.Handler()).Stop)
	document, err := stack.DemoIssuers(url, environment)
	w.must(err)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": moto, "AWS_ENDPOINT_URL_DYNAMODB": w.tables, "AWS_REGION": stack.Region} {
		w.tb.Setenv(name, value)
	}
	aws, err := awsconfig.LoadDefaultConfig(w.tb.Context(), awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	w.must(err)
	aws.HTTPClient = awsclient.Whole(aws.HTTPClient)
	w.Deployment, err = stack.Provision(w.tb.Context(), aws, environment, publicURL, document)
	w.must(err)
	w.rows = dynamodb.NewFromConfig(aws)
	principal := broker.PrincipalID(url, "user-"+stack.Alice)
	w.grant = broker.GrantKey{Environment: environment, Principal: principal, Server: server}
	return issuer
}

// seed registers the provider with Bindery's secret there, and a card by which
// each person is themselves at the server.
func (w *world) seed(provider, upstream string) {
	ctx := w.tb.Context()
	w.Registry.Providers = w.DB
	reference, err := broker.ParseReference("aws-sm:" + environment + "/client")
	w.must(err)
	w.must(w.PutSecret(ctx, environment+"/client", w.provider.secret))
	w.must(w.Registry.PutStore(ctx, broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active}))
	w.must(w.DB.PutProvider(ctx, broker.Provider{Environment: environment, Name: providerRow, State: broker.Active,
		Endpoints:    broker.Endpoints{Authorization: provider + "/authorize", Token: provider + "/token"},
		Registration: broker.Preregistered, ClientID: clientID, ClientSecret: reference, ClientAuth: broker.ClientSecretBasic}))
	w.must(w.Registry.PutServer(ctx, broker.Server{Environment: environment, Name: server, State: broker.Active, Owner: "platform", URL: upstream,
		Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	w.must(w.DB.PutAgent(ctx, broker.Agent{Environment: environment, ID: agent, State: broker.Active, Team: "platform", Ceiling: broker.Critical}))
	w.must(w.Registry.Bind(ctx, broker.Binding{Environment: environment, Server: server, Name: "own", State: broker.Active, Actor: broker.Actor{Group: "staff"},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.AuthorizationCode, Provider: providerRow, Scopes: []string{"files.read"}, Owner: "platform"}))
	w.grant.Origin, err = broker.OriginDigest(upstream)
	w.must(err)
}

// upstream answers who shows a token of the living family.
func (w *world) upstream(rw http.ResponseWriter, r *http.Request) {
	if !w.provider.good(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(rw, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":%q}]}}`, answered)
}

// settings is the function's environment, as template.yaml sets it, for one of
// the processes.
func (w *world) settings(tables string) []string {
	c := w.Config
	return []string{
		config.Environment + "=" + environment, config.PublicURL + "=" + c.PublicURL, config.Issuers + "=" + string(c.Issuers),
		config.CatalogueTable + "=" + c.Tables.Catalogue, config.RevocationsTable + "=" + c.Tables.Revocations,
		config.GrantsTable + "=" + c.Tables.Grants, config.TransientTable + "=" + c.Tables.Transient, config.AuditTable + "=" + c.Tables.Audit,
		config.AuditIndexTable + "=" + c.Tables.AuditIndex, config.ValuesKey + "=" + c.ValuesKey, config.Local + "=true",
		"AWS_ENDPOINT_URL=" + w.keys.URL, "AWS_ENDPOINT_URL_DYNAMODB=" + tables, "AWS_REGION=" + stack.Region,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "GOMAXPROCS=1", // as little of a processor as Lambda gives
	}
}
