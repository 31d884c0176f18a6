//go:build e2e && !nonode

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/secret"
)

func copyAll(w io.Writer, r *http.Request) (int64, error) { return io.Copy(w, r.Body) }

// asksByLink is a client of the official Go SDK whose person opens links.
func (o *own) asksByLink(t *testing.T, who, version, action string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, &mcp.ClientOptions{
		Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}},
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			if action == "accept" {
				go o.open(who, r.Params.URL) // accepting means that it was opened, and no more
			}
			return &mcp.ElicitResult{Action: action}, nil
		},
	})
	session, err := client.Connect(t.Context(), o.transport(who, "files"), &mcp.ClientSessionOptions{ProtocolVersion: version})
	must(t, err)
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func whoami(t *testing.T, s *mcp.ClientSession) (*mcp.CallToolResult, error) {
	t.Helper()
	return s.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
}

// TestOnePromptAndTheCallSucceeds with the official Go client: the person is
// asked once, the client's own retry waits for them, and the first call after the
// consent just works.
func TestOnePromptAndTheCallSucceeds(t *testing.T) {
	t.Parallel()
	o := everybodysOwn(t)
	o.consent(alice)
	s := o.asksByLink(t, alice, modern, "accept")
	o.disconnect(alice)
	for range 2 {
		result, err := whoami(t, s)
		must(t, err)
		if textOf(result) != "you are alice" || result.IsError {
			t.Errorf("answered %q", textOf(result))
		}
	}
	if n := o.asked.Load(); n != 1 {
		t.Errorf("alice was asked %d times", n)
	}
	o.linkless(t)
}

// TestWhoDeclinesIsToldAndNotAskedAgain with the official Go client.
func TestWhoDeclinesIsToldAndNotAskedAgain(t *testing.T) {
	t.Parallel()
	o := everybodysOwn(t)
	o.consent(alice)
	s := o.asksByLink(t, alice, modern, "decline")
	o.disconnect(alice)
	reached := len(o.u.arrivals())
	result, err := whoami(t, s)
	must(t, err)
	if !result.IsError || !strings.Contains(textOf(result), "declined") || len(o.u.arrivals()) != reached {
		t.Errorf("answered %q", textOf(result))
	}
}

// TestALegacyClientGetsTheLinkAndRepeatsTheCall with the official Go client: as
// an error in 2025-11-25 if it can open links, else in words.
func TestALegacyClientGetsTheLinkAndRepeatsTheCall(t *testing.T) {
	t.Parallel()
	o := everybodysOwn(t)
	o.consent(alice)
	o.consent(carol)
	able := o.asksByLink(t, alice, legacy, "accept")
	unable, _ := o.session(carol, "files", legacy)
	o.disconnect(alice)
	o.disconnect(carol)
	_, err := whoami(t, able)
	var fault *jsonrpc.Error
	if !errors.As(err, &fault) || fault.Code != mcp.CodeURLElicitationRequired {
		t.Fatalf("answered %v", err)
	}
	var data struct{ Elicitations []mcp.ElicitParams }
	must(t, json.Unmarshal(fault.Data, &data))
	if len(data.Elicitations) != 1 || data.Elicitations[0].Mode != "url" || data.Elicitations[0].ElicitationID == "" {
		t.Fatalf("asked %s", fault.Data)
	}
	o.open(alice, data.Elicitations[0].URL)
	result, err := whoami(t, unable)
	must(t, err)
	said := textOf(result)
	if !result.IsError {
		t.Errorf("answered %q", said)
	}
	o.open(carol, said[strings.LastIndexByte(said, ' ')+1:])
	for name, s := range map[string]*mcp.ClientSession{alice: able, carol: unable} {
		result, err := whoami(t, s)
		must(t, err)
		if textOf(result) != "you are "+name {
			t.Errorf("%s: answered %q", name, textOf(result))
		}
	}
	o.linkless(t)
}

// TestBeforeAnyConsentAClientIsToldWhereToGiveIt: no method is answered in the
// server's place.
func TestBeforeAnyConsentAClientIsToldWhereToGiveIt(t *testing.T) {
	t.Parallel()
	o := everybodysOwn(t)
	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
	first := o.send(o.request(alice, "files", legacy, initialize))
	first.want(t, http.StatusOK, `"code":12000`)
	discover := o.ask(alice, "files", modern, "server/discover", "")
	discover.want(t, http.StatusOK, `"code":12000`)
	link := func(a answer) string {
		_, rest, _ := strings.Cut(a.body, ": http")
		at, _, _ := strings.Cut(rest, `"`)
		return "http" + at
	}
	if link(first) != link(discover) {
		t.Error("two links for one need")
	}
	o.ended(first, broker.ConsentRequired)
	o.u.untouched(t)
	o.open(alice, link(first))
	for _, version := range []string{legacy, modern} {
		s, _ := o.session(alice, "files", version)
		if result, err := whoami(t, s); err != nil || textOf(result) != "you are alice" {
			t.Errorf("%s: %v", version, err)
		}
	}
	o.send(o.request(carol, "files", legacy, initialize)).want(t, http.StatusOK, `"code":12000`)
}

// TestTypeScriptClientsAskTheirPersonOnce: both generations, in both eras.
func TestTypeScriptClientsAskTheirPersonOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sdk         int
		negotiation string
		code        float64 // of the error that the first call ended in, if the client does not go on by itself
	}{
		"first SDK":            {1, "", mcp.CodeURLElicitationRequired},
		"second SDK, legacy":   {2, "legacy", mcp.CodeURLElicitationRequired},
		"second SDK, modern":   {2, modern, 0},
		"second SDK finds out": {2, "auto", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := everybodysOwn(t)
			o.consent(alice)
			saw, err := shared.clients.TypeScript(t.Context(), parts.Script{URL: o.url + "/mcp/" + o.env + "/files", Token: secret.New(token(t, alice)),
				SDK: c.sdk, Negotiation: c.negotiation, Steps: []string{"consent"}, Browser: o.browser(alice)})
			must(t, err)
			step, _ := saw[0]["consent"].(map[string]any)
			if said := jsonOf(step["content"]); !strings.Contains(said, "you are alice") || saw[0]["error"] != nil {
				t.Errorf("it saw %s", jsonOf(saw[0]))
			}
			if code, _ := step["first"].(float64); code != c.code {
				t.Errorf("the first call ended in %v, want %v", step["first"], c.code)
			}
			if n := o.asked.Load(); n != 1 {
				t.Errorf("alice was asked %d times", n)
			}
		})
	}
}
