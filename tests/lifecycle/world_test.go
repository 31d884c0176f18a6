//go:build e2e && !nojava

package lifecycle

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

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
	environment = "lifecycle"
	agent       = stack.DemoIssuerName + ":shell"
	publicURL   = "https://mcp.example.com"
)

// world is one deployment: tables on DynamoDB Local, key and secrets at moto,
// and around it the company's issuer.
type world struct {
	*stack.Deployment
	tb        testing.TB
	moto      string
	tables    string // DynamoDB Local
	dir       string // of the compiled functions
	issuer    string
	token     string // alice's
	principal string
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, dir: tb.TempDir()}
	progress("compiling the functions")
	runtimeapi.Build(tb, w.dir, []string{"proxy", "revocation"})
	database, err := parts.DynamoDBLocal(tb.Context(), progress)
	must(tb, err)
	tb.Cleanup(database.Stop)
	moto, err := parts.Moto(tb.Context(), progress)
	must(tb, err)
	tb.Cleanup(moto.Stop)
	w.tables, w.moto = database.URL, moto.URL
	w.provision()
	w.principal = broker.PrincipalID(w.issuer, "user-"+stack.Alice)
	for _, err := range []error{
		w.Registry.PutStore(tb.Context(), broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active}),
		w.DB.PutAgent(tb.Context(), broker.Agent{Environment: environment, ID: agent, State: broker.Active, Team: "platform", Ceiling: broker.Critical}),
	} {
		must(tb, err)
	}
	return w
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "  "+format+"\n", args...) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// provision makes tables and key, and an issuer whose tokens outlive any run.
func (w *world) provision() {
	listener, err := stack.Listen(0)
	must(w.tb, err)
	w.issuer = "http://" + listener.Addr().String()
	issuer, err := idp.New(w.issuer, "Log in", "bindery", stack.DemoAccounts(), 12*time.Hour)
	must(w.tb, err)
	w.tb.Cleanup(stack.Serve(listener, issuer.Handler()).Stop)
	w.token, err = issuer.Token(stack.Alice)
	must(w.tb, err)
	document, err := stack.DemoIssuers(w.issuer, environment)
	must(w.tb, err)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": w.moto, "AWS_ENDPOINT_URL_DYNAMODB": w.tables, "AWS_REGION": stack.Region} {
		w.tb.Setenv(name, value)
	}
	aws, err := awsconfig.LoadDefaultConfig(w.tb.Context(), awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	must(w.tb, err)
	aws.HTTPClient = awsclient.Whole(aws.HTTPClient)
	w.Deployment, err = stack.Provision(w.tb.Context(), aws, environment, publicURL, document)
	must(w.tb, err)
}

// upstream starts a server and registers it: its credential travels as a bearer
// token.
func (w *world) upstream(name string, u *upstream) (url string) {
	w.tb.Helper()
	listener, err := stack.Listen(0)
	must(w.tb, err)
	served := stack.Serve(listener, u)
	w.tb.Cleanup(served.Stop)
	must(w.tb, w.Registry.PutServer(w.tb.Context(), broker.Server{Environment: environment, Name: name, State: broker.Active, Owner: "platform", URL: served.URL,
		Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	return served.URL
}

// card is a binding of the group staff for all tools of a server.
func card(server string) broker.Binding {
	return broker.Binding{Environment: environment, Server: server, Name: "staff-" + server, State: broker.Active, Owner: "platform",
		Actor: broker.Actor{Group: "staff"}, Allow: broker.Allow{Tools: []string{"*"}}}
}

// static binds a secret at moto.
func (w *world) static(server, name string, change func(*broker.Binding)) {
	w.tb.Helper()
	reference, err := broker.ParseReference("aws-sm:" + environment + "/" + name)
	must(w.tb, err)
	b := card(server)
	b.Mode, b.Source, b.Fields = broker.ServiceAccount, broker.Static, []broker.Field{{Name: "token", Reference: reference}}
	change(&b)
	must(w.tb, w.Registry.Bind(w.tb.Context(), b))
}

// personal gives alice a grant at a server, and says what its token is.
func (w *world) personal(server, url string) (token string) {
	w.tb.Helper()
	ctx, now, scopes := w.tb.Context(), time.Now().UTC(), []string{"made-up"}
	must(w.tb, w.DB.PutProvider(ctx, broker.Provider{Environment: environment, Name: "acme", State: broker.Active, Registration: broker.Preregistered,
		Endpoints: broker.Endpoints{Authorization: url + "/authorize", Token: url + "/token"}, ClientID: "bindery", ClientAuth: broker.ClientNone}))
	w.Registry.Providers = w.DB
	b := card(server)
	b.Mode, b.Source, b.Provider, b.Scopes = broker.UserDelegated, broker.AuthorizationCode, "acme", scopes
	must(w.tb, w.Registry.Bind(ctx, b))
	origin, err := broker.OriginDigest(url)
	must(w.tb, err)
	key := broker.GrantKey{Environment: environment, Principal: w.principal, Server: server, Origin: origin}
	token = "made-up-access-" + rand.Text()
	sealed, err := credential.SealTokens(ctx, w.Sealer, key, credential.TokenSet{Access: secret.New(token), Expires: now.Add(12 * time.Hour)}, scopes)
	must(w.tb, err)
	must(w.tb, w.DB.BeginGrant(ctx, broker.Grant{GrantKey: key, State: broker.Active, Provider: "acme", Scopes: scopes, Consented: now,
		Sealed: sealed.Sealed, Expires: sealed.Expires}, broker.Consent{Agent: agent, At: now}))
	return token
}

// start starts processes of a function.
func (w *world) start(function string, n int) []*runtimeapi.Function {
	w.tb.Helper()
	progress("starting %d processes of functions/%s", n, function)
	all := make([]*runtimeapi.Function, n)
	for i := range all {
		f, err := runtimeapi.Start(w.tb.Context(), filepath.Join(w.dir, function), w.settings())
		must(w.tb, err)
		w.tb.Cleanup(func() { f.Stop() })
		all[i] = f
	}
	return all
}

// settings is the environment of the functions, as template.yaml sets it.
func (w *world) settings() []string {
	c := w.Config
	return []string{
		config.Environment + "=" + environment, config.PublicURL + "=" + c.PublicURL, config.Issuers + "=" + string(c.Issuers),
		config.CatalogueTable + "=" + c.Tables.Catalogue, config.RevocationsTable + "=" + c.Tables.Revocations,
		config.GrantsTable + "=" + c.Tables.Grants, config.TransientTable + "=" + c.Tables.Transient, config.AuditTable + "=" + c.Tables.Audit,
		config.AuditIndexTable + "=" + c.Tables.AuditIndex, config.ValuesKey + "=" + c.ValuesKey, config.Local + "=true",
		"AWS_ENDPOINT_URL=" + w.moto, "AWS_ENDPOINT_URL_DYNAMODB=" + w.tables, "AWS_REGION=" + stack.Region,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "GOMAXPROCS=1", // as little of a processor as Lambda gives
	}
}
