//go:build e2e

package compiled

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bindery/infra/local/stack"
	"bindery/shared/brokertest/apigateway"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

// front is a world behind API Gateway: the compiled functions, the template's
// routes and answers, and an authorization server.
type front struct {
	*world
	*login
	resource string // URL of the server
	asked    atomic.Int32
	mu       sync.Mutex
	got      []got // every answer that a client got
}

type got struct {
	method string
	status int
	header http.Header
}

// newFront puts API Gateway in front of the world, with or without authorizer.
func newFront(t *testing.T, authorizer string, upstream http.Handler) *front {
	t.Helper()
	f := &front{world: newWorld(t, upstream), login: newLogin(t)}
	listener, err := stack.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	f.Config.PublicURL, f.Config.Issuers = "http://"+listener.Addr().String(), f.document(t)
	f.resource = f.Config.PublicURL + "/mcp/" + environment + "/raw"
	asked := filepath.Join(f.dir, "authorizer")
	runtimeapi.Build(t, asked, []string{"authorizer"})
	g, err := apigateway.New(expand(t), map[string]string{"Authorizer": authorizer}, f.sandboxes(t, f.binary, f.as(t, "proxy", f.settings())),
		f.counted(f.sandboxes(t, asked, f.as(t, "authorizer", f.authorizerSettings()))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stack.Serve(listener, g).Stop)
	return f
}

func (f *front) sandboxes(t *testing.T, binary string, settings []string) *apigateway.Sandboxes {
	s := apigateway.NewSandboxes(func() (*runtimeapi.Function, error) { return runtimeapi.Start(t.Context(), binary, settings) })
	t.Cleanup(func() {
		for _, process := range s.Started() {
			process.Stop()
		}
	})
	return s
}

// authorizerSettings are those that template.yaml gives it, and the AWS SDK's.
func (f *front) authorizerSettings() []string {
	needed := map[string]bool{}
	for _, s := range config.Settings() {
		needed[s.Name] = s.For("authorizer")
	}
	return slices.DeleteFunc(f.settings(), func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return strings.HasPrefix(name, "BINDERY_") && !needed[name]
	})
}

// counted counts how often the authorizer is asked.
func (f *front) counted(asked apigateway.Function) apigateway.Function {
	return counter{asked, &f.asked}
}

type counter struct {
	apigateway.Function
	times *atomic.Int32
}

func (c counter) Invoke(ctx context.Context, event []byte) (*runtimeapi.Response, error) {
	c.times.Add(1)
	return c.Function.Invoke(ctx, event)
}

// expand gives the template as CloudFormation will run it.
func expand(t *testing.T) []byte {
	t.Helper()
	find := exec.Command("infra/tools/cfn/python")
	find.Dir = "../.."
	python, err := find.Output()
	if err != nil {
		t.Fatalf("finding a Python with the SAM translator: %v", err)
	}
	run := exec.Command(strings.TrimSpace(string(python)), "infra/tools/cfn/expand.py", "template.yaml", "Environment="+environment, "Issuers={}")
	run.Dir = "../.."
	text, err := run.Output()
	if err != nil {
		t.Fatalf("expanding the template: %v", err)
	}
	return text
}

// RoundTrip implements http.RoundTripper for clients whose answers are looked
// at afterwards.
func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && strings.HasPrefix(r.URL.String(), f.Config.PublicURL) {
		f.mu.Lock()
		f.got = append(f.got, got{r.Method, response.StatusCode, response.Header.Clone()})
		f.mu.Unlock()
	}
	return response, err
}

func (f *front) http() *http.Client { return &http.Client{Transport: f} }

// send makes a request as an MCP client does and gives the answer's head.
func (f *front) send(t *testing.T, method, url, token, body string, extra ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"}}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(extra); i += 2 {
		r.Header.Set(extra[i], extra[i+1])
	}
	response, err := f.http().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// post makes one call of the tool.
func (f *front) post(t *testing.T, url, token string) (*http.Response, string) {
	t.Helper()
	response := f.send(t, http.MethodPost, url, token, call)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}
