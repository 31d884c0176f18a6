//go:build e2e

// Package compiled runs the binary that Lambda runs, against the Runtime API
// and an AWS-compatible endpoint, and looks at everything that comes out of it.
package compiled

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/idp"
	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
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
	build := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags=-s -w", "-o", w.binary, "bindery/functions/proxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
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
	issuer, err := idp.New(url, "bindery", stack.DemoAccounts(), time.Hour)
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
		w.Store.PutAgent(t.Context(), broker.Agent{Environment: environment, ID: agent, State: broker.Active, Team: "platform", Ceiling: broker.Critical}),
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
		config.ValuesKey + "=" + c.ValuesKey, config.Local + "=true", config.CallTimeout + "=20s",
		"AWS_ENDPOINT_URL=" + *w.AWS.BaseEndpoint, "AWS_REGION=" + stack.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"TMPDIR=" + w.dir, "GOTRACEBACK=crash",
	}
}

func (w *world) start(t *testing.T) *runtimeapi.Function {
	t.Helper()
	f, err := runtimeapi.Start(t.Context(), w.binary, w.settings())
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
		MultiValueHeaders: map[string][]string{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"},
			"Accept": {"application/json, text/event-stream"}, "MCP-Protocol-Version": {"2025-11-25"}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"anything","arguments":{}}}`

func TestFirstEventLeavesTheFunctionWhileTheUpstreamIsStillWriting(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n\n")
		rw.(http.Flusher).Flush()
		<-release
		fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"echo\":%q}}\n\n", r.Header.Get("Authorization"))
	}))
	f := w.start(t)
	response, err := f.Invoke(t.Context(), w.event(t, stack.Alice, call))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(response.Body)
	first, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(first, "notifications/progress") {
		t.Fatalf("first event %q, %v", first, err)
	}
	close(release) // only now may the upstream go on
	rest, err := io.ReadAll(lines)
	if err != nil || !bytes.Contains(rest, []byte("[masked:staff-raw]")) {
		t.Errorf("rest %q, %v", rest, err)
	}
	if response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("Bindery-Receipt") == "" {
		t.Errorf("headers %v", response.Header)
	}
	records, err := w.Audit(t.Context(), response.Header.Get("Bindery-Receipt"))
	if err != nil || len(records) != 2 || records[1].Masked != 1 {
		t.Errorf("records %+v, %v", records, err)
	}
}

// TestNothingThatComesOutHoldsTheCredential makes good and bad calls, then
// scans all output, the function's folders and every table for the canary.
func TestNothingThatComesOutHoldsTheCredential(t *testing.T) {
	var canary string
	behaviours := []func(http.ResponseWriter, *http.Request){
		func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("Retry-After", canary)
			fmt.Fprintf(rw, `{"jsonrpc":"2.0","id":1,"result":{"all":%q}}`, fmt.Sprint(r.Header))
		},
		func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", "http://127.0.0.1:1/"+canary)
			rw.WriteHeader(http.StatusFound)
		},
		func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no: "+canary, http.StatusUnauthorized) },
		func(rw http.ResponseWriter, _ *http.Request) {
			http.Error(rw, "no: "+canary, http.StatusInternalServerError)
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(rw http.ResponseWriter, _ *http.Request) {
			connection, _, err := rw.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(connection, "HTTP/1.1 %s\r\nX: %s\r\n\r\n", canary, canary)
				_ = connection.Close()
			}
		},
	}
	turn := 0
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		behaviours[turn](rw, r)
	}))
	canary = w.canary
	f := w.start(t)
	var answers bytes.Buffer
	for turn = range behaviours {
		response, err := f.Invoke(t.Context(), w.event(t, stack.Alice, call))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Header.Write(&answers)
		if _, err := io.Copy(&answers, response.Body); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range [][]byte{w.event(t, "reporter", call), []byte(`{"httpMethod":"POST","path":"/mcp/` + environment + `/raw","body":"` + canary + `"}`), []byte(`"x"`)} {
		if response, err := f.Invoke(t.Context(), bad); err == nil {
			_, _ = io.Copy(&answers, response.Body)
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", f.PID()))
	if err != nil || !slices.Equal(coreLimit(string(limits)), []string{"0", "0"}) {
		t.Errorf("core dumps are not off: %v, %v", coreLimit(string(limits)), err)
	}
	f.Stop()
	w.scan(t, f, answers.Bytes())
}

// coreLimit gives soft and hard limit of core files.
func coreLimit(limits string) []string {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			return strings.Fields(rest)[:2]
		}
	}
	return nil
}

func (w *world) scan(t *testing.T, f *runtimeapi.Function, answers []byte) {
	t.Helper()
	if err := os.Remove(w.binary); err != nil {
		t.Fatal(err)
	}
	files, err := leak.Folder(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	tables := w.Config.Tables
	rows, err := leak.Tables(t.Context(), dynamodb.NewFromConfig(w.AWS), tables.Catalogue, tables.Revocations, tables.Grants, tables.Transient, tables.Audit)
	if err != nil || len(rows) == 0 {
		t.Fatal("no rows", err)
	}
	if len(f.Stdout()) == 0 || !bytes.Contains(rows, []byte("outcome")) {
		t.Error("nothing to scan: the test would prove nothing")
	}
	for name, data := range map[string][]byte{"answers": answers, "stdout": f.Stdout(), "stderr": f.Stderr(), "files": files, "tables": rows} {
		if found := leak.Find(data, w.canary); found != nil {
			t.Errorf("the credential is in %s as %v", name, found)
		}
	}
}

func TestAMissingSettingEndsTheStartWithOneClearLine(t *testing.T) {
	w := newWorld(t, http.NotFoundHandler())
	bad := slices.DeleteFunc(w.settings(), func(s string) bool { return strings.HasPrefix(s, config.AuditTable) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	f, err := runtimeapi.Start(ctx, w.binary, bad)
	if err == nil {
		t.Fatal("started")
	}
	if out := string(f.Stdout()); !strings.Contains(out, config.AuditTable+" is not set") {
		t.Errorf("said %q", out)
	}
}
