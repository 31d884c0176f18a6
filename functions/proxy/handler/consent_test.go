package handler

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

const legacyInitialize = `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":` + canURL + `,"clientInfo":{"name":"c","version":"1"}}}`

func legacyCall(method string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{"name":"read_file","uri":"file:///a.txt","arguments":{}}}`
}

// begin opens a legacy session for somebody who has consented, and ends their
// consent.
func (c *consenting) begin(t *testing.T, who, initialize string) func(*http.Request) {
	t.Helper()
	c.consent(t, who, canary+"-before")
	w := c.send(who, initialize)
	id := w.Header().Get("Mcp-Session-Id")
	if id == "" {
		t.Fatalf("no session: %d %s", w.Code, w.Body)
	}
	origin, _ := broker.OriginDigest("https://files.example.com/mcp")
	if _, err := c.tables.EndGrant(t.Context(), broker.GrantKey{Environment: "prod", Principal: "p-" + who, Server: "files", Origin: origin}, broker.Deleted, time.Now().UTC()); err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) { r.Header.Set("Mcp-Session-Id", id) }
}

func TestACallerIsAskedInTheWordsOfTheirClient(t *testing.T) {
	const question, required, text, plain = `"resultType":"input_required"`, `"code":-32042`, `"isError":true`, `"code":12000`
	form := `{"elicitation":{}}`
	u := &personal{}
	c := newConsenting(t, u)
	able := c.begin(t, "alice", legacyInitialize)
	unable := c.begin(t, "alice", strings.Replace(legacyInitialize, canURL, form, 1))
	old := func(r *http.Request) { r.Header.Set("Mcp-Protocol-Version", "2025-06-18") }
	before := u.calls()
	for name, k := range map[string]struct {
		body   string
		change []func(*http.Request)
		want   string
	}{
		"modern tool":                        {modernCall(canURL, "tools/call", ""), nil, question},
		"modern prompt":                      {modernCall(canURL, "prompts/get", ""), nil, question},
		"modern resource":                    {modernCall(canURL, "resources/read", ""), nil, question},
		"modern list":                        {modernCall(canURL, "tools/list", ""), nil, plain},
		"modern discovery":                   {modernCall(canURL, "server/discover", ""), nil, plain},
		"modern tool, forms only":            {modernCall(form, "tools/call", ""), nil, text},
		"modern tool, nothing":               {modernCall("{}", "tools/call", ""), nil, text},
		"modern prompt, nothing":             {modernCall("{}", "prompts/get", ""), nil, plain},
		"modern tool, answering the server":  {modernCall(canURL, "tools/call", `,"requestState":"theirs","inputResponses":{"a":{"action":"accept"}}`), nil, text},
		"legacy tool":                        {legacyCall("tools/call"), []func(*http.Request){able}, required},
		"legacy list":                        {legacyCall("tools/list"), []func(*http.Request){able}, required},
		"legacy resource":                    {legacyCall("resources/read"), []func(*http.Request){able}, required},
		"legacy tool, forms only":            {legacyCall("tools/call"), []func(*http.Request){unable}, text},
		"legacy prompt, forms only":          {legacyCall("prompts/get"), []func(*http.Request){unable}, plain},
		"legacy tool without a session":      {legacyCall("tools/call"), nil, text},
		"legacy tool of an earlier revision": {legacyCall("tools/call"), []func(*http.Request){able, old}, text},
		"legacy beginning":                   {legacyInitialize, nil, plain},
	} {
		w := c.send("alice", k.body, k.change...)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), k.want) || !strings.Contains(w.Body.String(), `"id":7`) || w.Header().Get(errorHeader) != "consent_required" {
			t.Errorf("%s: answered %d %s, want %s", name, w.Code, w.Body, k.want)
		}
		link(t, w)
		if r := c.reason(t, w); r.Reason != broker.ConsentRequired || r.Phase != broker.Outcome || r.Status != http.StatusOK || r.Upstream != 0 {
			t.Errorf("%s: recorded %+v", name, r)
		}
		c.secretive(t, w)
	}
	if u.calls() != before {
		t.Error("the upstream was called")
	}
}

// TestWhatGetsNoAnswerIsNotAQuestion: a GET, a DELETE or a notification has
// nobody to ask.
func TestWhatGetsNoAnswerIsNotAQuestion(t *testing.T) {
	c := newConsenting(t, &personal{})
	in := c.begin(t, "alice", legacyInitialize)
	bodiless := func(method string) func(*http.Request) {
		return func(r *http.Request) { r.Method = method; r.Header.Del("Content-Type") }
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"GET":          c.send("alice", "", in, bodiless(http.MethodGet)),
		"DELETE":       c.send("alice", "", in, bodiless(http.MethodDelete)),
		"notification": c.send("alice", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, in),
		"response":     c.send("alice", `{"jsonrpc":"2.0","id":1,"result":{}}`, in),
	} {
		if w.Code != consentMissing.Status || w.Header().Get(errorHeader) != consentMissing.Name || linkPattern.MatchString(w.Body.String()) {
			t.Errorf("%s: answered %d %s", name, w.Code, w.Body)
		}
		if r := c.reason(t, w); r.Status != consentMissing.Status || r.Reason != broker.ConsentRequired {
			t.Errorf("%s: recorded %s %d", name, r.Reason, r.Status)
		}
	}
}

// TestOneNeedIsOneLinkWhileItWaits, whoever of the same person's calls asks.
func TestOneNeedIsOneLinkWhileItWaits(t *testing.T) {
	c := newConsenting(t, &personal{})
	first := link(t, c.send("alice", legacyCall("tools/call")))
	for what, w := range map[string]*httptest.ResponseRecorder{
		"the same call":       c.send("alice", legacyCall("tools/call")),
		"a list":              c.send("alice", modernCall("{}", "tools/list", "")),
		"in the other era":    c.send("alice", modernCall(canURL, "tools/call", "")),
		"another modern call": c.send("alice", modernCall(canURL, "prompts/get", "")),
	} {
		if link(t, w) != first {
			t.Errorf("%s: another link", what)
		}
	}
	if bobs := link(t, c.send("bob", legacyCall("tools/call"))); bobs == first {
		t.Error("bob got alice's link")
	}
	if err := c.desk.Answer(t.Context(), first[strings.LastIndexByte(first, '/')+1:]); err != nil {
		t.Fatal(err)
	}
	second := link(t, c.send("alice", legacyCall("tools/call")))
	if second == first {
		t.Error("an answered link was shown again")
	}
	if again := link(t, c.send("alice", legacyCall("tools/call"))); again != second {
		t.Error("a third link for one need")
	}
}

// TestAskedSideBySideAllGetOneLink.
func TestAskedSideBySideAllGetOneLink(t *testing.T) {
	c := newConsenting(t, &personal{})
	links := make(chan string, 8)
	for range cap(links) {
		go func() {
			links <- linkPattern.FindString(c.send("alice", modernCall(canURL, "tools/call", "")).Body.String())
		}()
	}
	first := <-links
	for range cap(links) - 1 {
		if other := <-links; other != first || first == "" {
			t.Errorf("links %q and %q", first, other)
		}
	}
}

// TestWhereNobodyCanBeAskedTheCallerIsToldToWait: the ticket, or the key that
// seals the question, cannot be had.
func TestWhereNobodyCanBeAskedTheCallerIsToldToWait(t *testing.T) {
	c := newConsenting(t, &personal{})
	c.tables.Inject(memory.AddHandle, memory.Refuse())
	w := c.send("alice", modernCall(canURL, "tools/call", ""))
	if w.Code != notAsked.Status || w.Header().Get(errorHeader) != notAsked.Name || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if w := c.send("alice", modernCall(canURL, "tools/call", "")); link(t, w) == "" {
		t.Error("not asked again")
	}
}

// TestOnePromptOneResult: the retry waits until the consent is there.
func TestOnePromptOneResult(t *testing.T) {
	u := &personal{}
	c := newConsenting(t, u)
	synctest.Test(t, func(t *testing.T) {
		w := c.send("alice", modernCall(canURL, "tools/call", ""))
		began := time.Now()
		go func() {
			time.Sleep(1500 * time.Millisecond)
			c.consent(t, "alice", canary+"-alice")
		}()
		again := c.send("alice", modernCall(canURL, "tools/call", reply(state(t, w), "accept")))
		if again.Code != http.StatusOK || !strings.Contains(again.Body.String(), "4711") {
			t.Fatalf("answered %d %s", again.Code, again.Body)
		}
		if waited := time.Since(began); waited < 1500*time.Millisecond || waited > 3*time.Second {
			t.Errorf("waited %v on the test's clock", waited)
		}
		if !regexp.MustCompile(`"ObtainTime":\d{1,3},.*"CallTime":1\d{3},`).MatchString(c.log.String()) {
			t.Errorf("what the person took is in the time of a stage: %s", c.log)
		}
		if len(u.bodies) != 1 || u.bodies[0] != modernCall(canURL, "tools/call", "") || u.tokens[0] != canary+"-alice" {
			t.Errorf("the upstream got %q", u.bodies)
		}
		if r := c.reason(t, again); r.Reason != "" {
			t.Errorf("recorded %s", r.Reason)
		}
		if next := c.send("alice", modernCall(canURL, "tools/call", "")); !strings.Contains(next.Body.String(), "4711") {
			t.Errorf("the next call: %s", next.Body)
		}
		c.secretive(t, w, again)
	})
}

// TestAnAcceptedQuestionThatIsNotAnsweredYetIsTheSameQuestion: to accept means
// only that the link was opened.
func TestAnAcceptedQuestionThatIsNotAnsweredYetIsTheSameQuestion(t *testing.T) {
	c := newConsenting(t, &personal{})
	synctest.Test(t, func(t *testing.T) {
		w := c.send("alice", modernCall(canURL, "tools/call", ""))
		first, began := link(t, w), time.Now()
		if err := c.desk.Answer(t.Context(), first[strings.LastIndexByte(first, '/')+1:]); err != nil { // under way at the provider
			t.Fatal(err)
		}
		for range 3 {
			if w = c.send("alice", modernCall(canURL, "tools/call", reply(state(t, w), "accept"))); link(t, w) != first {
				t.Error("another link for one need")
			}
		}
		if waited := time.Since(began); waited < 3*holdTime || waited > 3*holdTime+3*time.Second {
			t.Errorf("three rounds took %v on the test's clock", waited)
		}
		time.Sleep(c.asking.life)
		if w = c.send("alice", modernCall(canURL, "tools/call", reply(state(t, w), "accept"))); link(t, w) == first {
			t.Error("a link that has expired was shown again")
		}
	})
}

// TestWaitingIsBounded: by the invocation, and by places for each person.
func TestWaitingIsBounded(t *testing.T) {
	c := newConsenting(t, &personal{})
	synctest.Test(t, func(t *testing.T) {
		st := state(t, c.send("alice", modernCall(canURL, "tools/call", "")))
		began := time.Now()
		c.send("alice", modernCall(canURL, "tools/call", reply(st, "accept")), func(r *http.Request) {
			*r = *r.WithContext(deadlined(t, 15*time.Second))
		})
		if waited, most := time.Since(began), 15*time.Second-deadlineMargin-holdReserve; waited > most {
			t.Errorf("waited %v of an invocation of 15 s, want at most %v", waited, most)
		}
		done := make(chan time.Duration, 6)
		began = time.Now()
		for range cap(done) {
			go func() {
				c.send("alice", modernCall(canURL, "tools/call", reply(st, "accept")))
				done <- time.Since(began)
			}()
		}
		at := 0
		for range cap(done) {
			if d := <-done; d < time.Second {
				at++
			}
		}
		if at != 2 {
			t.Errorf("%d of six did not wait, want 2", at)
		}
	})
}

// TestARevocationWhileWaitingRefuses: what waits is decided anew.
func TestARevocationWhileWaitingRefuses(t *testing.T) {
	u := &personal{}
	c := newConsenting(t, u)
	synctest.Test(t, func(t *testing.T) {
		st := state(t, c.send("alice", modernCall(canURL, "tools/call", "")))
		go func() {
			time.Sleep(4 * time.Second)
			if err := c.tables.PutMarker(t.Context(), broker.Marker{Environment: "prod", Kind: broker.PrincipalMarker, ID: "p-alice", Revoked: true, Epoch: 1, At: time.Now().UTC(), By: "p-admin"}); err != nil {
				t.Error(err)
			}
			c.consent(t, "alice", canary+"-alice")
		}()
		w := c.send("alice", modernCall(canURL, "tools/call", reply(st, "accept")))
		if w.Code != forbidden.Status || u.calls() != 0 {
			t.Errorf("answered %d %s, %d calls", w.Code, w.Body, u.calls())
		}
		if r := c.reason(t, w); r.Reason != broker.PrincipalRevoked {
			t.Errorf("recorded %s", r.Reason)
		}
	})
}
