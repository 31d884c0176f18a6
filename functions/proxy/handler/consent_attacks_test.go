package handler

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
)

func deadlined(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestWhoDeclinesIsNotAskedAgain for this call, and nothing is done.
func TestWhoDeclinesIsNotAskedAgain(t *testing.T) {
	u := &personal{}
	c := newConsenting(t, u)
	for _, action := range []string{"decline", "cancel"} {
		for method, want := range map[string]string{"tools/call": `"isError":true`, "prompts/get": `"code":12001`} {
			st := state(t, c.send("alice", modernCall(canURL, method, "")))
			w := c.send("alice", modernCall(canURL, method, reply(st, action)))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) || linkPattern.MatchString(w.Body.String()) || u.calls() != 0 {
				t.Errorf("%s of %s: %d %s", action, method, w.Code, w.Body)
			}
			if r := c.reason(t, w); r.Phase != broker.Refused || r.Reason != broker.ConsentDeclined || r.Status != http.StatusOK {
				t.Errorf("%s of %s: recorded %s %s %d", action, method, r.Phase, r.Reason, r.Status)
			}
		}
	}
	if w := c.send("alice", modernCall(canURL, "tools/call", "")); link(t, w) == "" {
		t.Error("another call is not asked about")
	}
}

// TestAStateThatIsNotThisCallsMeansNothing: it is no answer to anything, never
// goes upstream, makes nobody wait, and declines nothing.
func TestAStateThatIsNotThisCallsMeansNothing(t *testing.T) {
	u := &personal{}
	c := newConsenting(t, u)
	c.own(t, "wiki", broker.AuthorizationCode)
	synctest.Test(t, func(t *testing.T) {
		alices := state(t, c.send("alice", modernCall(canURL, "tools/call", "")))
		bobs := state(t, c.send("bob", modernCall(canURL, "tools/call", "")))
		other := state(t, c.send("alice", strings.Replace(modernCall(canURL, "tools/call", ""), "a.txt", "b.txt", 1)))
		prompts := state(t, c.send("alice", modernCall(canURL, "prompts/get", "")))
		elsewhere := state(t, c.send("alice", modernCall(canURL, "tools/call", ""), func(r *http.Request) { r.URL.Path = "/mcp/prod/wiki" }))
		began := time.Now()
		for what, forged := range map[string]string{
			"nothing": "brk1.", "made up": "brk1.AAAA", "bob's": bobs, "of other arguments": other, "of another method": prompts,
			"of another server": elsewhere, "altered": alices[:len(alices)-2] + "AA", "cut": alices[:40], "a session id": "brk1.b1.AAAA",
		} {
			for _, action := range []string{"accept", "decline"} {
				w := c.send("alice", modernCall(canURL, "tools/call", reply(forged, action)))
				if !strings.Contains(w.Body.String(), "input_required") || state(t, w) == forged {
					t.Errorf("%s, %s: %d %s", what, action, w.Code, w.Body)
				}
			}
		}
		if time.Since(began) > time.Second {
			t.Errorf("somebody waited: %v", time.Since(began))
		}
		c.consent(t, "alice", canary+"-alice")
		w := c.send("alice", modernCall(canURL, "tools/call", reply(bobs, "decline")))
		if w.Code != http.StatusOK || len(u.bodies) != 1 || u.bodies[0] != modernCall(canURL, "tools/call", "") {
			t.Errorf("with a consent: %d, the upstream got %q", w.Code, u.bodies)
		}
		list := modernCall(canURL, "tools/list", `,"requestState":"`+alices+`"`)
		if c.send("alice", list); len(u.bodies) != 2 || u.bodies[1] != modernCall(canURL, "tools/list", "") {
			t.Errorf("another method: the upstream got %q", u.bodies)
		}
	})
}

// TestAnUpstreamsOwnQuestionsPassBothWays, byte for byte, and those that look like
// Bindery's do not.
func TestAnUpstreamsOwnQuestionsPassBothWays(t *testing.T) {
	const theirs = `{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","requestState":"theirs","inputRequests":{"a":{"method":"elicitation/create","params":{"mode":"url","url":"https://files.example.com/x","message":"m"}}}}}`
	for what, k := range map[string]struct{ kind, body, want string }{
		"theirs":                {"application/json", theirs, theirs},
		"theirs in a stream":    {"text/event-stream", "data: " + theirs + "\n\n", "data: " + theirs + "\n\n"},
		"our state":             {"application/json", strings.Replace(theirs, "theirs", "brk1.x", 1), `"code":15029`},
		"our request":           {"application/json", strings.Replace(theirs, `"a":`, `"brk_connect":`, 1), `"code":15029`},
		"our state in a stream": {"text/event-stream", "data: " + strings.Replace(theirs, "theirs", "brk1.x", 1) + "\n\n", `"code":15029`},
	} {
		c := newConsenting(t, respond(http.StatusOK, k.kind, k.body))
		c.consent(t, "alice", canary+"-alice")
		w := c.send("alice", modernCall(canURL, "tools/call", ""))
		if !strings.Contains(w.Body.String(), k.want) {
			t.Errorf("%s: %s", what, w.Body)
		}
		if want := broker.Reason(""); k.want == `"code":15029` && c.reason(t, w).Reason == want {
			t.Errorf("%s: recorded as relayed", what)
		}
	}
	u := &personal{}
	c := newConsenting(t, u)
	c.consent(t, "alice", canary+"-alice")
	answer := modernCall(canURL, "tools/call", `,"requestState":"theirs","inputResponses":{"a":{"action":"accept"}}`)
	if c.send("alice", answer); len(u.bodies) != 1 || u.bodies[0] != answer {
		t.Errorf("the upstream got %q", u.bodies)
	}
}

// TestTwoPeopleAreEachThemselves at one server, and a consent of one is nobody
// else's.
func TestTwoPeopleAreEachThemselves(t *testing.T) {
	u := &personal{}
	c := newConsenting(t, u)
	c.consent(t, "alice", canary+"-alice")
	if w := c.send("bob", modernCall(canURL, "tools/call", "")); link(t, w) == "" || u.calls() != 0 {
		t.Error("bob called with alice's consent")
	}
	c.consent(t, "bob", canary+"-bob")
	c.send("bob", modernCall(canURL, "tools/call", ""))
	c.send("alice", legacyCall("tools/call"))
	if len(u.tokens) != 2 || u.tokens[0] != canary+"-bob" || u.tokens[1] != canary+"-alice" {
		t.Error("somebody called as somebody else")
	}
}
