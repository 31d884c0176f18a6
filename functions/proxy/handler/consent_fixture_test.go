package handler

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/credential"
	"bindery/shared/mask"
	"bindery/shared/secret"
)

const filesRoute = "/mcp/prod/files"

// people is a verifier whose tokens are names.
type people map[string]broker.Principal

func (p people) Verify(_ context.Context, r *http.Request, _ broker.Route) (broker.Principal, error) {
	who := p[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	who.Expires = time.Now().Add(time.Hour)
	return who, nil
}
func (people) Metadata(broker.Route) []byte         { return nil }
func (people) Challenge(broker.Route, error) string { return "" }

// refresher is a provider that gives a token of its own making for every refresh
// token, or none.
type refresher struct {
	mu    sync.Mutex
	n     int
	fault error
}

func (p *refresher) Refresh(context.Context, credential.TokenAsk, secret.Value) (credential.TokenSet, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != nil {
		return credential.TokenSet{}, p.fault
	}
	p.n++
	return credential.TokenSet{Access: tokenOfAlice(fmt.Sprint("refreshed-", p.n)), Refresh: secret.New("made-up-refresh-token"), Expires: time.Now().Add(time.Hour)}, nil
}

func (*refresher) Revoke(context.Context, credential.TokenAsk, credential.TokenSet) error { return nil }

type quiet struct{}

func (quiet) Death(g broker.Grant, at time.Time) (broker.Record, error) {
	return broker.Record{Schema: broker.RecordSchema, Receipt: "death-of-" + g.Server, Phase: broker.Outcome, Nonce: rand.Text(), At: at}, nil
}
func (quiet) GrantDied(broker.Grant)                               {}
func (quiet) OutcomeUnknown(context.Context, broker.Grant) error   { return nil }
func (quiet) RevocationFailed(context.Context, broker.Grant) error { return nil }
func tokenOfAlice(n string) secret.Value                           { return secret.New(canary + "-" + n) }
func restSeconds(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// consenting is a fixture with a server whose credential is each person's own,
// and the tables, links and sources of the product behind it.
type consenting struct {
	*fixture
	desk     *connect.Desk
	provider *refresher
	grants   *credential.Grants
	issued   Verifier // the fixture's own, for tokens of its issuer
}

func newConsenting(tb testing.TB, upstream http.RoundTripper) *consenting {
	tb.Helper()
	c := &consenting{fixture: newFixture(tb, upstream, true), provider: &refresher{}}
	c.desk = &connect.Desk{Handles: c.tables, Environment: "prod", PublicURL: publicURL, Now: time.Now}
	c.grants = credential.NewGrants(credential.GrantParts{Grants: c.tables, Providers: c.tables, Catalogue: c.tables, Markers: c.tables, Sealer: plainSealer{}, Tokens: c.provider,
		Events: quiet{}, Check: mask.Check, Now: time.Now, Holder: rand.Text, Pause: restSeconds})
	c.sources[broker.AuthorizationCode], c.sources[broker.PersonalKey] = c.grants, c.grants
	c.asking = asking{tickets: links{c.desk}, handles: c.tables, life: connect.TicketLife - time.Minute}
	c.issued = c.verifier
	person := func(name string) broker.Principal {
		return broker.Principal{ID: "p-" + name, Kind: broker.User, Issuer: "https://login.example.com", Groups: []string{"dev"}}
	}
	c.verifier = people{"alice": person("alice"), "bob": person("bob")}
	c.own(tb, "files", "authorization_code")
	return c
}

// own registers a server with a card of everybody's own.
func (c *consenting) own(tb testing.TB, server string, source broker.SourceKind) {
	tb.Helper()
	ctx := context.Background()
	card := broker.Binding{Environment: "prod", Server: server, Name: "own-" + server, State: broker.Active, Actor: broker.Actor{Group: "dev"},
		Allow: broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}}, Mode: broker.UserDelegated, Source: source, Owner: "platform"}
	if source == broker.AuthorizationCode {
		card.Provider, card.Scopes = "acme", []string{"files.read"}
	}
	r := &broker.Registry{Writer: c.tables, Reader: c.tables, Markers: c.tables, Sources: c.sources, Providers: c.tables, CheckServer: credential.CheckServer, TryAttach: credential.Try}
	for _, err := range []error{
		c.tables.PutProvider(ctx, broker.Provider{Environment: "prod", Name: "acme", State: broker.Active, Issuer: "https://acme.example.com",
			Registration: broker.Preregistered, ClientAuth: broker.ClientNone, ClientID: "bindery"}),
		r.PutServer(ctx, broker.Server{Environment: "prod", Name: server, State: broker.Active, Owner: "platform", URL: "https://" + server + ".example.com/mcp",
			Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}),
		r.Bind(ctx, card),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// consent is the browser: the person agrees, and the grant is there.
func (c *consenting) consent(tb testing.TB, who, token string) {
	tb.Helper()
	ctx := context.Background()
	origin, err := broker.OriginDigest("https://files.example.com/mcp")
	if err != nil {
		tb.Fatal(err)
	}
	key := broker.GrantKey{Environment: "prod", Principal: "p-" + who, Server: "files", Origin: origin}
	before, _ := c.tables.Grant(ctx, key)
	set := credential.TokenSet{Access: secret.New(token), Refresh: secret.New("made-up-refresh-token"), Expires: time.Now().Add(time.Hour)}
	tokens, err := credential.SealTokens(ctx, plainSealer{}, key, set, []string{"files.read"})
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now().UTC()
	g := broker.Grant{GrantKey: key, Generation: before.Grant.Generation, State: broker.Active, Provider: "acme", Scopes: tokens.Scopes, Consented: now,
		Sealed: tokens.Sealed, Expires: tokens.Expires, Refreshes: tokens.Refreshes}
	if err := c.tables.BeginGrant(ctx, g, broker.Consent{Generation: before.Grant.Generation + 1, At: now}); err != nil {
		tb.Fatal(err)
	}
}

const canURL = `{"elicitation":{"url":{}}}`

// modernCall is a request of 2026-07-28 from a client that can do this; more are
// further members of params.
func modernCall(capabilities, method, more string) string {
	name := `"name":"read_file","arguments":{"path":"a.txt"}`
	switch method {
	case "resources/read":
		name = `"uri":"file:///a.txt"`
	case "prompts/get":
		name = `"name":"read_file"`
	case "tools/list", "server/discover":
		name = `"x":1`
	}
	return `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{` + name + more + `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":` + capabilities + `}}}`
}

// send makes one request as somebody.
func (c *consenting) send(who, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, publicURL+filesRoute, strings.NewReader(body))
	for name, value := range map[string]string{"Authorization": "Bearer " + who, "Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2025-11-25"} {
		r.Header.Set(name, value)
	}
	var m struct {
		Method string
		Params struct {
			Name, URI string
			Meta      any `json:"_meta"`
		}
	}
	if _ = json.Unmarshal([]byte(body), &m); m.Params.Meta != nil {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", m.Method)
		if named := m.Params.Name + m.Params.URI; named != "" {
			r.Header.Set("Mcp-Name", named)
		}
	}
	for _, ch := range change {
		ch(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

var linkPattern = regexp.MustCompile(`https://mcp\.example\.com/connect/[A-Z2-7]{26}`)

// link is the one that an answer shows.
func link(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	found := linkPattern.FindAllString(w.Body.String(), -1)
	if len(found) != 1 {
		t.Fatalf("no one link in %d %s", w.Code, w.Body)
	}
	return found[0]
}

// state is the request state of a question.
func state(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var m struct {
		Result struct{ RequestState string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || !strings.HasPrefix(m.Result.RequestState, "brk1.") {
		t.Fatalf("no question: %d %s", w.Code, w.Body)
	}
	return m.Result.RequestState
}

// reply is what a client adds to a call that it repeats.
func reply(state, action string) string {
	return `,"inputResponses":{"brk_connect":{"action":"` + action + `"}},"requestState":"` + state + `"`
}

// reason is that of the last record of an answer.
func (c *consenting) reason(t *testing.T, w *httptest.ResponseRecorder) broker.Record {
	t.Helper()
	records := c.tables.Records(w.Header().Get("Bindery-Receipt"))
	if len(records) == 0 {
		t.Fatal("no record")
	}
	return records[len(records)-1]
}

// secretive requires that no link, state or token is in a record or in the log.
func (c *consenting) secretive(t *testing.T, answers ...*httptest.ResponseRecorder) {
	t.Helper()
	texts := []string{c.log.String()}
	for _, w := range answers {
		for _, r := range c.tables.Records(w.Header().Get("Bindery-Receipt")) {
			text, err := r.JSON()
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	for _, text := range texts {
		if linkPattern.MatchString(text) || strings.Contains(text, "/connect/") || strings.Contains(text, "brk1.") || strings.Contains(text, canary) {
			t.Errorf("a record or the log says %s", text)
		}
	}
}

// personal is an upstream that says under which credential it was called, and
// refuses those that a test calls bad.
type personal struct {
	mu     sync.Mutex
	bad    []string
	status int // for the bad ones
	bodies []string
	tokens []string
}

func (u *personal) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bodies, u.tokens = append(u.bodies, string(body)), append(u.tokens, token)
	if slices.Contains(u.bad, token) {
		return status(u.status, "application/json", `{}`, "WWW-Authenticate", `Bearer error="insufficient_scope"`)(r)
	}
	return respond(http.StatusOK, "application/json", smallAnswer)(r)
}

func (u *personal) calls() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.bodies)
}
