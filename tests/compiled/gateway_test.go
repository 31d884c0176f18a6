//go:build e2e

package compiled

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/shared/broker"
)

// upstream is go-sdk's server with a tool called hello; the tool anything
// answers as a stream whose end waits for release.
func upstream(release <-chan struct{}) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "raw", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
	})
	sdk := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains(body, []byte(`"anything"`)) {
			r.Body = io.NopCloser(bytes.NewReader(body))
			sdk.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n")
		w.(http.Flusher).Flush()
		<-release
		fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n")
	})
}

// eras are versions that go-sdk's client is told to speak: the current one,
// and the last with sessions.
var eras = []string{"2026-07-28", "2025-11-25"}

func released() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// hello logs in with nothing but the server's address and calls a tool, in the
// era of a version.
func (f *front) hello(t *testing.T, version string) (scopes []string) {
	t.Helper()
	login, asked := f.login.client(t, http.DefaultClient)
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: f.resource, HTTPClient: f.http(), OAuthHandler: login}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "hello"})
	if err != nil || len(result.Content) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	return *asked
}

// TestLoginWithoutTheAuthorizer: API Gateway hides every challenge, and a client
// that tries the well-known address of the resource still finds the login.
func TestLoginWithoutTheAuthorizer(t *testing.T) {
	f := newFront(t, "none", upstream(released()))
	for _, version := range eras {
		if diff := cmp.Diff([]string{"mcp"}, f.hello(t, version)); diff != "" {
			t.Errorf("scopes asked for:\n%s", diff)
		}
	}
	response, _ := f.post(t, f.resource, "")
	if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") != "" || response.Header.Get("X-Amzn-Remapped-Www-Authenticate") == "" {
		t.Errorf("%d %v: the challenge is not hidden, so the test above proves nothing", response.StatusCode, response.Header)
	}
	if n := f.asked.Load(); n != 0 {
		t.Errorf("the authorizer was asked %d times", n)
	}
	f.hidesNothingElse(t)
}

// hidesNothingElse: of what clients got, API Gateway renamed the challenge alone.
func (f *front) hidesNothingElse(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]bool{}
	for _, answer := range f.got {
		all[fmt.Sprint(answer.method, " ", answer.status)] = true
		for name := range answer.header {
			all[name] = true
			if strings.HasPrefix(name, "X-Amzn-Remapped-") && name != "X-Amzn-Remapped-Www-Authenticate" {
				t.Errorf("%s is renamed", name)
			}
		}
	}
	for _, name := range []string{"Content-Type", "Cache-Control", "Mcp-Session-Id", "Bindery-Receipt", "GET 200", "DELETE 204"} {
		if !all[name] {
			t.Errorf("no client got %s", name)
		}
	}
}

func TestBehindTheAuthorizer(t *testing.T) {
	release := make(chan struct{})
	f := newFront(t, "request", upstream(release))
	t.Run("a stream streams", func(t *testing.T) { f.streams(t, release) })
	t.Run("login from the bare address", func(t *testing.T) {
		for _, version := range eras {
			if diff := cmp.Diff([]string{"mcp"}, f.hello(t, version)); diff != "" {
				t.Errorf("scopes asked for:\n%s", diff)
			}
		}
		f.hidesNothingElse(t)
	})
	t.Run("401 carries a challenge", f.unauthorized)
	t.Run("403 carries the whole challenge", f.insufficientScope)
	t.Run("an answer for one path serves no other", f.otherPath)
	t.Run("preflights and metadata need no token", f.withoutToken)
	t.Run("pages", f.pages)
	t.Run("what is allowed for five minutes is revoked at once", f.revoked)
}

// TestIssuerOutageIsNotABadToken: whoever answers, a client is told to come
// again, not to log in again.
func TestIssuerOutageIsNotABadToken(t *testing.T) {
	for _, authorizer := range []string{"request", "none"} {
		f := newFront(t, authorizer, upstream(released()))
		f.down.Store(true)
		response, body := f.post(t, f.resource, f.token(f.resource, "mcp"))
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || response.Header.Get("WWW-Authenticate") != "" ||
			body != `{"jsonrpc":"2.0","id":null,"error":{"code":15031,"message":"tokens cannot be checked at the moment"}}` {
			t.Errorf("%s: %d %v %s", authorizer, response.StatusCode, response.Header, body)
		}
	}
}

func (f *front) streams(t *testing.T, release chan struct{}) {
	response := f.send(t, http.MethodPost, f.resource, f.token(f.resource, "mcp"), call)
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewReader(response.Body)
	first, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(first, "notifications/progress") {
		t.Fatalf("first event %q, %v, %d", first, err, response.StatusCode)
	}
	close(release) // only now may the upstream go on
	rest, err := io.ReadAll(lines)
	if err != nil || !bytes.Contains(rest, []byte(`"result"`)) {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func (f *front) unauthorized(t *testing.T) {
	other := f.pen.Sign("k1", nil, map[string]any{"iss": "https://elsewhere.example", "aud": f.resource, "sub": "alice",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	for name, test := range map[string]struct {
		token string
		asked int32
	}{"no token: the authorizer is not even asked": {"", 0}, "garbage": {"garbage", 1}, "another issuer's": {other, 1}} {
		before := f.asked.Load()
		response, body := f.post(t, f.resource, test.token)
		if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") != "Bearer" ||
			body != `{"jsonrpc":"2.0","id":null,"error":{"code":14010,"message":"a bearer token is required"}}` {
			t.Errorf("%s: %d %v %s", name, response.StatusCode, response.Header, body)
		}
		if asked := f.asked.Load() - before; asked != test.asked {
			t.Errorf("%s: the authorizer was asked %d times", name, asked)
		}
	}
}

// insufficientScope: a client with a token of too small a scope gets a larger
// one without being told anything but the answer.
func (f *front) insufficientScope(t *testing.T) {
	response, _ := f.post(t, f.resource, f.token(f.resource, "other"))
	want := `Bearer error="insufficient_scope", scope="mcp", resource_metadata="` + f.Config.PublicURL +
		`/.well-known/oauth-protected-resource/mcp/` + environment + `/raw"`
	if response.StatusCode != http.StatusForbidden || response.Header.Get("WWW-Authenticate") != want {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	response, _ = f.post(t, f.resource, f.token(f.resource, "mcp other"))
	if response.StatusCode != http.StatusOK {
		t.Errorf("with the scope: %d", response.StatusCode)
	}
}

func (f *front) otherPath(t *testing.T) {
	token := f.token(f.resource, "mcp")
	before := f.asked.Load()
	for range 3 {
		if response, body := f.post(t, f.resource, token); response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
	}
	if asked := f.asked.Load() - before; asked != 1 {
		t.Errorf("the authorizer was asked %d times about one token on one path", asked)
	}
	response, _ := f.post(t, strings.TrimSuffix(f.resource, "raw")+"jira", token)
	if asked := f.asked.Load() - before; asked != 2 || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("on another path: %d, asked %d times", response.StatusCode, asked)
	}
}

func (f *front) withoutToken(t *testing.T) {
	before := f.asked.Load()
	metadata := f.Config.PublicURL + "/.well-known/oauth-protected-resource/mcp/" + environment + "/raw"
	response := f.send(t, http.MethodGet, metadata, "", "")
	var m struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
	}
	err := json.NewDecoder(response.Body).Decode(&m)
	if _ = response.Body.Close(); err != nil || m.Resource != f.resource || !slices.Equal(m.Servers, []string{f.login.url}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, url := range []string{f.resource, metadata} {
		response := f.send(t, http.MethodOptions, url, "", "", "Origin", f.Config.PublicURL, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization,mcp-param-region")
		if _ = response.Body.Close(); response.StatusCode != http.StatusNoContent || response.Header.Get("Access-Control-Allow-Headers") != "authorization,mcp-param-region" {
			t.Errorf("%s: %d %v", url, response.StatusCode, response.Header)
		}
	}
	if asked := f.asked.Load() - before; asked != 0 {
		t.Errorf("the authorizer was asked %d times", asked)
	}
}

// pages: what API Gateway answers itself can be read by a page too, or its
// script would see a network error in place of "log in".
func (f *front) pages(t *testing.T) {
	for name, token := range map[string]string{"401": "", "403": f.token(f.resource, "other"), "200": f.token(f.resource, "mcp")} {
		response := f.send(t, http.MethodPost, f.resource, token, call, "Origin", f.Config.PublicURL)
		allowed, exposed := response.Header.Get("Access-Control-Allow-Origin"), response.Header.Get("Access-Control-Expose-Headers")
		if _ = response.Body.Close(); response.Status[:3] != name || allowed != "*" && allowed != f.Config.PublicURL || !strings.Contains(exposed, "WWW-Authenticate") {
			t.Errorf("%s: %s, allowed %q, exposed %q", name, response.Status, allowed, exposed)
		}
	}
	response := f.send(t, http.MethodPost, f.resource, f.token(f.resource, "mcp"), call, "Origin", "https://evil.example")
	if _ = response.Body.Close(); response.StatusCode != http.StatusForbidden || response.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign page: %d %v", response.StatusCode, response.Header)
	}
}

func (f *front) revoked(t *testing.T) {
	token := f.token(f.resource, "mcp")
	if response, body := f.post(t, f.resource, token); response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	before := f.asked.Load()
	err := f.DB.PutMarker(t.Context(), broker.Marker{Environment: environment, Kind: broker.PrincipalMarker, ID: broker.PrincipalID(f.login.url, "alice"),
		Epoch: 1, Revoked: true, At: time.Now(), By: "admin", Reason: "left"})
	if err != nil {
		t.Fatal(err)
	}
	response, body := f.post(t, f.resource, token)
	if response.StatusCode != http.StatusForbidden || !strings.Contains(body, "14030") || f.asked.Load() != before {
		t.Errorf("%d %s; the authorizer was asked %d times", response.StatusCode, body, f.asked.Load()-before)
	}
}
