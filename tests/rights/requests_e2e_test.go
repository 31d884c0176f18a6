//go:build e2e

package rights

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	authorizer "bindery/functions/authorizer/handler"
	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/enforce"
)

// world is a deployment at an endpoint, and its functions behind their roles.
type world struct {
	*stack.Deployment
	t         *testing.T
	issuer    *idp.Issuer
	issuerURL string
	functions *stack.Deployment
	rights    *enforce.Proxy
	tally     enforce.Tally
	deployed  enforce.Deployment
	log       *slog.Logger
	url       string // of the upstream, which is its own provider
	origin    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	moto, err := parts.Moto(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(moto.Stop)
	w := &world{t: t, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	listener, err := stack.Listen(0)
	must(t, err)
	url := "http://" + listener.Addr().String()
	w.issuerURL = url
	w.issuer, err = idp.New(url, "Log in", "bindery", stack.DemoAccounts(), time.Hour)
	must(t, err)
	t.Cleanup(stack.Serve(listener, w.issuer.Handler()).Stop)
	document, err := stack.DemoIssuers(url, environment)
	must(t, err)
	w.Deployment, err = stack.Provision(t.Context(), stack.AWS(moto.URL), environment, "https://mcp.example.com", document)
	must(t, err)
	w.Config.Rotation = "bindery-" + environment + "-rotation"
	// What is sealed before this is under a key that is to be a former one.
	former := w.Config.ValuesKey
	w.deployed = enforce.Deployment{Environment: environment, ValuesKey: former}
	w.rights = enforce.New(t, moto.URL, w.deployed, &w.tally)
	w.functions = w.behind(t, w.rights)
	return w
}

// behind are the functions, whose requests go by way of a proxy.
func (w *world) behind(t *testing.T, rights *enforce.Proxy) *stack.Deployment {
	t.Helper()
	through := *w.Deployment
	through.AWS = stack.AWS(rights.URL)
	return &through
}

// replaceKey gives the deployment another key; the one before becomes a former one.
func (w *world) replaceKey() {
	w.t.Helper()
	made, err := kms.NewFromConfig(w.AWS).CreateKey(w.t.Context(), &kms.CreateKeyInput{})
	must(w.t, err)
	former := w.Config.ValuesKey
	w.Config.FormerKeys, w.Config.ValuesKey = []string{former}, *made.KeyMetadata.Arn
	d := w.deployed
	d.ValuesKey, d.FormerKeys = w.Config.ValuesKey, w.Config.FormerKeys
	w.Administer()
	rights := enforce.New(w.t, *w.AWS.BaseEndpoint, d, &w.tally)
	rights.Hold(w.t)
	w.functions = w.behind(w.t, rights)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is an event as AWS sends it.
func sample(t *testing.T, name string) json.RawMessage {
	t.Helper()
	text, err := os.ReadFile(root + "events/" + name + ".json")
	must(t, err)
	return text
}

func (w *world) rotation(event string) {
	w.t.Helper()
	answer, err := w.functions.Rotation(w.log).Handle(w.t.Context(), json.RawMessage(event))
	must(w.t, err)
	w.t.Logf("rotation answered %+v", answer)
}

func (w *world) cleanup() {
	w.t.Helper()
	answer, err := w.functions.Cleanup(w.log).Handle(w.t.Context(), sample(w.t, "cleanup/continue"))
	must(w.t, err)
	w.t.Logf("cleanup answered %+v", answer)
}

// ask is a request at the admin API.
func (w *world) ask(account, method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	token, err := w.issuer.Token(account)
	must(w.t, err)
	h, err := w.functions.Admin(w.log)
	must(w.t, err)
	r := httptest.NewRequestWithContext(w.t.Context(), method, "https://mcp.example.com/admin/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	text, err := io.ReadAll(answer.Body)
	must(w.t, err)
	w.t.Logf("%s %s answered %d", method, path, answer.Code)
	return answer.Code, string(text)
}

// unasked are rights that nothing here asks for, with the reason. The first four are
// Lambda's, which acts in the name of a function.
var unasked = map[string]string{
	" ReadStream ": "Lambda reads the stream", " NameFailures ": "Lambda sends to the queue", " WriteLog ": "Lambda writes what a function prints",
	" WriteTrace ":        "Lambda sends the traces",
	" ReadRegistrations ": "of providers where Bindery registered itself; the provider here knows it already",
}

// TestTheFunctionsNeedTheirRights: what they ask for, their roles allow, and what
// their roles allow, they ask for. The proxy, the callback and most of the admin
// function are held to the same by tests/e2e, in whose calls they are.
func TestTheFunctionsNeedTheirRights(t *testing.T) {
	w := newWorld(t)
	w.rights.Hold(t)
	w.fill()
	w.authorize()
	w.tell()
	w.administer()
	w.rotate()
	w.revoke()
	unneeded, err := w.tally.Unneeded(w.deployed, "authorizer", "cleanup", "ledger", "outbox", "revocation", "rotation")
	must(t, err)
	for _, right := range unneeded {
		excused := false
		for part := range unasked {
			excused = excused || strings.Contains(right, part)
		}
		if !excused {
			t.Errorf("nothing needed the right %s", right)
		}
	}
	for _, u := range administered {
		if !w.tally.Needed(u) {
			t.Errorf("nothing needed %v, which no call of tests/e2e needs either", u)
		}
	}
}

// administered are rights of the admin function that are asked for here alone.
var administered = []enforce.Use{
	{Function: "admin", Statement: "ReadCases", Action: "dynamodb:Query"},
	{Function: "admin", Statement: "OrderRotations", Action: "dynamodb:Query"},
	{Function: "admin", Statement: "OrderRotations", Action: "dynamodb:PutItem"},
	{Function: "admin", Statement: "OrderRotations", Action: "dynamodb:GetItem"},
	{Function: "admin", Statement: "WakeRotation", Action: "lambda:InvokeFunction"},
	{Function: "admin", Statement: "UseGrants", Action: "dynamodb:Query"},
	{Function: "admin", Statement: "UseGrants", Action: "dynamodb:UpdateItem"},
	{Function: "admin", Statement: "MoveBindings", Action: "dynamodb:DeleteItem"},
	{Function: "admin", Statement: "FindSessions", Action: "dynamodb:Query"},
}

// authorize has a token judged, twice by new processes: the second finds the
// issuer's keys where the first has put them.
func (w *world) authorize() {
	w.t.Helper()
	token, err := w.issuer.Token(stack.Alice)
	must(w.t, err)
	for range 2 {
		a := w.functions.AWS.Copy()
		a.Credentials = credentials.NewStaticCredentialsProvider("authorizer", "local", "")
		h, err := authorizer.New(w.functions.Config, a, w.log)
		must(w.t, err)
		_, err = h.Authorize(w.t.Context(), events.APIGatewayCustomAuthorizerRequestTypeRequest{Path: "/mcp/" + environment + "/github", HTTPMethod: http.MethodPost,
			MethodArn: "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live/POST/mcp/prod/github", MultiValueHeaders: map[string][]string{"Authorization": {"Bearer " + token}}})
		must(w.t, err)
	}
}

// tell hands the stream of the audit table to its two readers, has the index
// filled anew, and old intents looked for.
func (w *world) tell() {
	w.t.Helper()
	at := time.Now().UTC().Add(-2 * time.Hour) // an intent that nothing came of
	must(w.t, w.DB.Append(w.t.Context(), broker.Record{Schema: broker.RecordSchema, Receipt: broker.FirstReceipt(at) + "7000000000000000", Phase: broker.Intent, Nonce: "n", At: at,
		Environment: environment, Principal: person("alice"), Kind: broker.User, Action: broker.CallTool, Server: "github", Method: "tools/call"}))
	// The records of the sample come last: they are old, and the look would go on from them.
	for _, event := range []string{"ledger/rebuild", "ledger/look", "ledger/records"} {
		_, err := w.functions.Ledger(w.log).Handle(w.t.Context(), sample(w.t, event))
		must(w.t, err)
	}
	_, err := w.functions.Outbox(w.log).Handle(w.t.Context(), sample(w.t, "outbox/records"))
	must(w.t, err)
}
