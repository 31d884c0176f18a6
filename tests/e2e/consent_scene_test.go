//go:build e2e && !nonode

package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/credential"
	"bindery/shared/secret"
)

// own is a deployment with a server "files" where everybody is themselves: its
// upstream is an official server that knows people by their tokens.
type own struct {
	*deployment
	u      *upstream
	desk   *connect.Desk
	origin string

	mu    sync.Mutex
	names map[string]string // whose a token is
	asked atomic.Int64      // links that were opened
}

// everybodysOwn provides such a deployment. Its provider issues nothing: consents
// are written as the connect page would write them.
func everybodysOwn(t *testing.T) *own {
	t.Helper()
	o := &own{deployment: deploy(t), names: map[string]string{}}
	served := mcp.NewStreamableHTTPHandler(o.official, &mcp.StreamableHTTPOptions{Stateless: true})
	o.u = o.upstream(func(w http.ResponseWriter, r *http.Request) {
		if o.known(r) == "" {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		served.ServeHTTP(w, r)
	})
	var err error
	o.origin, err = broker.OriginDigest(o.u.URL)
	must(t, err)
	o.desk = &connect.Desk{Handles: o.DB, Environment: o.env, PublicURL: o.Config.PublicURL, Now: time.Now}
	must(t, o.DB.PutProvider(t.Context(), broker.Provider{Environment: o.env, Name: "acme", State: broker.Active, Issuer: "https://acme.example.com",
		Registration: broker.Preregistered, ClientAuth: broker.ClientNone, ClientID: "bindery"}))
	o.server("files", o.u.URL)
	o.bind(broker.Binding{Environment: o.env, Server: "files", Name: "own-files", State: broker.Active, Actor: group("dev"),
		Allow: broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}},
		Mode:  broker.UserDelegated, Source: broker.AuthorizationCode, Owner: "platform", Provider: "acme", Scopes: []string{"files.read"}})
	return o
}

func (o *own) known(r *http.Request) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.names[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
}

// official is a server of the official SDK with one tool, which says who calls.
func (o *own) official(r *http.Request) *mcp.Server {
	name := o.known(r)
	s := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "whoami"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "you are " + name}}}, nil, nil
	})
	return s
}

func (o *own) key(who string) broker.GrantKey {
	return broker.GrantKey{Environment: o.env, Principal: broker.PrincipalID(shared.oidc.URL, who), Server: "files", Origin: o.origin}
}

// consent writes what the connect page writes when a person has agreed, with a
// token that the upstream knows them by.
func (o *own) consent(who string) {
	o.t.Helper()
	ctx, key, access := o.t.Context(), o.key(who), o.canary()
	o.mu.Lock()
	o.names[access] = who
	o.mu.Unlock()
	tokens, err := credential.SealTokens(ctx, o.Sealer, key, credential.TokenSet{Access: secret.New(access), Expires: time.Now().Add(time.Hour)}, []string{"files.read"})
	must(o.t, err)
	before, _ := o.DB.Grant(ctx, key)
	now, last := time.Now().UTC(), before.Grant.Generation
	must(o.t, o.DB.BeginGrant(ctx, broker.Grant{GrantKey: key, Generation: last, State: broker.Active, Provider: "acme", Scopes: tokens.Scopes,
		Consented: now, Sealed: tokens.Sealed, Expires: tokens.Expires}, broker.Consent{Agent: shellAgent, Generation: last + 1, At: now}))
}

// disconnect ends a consent.
func (o *own) disconnect(who string) {
	o.t.Helper()
	_, err := o.DB.EndGrant(o.t.Context(), o.key(who), broker.Deleted, time.Now().UTC())
	must(o.t, err)
}

// open is a browser with a person: the link must be a living one that was made
// for them. A moment later they have agreed.
func (o *own) open(who, link string) {
	o.asked.Add(1)
	id, ours := strings.CutPrefix(link, o.Config.PublicURL+"/connect/")
	ticket, err := o.desk.Ticket(context.Background(), id)
	if !ours || err != nil || ticket.Principal != o.key(who).Principal || ticket.Agent != shellAgent {
		o.t.Errorf("%s opened %d bytes that are no ticket of theirs: %v", who, len(link), err)
		return
	}
	time.Sleep(1500 * time.Millisecond)
	if err := o.desk.Answer(context.Background(), id); err != nil {
		o.t.Error(err)
		return
	}
	o.consent(who)
}

// browser serves such a browser, for clients in other processes: a link that is
// posted is opened, anything else ends the consent.
func (o *own) browser(who string) string {
	var opened sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var link strings.Builder
		if _, err := copyAll(&link, r); err != nil {
			o.t.Error(err)
		}
		switch {
		case link.String() == "disconnect":
			o.disconnect(who)
		case r.URL.Path == "/wait":
			o.open(who, link.String())
		default:
			opened.Go(func() { o.open(who, link.String()) })
		}
	}))
	o.t.Cleanup(func() { opened.Wait(); s.Close() })
	return s.URL
}

// linkless requires that no link and no state is in a log or a record.
func (o *own) linkless(t *testing.T) {
	t.Helper()
	texts := []string{o.log.String()}
	for _, records := range o.ledger(t) {
		for _, r := range records {
			text, err := r.JSON()
			must(t, err)
			texts = append(texts, string(text))
		}
	}
	secretive := regexp.MustCompile(`/connect/[A-Z2-7]{26}|brk1\.`)
	for _, text := range texts {
		if found := secretive.FindString(text); found != "" {
			t.Errorf("a log or record says %s", found)
		}
	}
}
