//go:build e2e && !nonode

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/parts"
	"bindery/shared/secret"
)

// TestAGoClientsPersonIsAskedOnceWhenTheProviderRevoked: in the current revision
// the client's own retry waits for the browser, and the call just works; in the
// one before, the person's next call does.
func TestAGoClientsPersonIsAskedOnceWhenTheProviderRevoked(t *testing.T) {
	t.Parallel()
	o := live(t)
	browser := o.connected(alice)
	var asked atomic.Int64
	var opened sync.WaitGroup
	defer opened.Wait()
	session := func(version string) *mcp.ClientSession {
		client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, &mcp.ClientOptions{
			Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}},
			ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
				asked.Add(1)
				opened.Go(func() { browser.consent(r.Params.URL) })
				return &mcp.ElicitResult{Action: "accept"}, nil
			},
		})
		s, err := client.Connect(t.Context(), o.transport(alice, "files"), &mcp.ClientSessionOptions{ProtocolVersion: version})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	now, before := session(modern), session(legacy)
	o.revokeAtProvider(alice)
	for range 2 {
		result, err := whoami(t, now)
		must(t, err)
		if textOf(result) != "you are alice-at-acme" {
			t.Errorf("answered %q", textOf(result))
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("alice was asked %d times", n)
	}
	o.revokeAtProvider(alice)
	_, err := whoami(t, before)
	var fault *jsonrpc.Error
	var data struct{ Elicitations []mcp.ElicitParams }
	if !errors.As(err, &fault) || fault.Code != mcp.CodeURLElicitationRequired || json.Unmarshal(fault.Data, &data) != nil || len(data.Elicitations) != 1 {
		t.Fatalf("answered %v", err)
	}
	browser.consent(data.Elicitations[0].URL).shows(t, http.StatusOK, "files is connected")
	o.hold(alice)
	result, err := whoami(t, before)
	must(t, err)
	if textOf(result) != "you are alice-at-acme" {
		t.Errorf("answered %q", textOf(result))
	}
	if o.tokens.count("authorization_code") != 3 {
		t.Errorf("the provider was asked %v", o.tokens.asked)
	}
}

// TestTypeScriptClientsTakeTheirPersonThroughTheBrowser: both generations of the
// SDK, in both eras: the consent that the provider revoked is given again, and
// the result comes under the person's own name.
func TestTypeScriptClientsTakeTheirPersonThroughTheBrowser(t *testing.T) {
	t.Parallel()
	o := live(t)
	browser := o.connected(alice)
	var opened sync.WaitGroup
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		link, _ := io.ReadAll(r.Body)
		consent := func() { browser.consent(string(link)) }
		switch {
		case string(link) == "disconnect":
			o.revokeAtProvider(alice)
		case r.URL.Path == "/wait":
			asked.Add(1)
			consent()
		default:
			asked.Add(1)
			opened.Go(consent)
		}
	}))
	defer s.Close()
	defer opened.Wait()
	for i, c := range []struct {
		sdk         int
		negotiation string
		code        float64
	}{{1, "", mcp.CodeURLElicitationRequired}, {2, "legacy", mcp.CodeURLElicitationRequired}, {2, modern, 0}} {
		saw, err := shared.clients.TypeScript(t.Context(), parts.Script{URL: o.url + "/mcp/" + o.env + "/files", Token: secret.New(token(t, alice)),
			SDK: c.sdk, Negotiation: c.negotiation, Steps: []string{"consent"}, Browser: s.URL})
		must(t, err)
		opened.Wait()
		o.hold(alice)
		step, _ := saw[0]["consent"].(map[string]any)
		if code, _ := step["first"].(float64); !strings.Contains(jsonOf(step["content"]), "you are alice-at-acme") || code != c.code {
			t.Errorf("SDK %d %s saw %s", c.sdk, c.negotiation, jsonOf(saw[0]))
		}
		if n := asked.Load(); n != int64(i+1) {
			t.Errorf("SDK %d %s: alice was asked %d times so far", c.sdk, c.negotiation, n)
		}
	}
}

// TestTheInspectorShowsTheLinkAndThenTheResult: a client that knows nothing of
// consent still tells its person where to give it. (Where it is told to speak the
// current revision alone, it keeps to itself what the server says.)
func TestTheInspectorShowsTheLinkAndThenTheResult(t *testing.T) {
	t.Parallel()
	o := live(t)
	endpoint := o.url + "/mcp/" + o.env + "/files"
	call := []string{"--method", "tools/call", "--tool-name", "whoami"}
	before := inspect(t, legacy, endpoint, token(t, alice), call...)
	link := links.FindString(before.Out + before.Err)
	if link == "" || before.Code == fine {
		t.Fatalf("ended with %d and %.300s", before.Code, before.Out+before.Err)
	}
	o.surfer(t, alice).consent(link).shows(t, http.StatusOK, "files is connected")
	o.hold(alice)
	for _, version := range []string{legacy, modern} {
		after := inspect(t, version, endpoint, token(t, alice), call...)
		if after.Code != fine || !strings.Contains(after.Out, "you are alice-at-acme") {
			t.Errorf("%s: ended with %d and %.300s", version, after.Code, after.Out)
		}
	}
}
