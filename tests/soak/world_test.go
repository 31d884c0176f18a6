//go:build e2e && !nojava

package soak

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/awsclient"
	"bindery/shared/broker"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/secret"
)

const (
	environment = "soak"
	agent       = stack.DemoIssuerName + ":shell"
	publicURL   = "https://mcp.example.com"
	forever     = 12 * time.Hour // longer than any run
)

// The servers, by where their credential is: in Secrets Manager, sealed in a
// table, or in each person's grant.
const (
	managed = "managed"
	sealed  = "sealed"
	own     = "own"
)

func servers() []string { return []string{managed, sealed, own} }

// world is one deployment: tables on DynamoDB Local, key and secrets at moto,
// the company's issuer, and the upstream.
type world struct {
	*stack.Deployment
	tb       testing.TB
	moto     string
	tables   string // DynamoDB Local
	rows     *dynamodb.Client
	dir      string // of the compiled functions
	issuer   *idp.Issuer
	issuerAt string
	upstream *upstream
	canaries []string // what no answer, log, row or error may show
}

// newWorld serves so many people, and compiles the functions.
func newWorld(tb testing.TB, people int, functions ...string) *world {
	tb.Helper()
	w := &world{tb: tb, dir: tb.TempDir()}
	progress("compiling the functions")
	runtimeapi.Build(tb, w.dir, functions)
	database, err := parts.DynamoDBLocal(tb.Context(), progress)
	must(tb, err)
	tb.Cleanup(database.Stop)
	moto, err := parts.Moto(tb.Context(), progress)
	must(tb, err)
	tb.Cleanup(moto.Stop)
	w.tables, w.moto = database.URL, moto.URL
	w.provision(people)
	w.register(people)
	return w
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "  "+format+"\n", args...) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func (w *world) binary(function string) string { return filepath.Join(w.dir, function) }

func person(n int) string { return fmt.Sprintf("person-%02d", n) }

// provision makes tables and key, and an issuer whose tokens outlive any run.
func (w *world) provision(people int) {
	w.tb.Helper()
	accounts := stack.DemoAccounts()
	for n := range people {
		accounts[person(n)] = map[string]any{"sub": "user-" + person(n), "groups": []string{"staff"}, "client_id": "shell"}
	}
	listener, err := stack.Listen(0)
	must(w.tb, err)
	w.issuerAt = "http://" + listener.Addr().String()
	w.issuer, err = idp.New(w.issuerAt, "Log in", "bindery", accounts, forever)
	must(w.tb, err)
	w.tb.Cleanup(stack.Serve(listener, w.issuer.Handler()).Stop)
	document, err := stack.DemoIssuers(w.issuerAt, environment)
	must(w.tb, err)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": w.moto, "AWS_ENDPOINT_URL_DYNAMODB": w.tables, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": w.tables, "AWS_REGION": stack.Region} {
		w.tb.Setenv(name, value)
	}
	aws, err := awsconfig.LoadDefaultConfig(w.tb.Context(), awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	must(w.tb, err)
	aws.HTTPClient = awsclient.Whole(aws.HTTPClient)
	w.Deployment, err = stack.Provision(w.tb.Context(), aws, environment, publicURL, document)
	must(w.tb, err)
	w.rows = dynamodb.NewFromConfig(aws)
}

// canary is a value that must not be seen.
func (w *world) canary(what string) string {
	text := "made-up-" + what + "-" + rand.Text()
	w.canaries = append(w.canaries, text)
	return text
}

// token of an account. Its signature must not be seen.
func (w *world) token(account string) string {
	w.tb.Helper()
	token, err := w.issuer.Token(account)
	must(w.tb, err)
	w.canaries = append(w.canaries, token[strings.LastIndexByte(token, '.')+1:])
	return token
}

// register fills the catalogue: three servers at one upstream each, and a card
// for the staff at each.
func (w *world) register(people int) {
	w.tb.Helper()
	ctx := w.tb.Context()
	w.upstream = newUpstream()
	w.Registry.Providers = w.DB
	for _, s := range []broker.Store{{Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}}, {Name: "sealed", Kind: "sealed", Paths: broker.Scope{"*"}}} {
		s.Environment, s.State = environment, broker.Active
		must(w.tb, w.Registry.PutStore(ctx, s))
	}
	must(w.tb, w.DB.PutAgent(ctx, broker.Agent{Environment: environment, ID: agent, State: broker.Active, Team: "platform", Ceiling: broker.Critical}))
	urls := map[string]string{}
	for _, server := range servers() {
		listener, err := stack.Listen(0)
		must(w.tb, err)
		served := stack.Serve(listener, w.upstream)
		w.tb.Cleanup(served.Stop)
		urls[server] = served.URL
		must(w.tb, w.Registry.PutServer(ctx, broker.Server{Environment: environment, Name: server, State: broker.Active, Owner: "platform", URL: served.URL,
			Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	}
	key, text := w.canary("secret"), w.canary("sealed-value")
	must(w.tb, w.PutSecret(ctx, environment+"/"+managed, key))
	origin, err := broker.OriginDigest(urls[sealed])
	must(w.tb, err)
	_, err = w.Sealed.Put(ctx, environment, sealed, origin, secret.New(text))
	must(w.tb, err)
	w.upstream.accept(key, text)
	w.static(managed, "aws-sm:"+environment+"/"+managed)
	w.static(sealed, "sealed:"+sealed)
	w.personal(urls[own])
	for n := range people {
		w.consent(person(n), urls[own])
	}
}

func card(server string) broker.Binding {
	return broker.Binding{Environment: environment, Server: server, Name: "staff", State: broker.Active, Owner: "platform",
		Actor: broker.Actor{Group: "staff"}, Allow: broker.Allow{Tools: []string{"*"}}}
}

func (w *world) static(server, text string) {
	w.tb.Helper()
	reference, err := broker.ParseReference(text)
	must(w.tb, err)
	b := card(server)
	b.Mode, b.Source, b.Fields = broker.ServiceAccount, broker.Static, []broker.Field{{Name: "token", Reference: reference}}
	must(w.tb, w.Registry.Bind(w.tb.Context(), b))
}

// scopes of the grants.
func scopes() []string { return []string{"made-up"} }

func (w *world) personal(url string) {
	w.tb.Helper()
	must(w.tb, w.DB.PutProvider(w.tb.Context(), broker.Provider{Environment: environment, Name: "acme", State: broker.Active, Registration: broker.Preregistered,
		Endpoints: broker.Endpoints{Authorization: url + "/authorize", Token: url + "/token"}, ClientID: "bindery", ClientAuth: broker.ClientNone}))
	b := card(own)
	b.Mode, b.Source, b.Provider, b.Scopes = broker.UserDelegated, broker.AuthorizationCode, "acme", scopes()
	must(w.tb, w.Registry.Bind(w.tb.Context(), b))
}

// consent gives a person a grant that lasts.
func (w *world) consent(who, url string) {
	w.tb.Helper()
	origin, err := broker.OriginDigest(url)
	must(w.tb, err)
	ctx, now := w.tb.Context(), time.Now().UTC()
	key := broker.GrantKey{Environment: environment, Principal: broker.PrincipalID(w.issuerAt, "user-"+who), Server: own, Origin: origin}
	token := w.canary("access")
	w.upstream.accept(token)
	text, err := credential.SealTokens(ctx, w.Sealer, key, credential.TokenSet{Access: secret.New(token), Expires: now.Add(forever)}, scopes())
	must(w.tb, err)
	must(w.tb, w.DB.BeginGrant(ctx, broker.Grant{GrantKey: key, State: broker.Active, Provider: "acme", Scopes: scopes(), Consented: now,
		Sealed: text.Sealed, Expires: text.Expires}, broker.Consent{Agent: agent, At: now}))
}

// settings is the environment of the functions, as template.yaml sets it.
func (w *world) settings(moto, tables string) []string {
	c := w.Config
	return []string{
		config.Environment + "=" + environment, config.PublicURL + "=" + c.PublicURL, config.Issuers + "=" + string(c.Issuers),
		config.CatalogueTable + "=" + c.Tables.Catalogue, config.RevocationsTable + "=" + c.Tables.Revocations,
		config.GrantsTable + "=" + c.Tables.Grants, config.TransientTable + "=" + c.Tables.Transient, config.AuditTable + "=" + c.Tables.Audit,
		config.AuditIndexTable + "=" + c.Tables.AuditIndex, config.ValuesKey + "=" + c.ValuesKey, config.Local + "=true",
		config.UseLimits + "=principal:calls=1000000,streams=50",           // so that quotas are counted, and reached by nobody
		config.EventBus + "=" + c.EventBus, config.Revocation + "=made-up", // which nobody invokes here
		"AWS_ENDPOINT_URL=" + moto, "AWS_ENDPOINT_URL_DYNAMODB=" + tables, "AWS_REGION=" + stack.Region,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "GOMAXPROCS=1", // as little of a processor as Lambda gives
	}
}
