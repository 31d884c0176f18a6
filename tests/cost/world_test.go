//go:build e2e && !nojava

// Package cost measures what one call costs: each way of obtaining a credential
// is called through the real handler, with tables on AWS's own DynamoDB Local,
// which says what capacity each request consumed. infra/cost makes dollars of it.
package cost

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/cost"
	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/awsclient"
	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/lambdahttp"
	"bindery/shared/telemetry"
	"bindery/shared/wire"
)

const (
	environment = "prod"
	agent       = stack.DemoIssuerName + ":shell"
	publicURL   = "https://mcp.example.com"
)

// world is one deployment: tables on DynamoDB Local, key and secrets at moto,
// and around it the company's issuer. What the handler asks of AWS is metered,
// what the test asks is not.
type world struct {
	*stack.Deployment
	t         *testing.T
	meter     *meter
	call      func(context.Context, events.APIGatewayProxyRequest) (*events.APIGatewayProxyStreamingResponse, error)
	log       *transcript
	ledger    *dynamo.DB // metered, as the ledger's is
	issuer    string
	token     string   // alice's
	people    []string // twenty others' tokens
	principal string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, meter: &meter{requests: map[string]int{}}, log: &transcript{}}
	database, err := parts.DynamoDBLocal(t.Context(), progress)
	must(t, err)
	t.Cleanup(database.Stop)
	moto, err := parts.Moto(t.Context(), progress)
	must(t, err)
	t.Cleanup(moto.Stop)
	w.provision(database.URL, moto.URL)
	w.principal = broker.PrincipalID(w.issuer, "user-"+stack.Alice)
	for _, err := range []error{
		w.Registry.PutStore(t.Context(), broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active}),
		w.Registry.PutStore(t.Context(), broker.Store{Environment: environment, Name: "sealed", Kind: "sealed", Paths: broker.Scope{"*"}, State: broker.Active}),
		w.DB.PutAgent(t.Context(), broker.Agent{Environment: environment, ID: agent, State: broker.Active, Team: "platform", Ceiling: broker.Critical}),
	} {
		must(t, err)
	}
	w.Registry.Providers = w.DB
	through := *w.Deployment
	through.AWS = w.meter.on(w.AWS)
	log := slog.New(telemetry.New(slog.NewJSONHandler(w.log, nil), environment))
	proxy, err := through.Handler(log)
	must(t, err)
	w.call = lambdahttp.StreamHandler(proxy, log)
	w.ledger = dynamo.New(dynamodb.NewFromConfig(through.AWS, dynamo.Configure), wire.TableNames(w.Config.Tables), time.Now)
	return w
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "  "+format+"\n", args...) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// provision makes tables and key, and an issuer that also issues tokens for
// upstreams.
func (w *world) provision(tables, moto string) {
	listener, err := stack.Listen(0)
	must(w.t, err)
	w.issuer = "http://" + listener.Addr().String()
	accounts := stack.DemoAccounts()
	for i := range cost.Twenty {
		one := maps.Clone(accounts[stack.Alice])
		one["sub"] = fmt.Sprintf("user-%04d", i)
		accounts[fmt.Sprint(i)] = one
	}
	issuer, err := idp.New(w.issuer, "Log in", "bindery", accounts, 12*time.Hour)
	must(w.t, err)
	for i := range cost.Twenty {
		token, err := issuer.Token(fmt.Sprint(i))
		must(w.t, err)
		w.people = append(w.people, token)
	}
	w.t.Cleanup(stack.Serve(listener, issuing(issuer.Handler())).Stop)
	w.token, err = issuer.Token(stack.Alice)
	must(w.t, err)
	document, err := stack.DemoIssuers(w.issuer, environment)
	must(w.t, err)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": moto, "AWS_ENDPOINT_URL_DYNAMODB": tables, "AWS_REGION": stack.Region} {
		w.t.Setenv(name, value)
	}
	aws, err := awsconfig.LoadDefaultConfig(w.t.Context(), awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
	must(w.t, err)
	aws.HTTPClient = awsclient.Whole(aws.HTTPClient)
	w.Deployment, err = stack.Provision(w.t.Context(), aws, environment, publicURL, document)
	must(w.t, err)
}

// issuing answers for tokens of upstreams, and leaves the rest to the issuer.
func issuing(rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/token" || r.PostFormValue("grant_type") == "" {
			rest.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":3600,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`,
			stack.RandomSecret("made-up-access-"), stack.RandomSecret("made-up-refresh-"))
	})
}

// serve gives the address of a handler on loopback.
func (w *world) serve(h http.Handler) (url string) {
	w.t.Helper()
	listener, err := stack.Listen(0)
	must(w.t, err)
	served := stack.Serve(listener, h)
	w.t.Cleanup(served.Stop)
	return served.URL
}

// transcript is what was logged.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

// take gives the lines since the last take, and how many bytes they have.
func (s *transcript) take() (text string, lines int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text = s.all.String()
	s.all.Reset()
	return text, strings.Count(text, "\n")
}
