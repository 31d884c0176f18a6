//go:build e2e && !nonode

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/credential"
)

// society is a deployment with its connect page and a server "files", where
// everybody is themselves: an official server that takes the tokens of a provider
// of its own, and answers under the name that they have there.
type society struct {
	*deployment
	provider *parts.OIDC
	tokens   *counter
	u        *upstream
	origin   string

	mu      sync.Mutex
	refuses map[string]bool // tokens that the upstream takes no more
	surfers []*surfer
}

// live provides such a deployment.
func live(t *testing.T, changes ...func(*broker.Binding)) *society {
	t.Helper()
	provider, err := shared.acme.start()
	must(t, err)
	o := &society{provider: provider, refuses: map[string]bool{}}
	o.deployment = deploy(t, func(p *plan) {
		p.pages = true
		p.issuers = []any{issuer(p.env, map[string]any{"connections_audiences": []string{ownAudience},
			"login": map[string]any{"client_id": connectClient, "scopes": []string{"openid", "email", "groups"}}})}
	})
	o.tokens = newCounter(t, provider.URL)
	select {
	case at := <-shared.acme.free:
		o.u = o.upstreamAt(at, o.resource().ServeHTTP)
	default:
		t.Fatal("more tests than servers at acme")
	}
	o.origin, err = broker.OriginDigest(o.u.URL)
	must(t, err)
	o.row("acme")
	must(t, o.PutSecret(t.Context(), o.env+"/clients/service", object("secret", shared.acme.secret.Reveal())))
	reference, err := broker.ParseReference("aws-sm:" + o.env + "/clients/service#secret")
	must(t, err)
	o.row("service", func(p *broker.Provider) {
		p.ClientID, p.ClientAuth, p.ClientSecret = service, broker.ClientSecretBasic, reference
	})
	o.server("files", o.u.URL)
	o.bind(broker.Binding{Environment: o.env, Server: "files", Name: "own-files", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}},
		Mode:  broker.UserDelegated, Source: broker.AuthorizationCode, Owner: "platform", Provider: "acme",
		Scopes: []string{"files.read", "offline_access"}}, changes...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", o.log.String())
		}
	})
	t.Cleanup(o.secretive) // before the deployment's own search
	return o
}

// row registers the provider by endpoints of which one is counted.
func (o *society) row(name string, changes ...func(*broker.Provider)) {
	o.t.Helper()
	p := broker.Provider{Environment: o.env, Name: name, State: broker.Active, Issuer: o.provider.URL,
		Endpoints:    broker.Endpoints{Authorization: o.provider.URL + "/auth", Token: o.tokens.url + "/token", Revocation: o.tokens.url + "/token/revocation"},
		Registration: broker.Preregistered, ClientAuth: broker.ClientNone, ClientID: connectClient,
		Quirks: broker.Quirks{AuthorizationParameters: map[string]string{"prompt": "consent"}}}
	for _, change := range changes {
		change(&p)
	}
	must(o.t, o.DB.PutProvider(o.t.Context(), p))
}

// resource is the upstream: nobody gets in without a token of the provider that
// is for this very server.
func (o *society) resource() http.Handler {
	whoami := func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "you are " + r.Extra.TokenInfo.UserID}}}, nil, nil
	}
	served := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server {
		s := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
		mcp.AddTool(s, &mcp.Tool{Name: "whoami"}, whoami)
		return s
	}, &mcp.StreamableHTTPOptions{Stateless: true})
	guarded := auth.RequireBearerToken(o.verify, &auth.RequireBearerTokenOptions{Scopes: []string{"files.read"}})(served)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/oauth-protected-resource/mcp" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"resource":"`+o.u.URL+`","authorization_servers":["`+o.provider.URL+`"]}`)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// verify checks a token as a resource server does.
func (o *society) verify(ctx context.Context, text string, _ *http.Request) (*auth.TokenInfo, error) {
	return o.verifyFor(ctx, text, o.u.URL)
}

func (o *society) verifyFor(ctx context.Context, text, audience string) (*auth.TokenInfo, error) {
	o.mu.Lock()
	refused := o.refuses[text]
	o.mu.Unlock()
	keys := jose.JSONWebKeySet{}
	if err := fetch(ctx, o.provider.URL+"/jwks", &keys); err != nil || refused {
		return nil, auth.ErrInvalidToken
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return keys.Keys[0].Key, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(o.provider.URL), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	if err != nil {
		return nil, errors.Join(auth.ErrInvalidToken, err)
	}
	who, _ := claims.GetSubject()
	ends, _ := claims.GetExpirationTime()
	scope, _ := claims["scope"].(string)
	if who == "" { // a client's own
		who, _ = claims["client_id"].(string)
	}
	return &auth.TokenInfo{UserID: who, Scopes: strings.Fields(scope), Expiration: ends.Time}, nil
}

func fetch(ctx context.Context, at string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

// links are the connect page's.
var links = regexp.MustCompile(`http://127\.0\.0\.1:\d+/connect/[A-Z2-7]{26}`)

// link gives the link that a call without consent is answered with.
func (o *society) link(who, server string) string {
	o.t.Helper()
	a := o.post(who, server)
	found := links.FindString(a.body)
	if found == "" || !strings.HasPrefix(found, o.Config.PublicURL+"/") {
		o.t.Fatalf("%s was shown no link: %d %.200s", who, a.status, a.body)
	}
	return found
}

// connected lets a person consent.
func (o *society) connected(who string) *surfer {
	o.t.Helper()
	s := o.surfer(o.t, who)
	s.consent(o.link(who, "files")).shows(o.t, http.StatusOK, "files is connected")
	o.hold(who)
	return s
}

func (o *society) grant(who, server string) (broker.GrantKey, broker.GrantView, error) {
	o.t.Helper()
	origin, err := broker.OriginDigest(o.serverURL(server))
	must(o.t, err)
	key := broker.GrantKey{Environment: o.env, Principal: broker.PrincipalID(shared.oidc.URL, who), Server: server, Origin: origin}
	view, err := o.DB.Grant(o.t.Context(), key)
	return key, view, err
}

// hold opens a grant and gives its tokens, which from here on are canaries.
func (o *society) hold(who string) credential.TokenSet {
	o.t.Helper()
	key, view, err := o.grant(who, "files")
	must(o.t, err)
	set, err := credential.OpenTokens(o.t.Context(), o.Sealer, key, view.Grant.Sealed)
	must(o.t, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.canaries = append(o.canaries, set.Access.Reveal(), set.Refresh.Reveal())
	return set
}

// none requires that a person has no grant at all.
func (o *society) none(t *testing.T, who string) {
	t.Helper()
	if _, view, err := o.grant(who, "files"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("%s has a grant: %+v, %v", who, view, err)
	}
}

// expire makes it late: the token that a person has is near its end.
func (o *society) expire(who string) {
	o.t.Helper()
	o.alter(who, "expires", time.Now().Add(2*time.Second))
}

// warm makes the time pass that a provider in trouble is left alone.
func (o *society) warm(who string) {
	o.t.Helper()
	o.alter(who, "cool_until", time.Now().Add(-time.Second))
}

// alter puts a time into the row of a person's one grant.
func (o *society) alter(who, name string, at time.Time) {
	o.t.Helper()
	out, err := o.direct.Scan(o.t.Context(), &dynamodb.ScanInput{TableName: &o.Config.Tables.Grants})
	must(o.t, err)
	changed := 0
	for _, item := range out.Items {
		principal, _ := item["principal"].(*types.AttributeValueMemberS)
		if item["sealed"] == nil || principal == nil || principal.Value != broker.PrincipalID(shared.oidc.URL, who) {
			continue
		}
		_, err := o.direct.UpdateItem(o.t.Context(), &dynamodb.UpdateItemInput{TableName: &o.Config.Tables.Grants,
			Key: map[string]types.AttributeValue{"pk": item["pk"], "sk": item["sk"]}, UpdateExpression: aws.String("SET " + name + " = :at"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":at": &types.AttributeValueMemberS{Value: at.UTC().Format("2006-01-02T15:04:05.000000000Z")}}})
		must(o.t, err)
		changed++
	}
	if changed != 1 {
		o.t.Fatalf("%d grants were changed", changed)
	}
}

// revokeAtProvider ends a person's consent at the provider, as they could do
// there, and the upstream hears of it.
func (o *society) revokeAtProvider(who string) {
	o.t.Helper()
	set := o.hold(who)
	response, err := client.PostForm(o.provider.URL+"/token/revocation", url.Values{"token": {set.Refresh.Reveal()}, "client_id": {connectClient}})
	must(o.t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		o.t.Fatalf("the provider answered a revocation with %d", response.StatusCode)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refuses[set.Access.Reveal()] = true
}

// secretive requires that nothing which belongs to a browser alone is in a log
// or a table: codes, cookies, form tokens.
func (o *society) secretive() {
	c := o.Config.Tables
	dump, err := leak.Tables(context.Background(), o.direct, c.Catalogue, c.Revocations, c.Grants, c.Transient, c.Audit)
	if err != nil {
		o.t.Error(err)
		return
	}
	looked := 0
	for _, s := range o.surfers {
		looked += len(s.hidden)
		for _, text := range s.hidden {
			if strings.Contains(o.log.String(), text) || strings.Contains(string(dump), text) {
				o.t.Errorf("something of %s's browser (%d bytes) is in a log or a table", s.who, len(text))
			}
		}
	}
	if looked == 0 && len(o.surfers) > 0 {
		o.t.Error("nothing of any browser is looked for")
	}
	if tickets := regexp.MustCompile(`/connect/[A-Z2-7]{26}|brk1\.`); tickets.MatchString(o.log.String()) || tickets.Match(dump) {
		o.t.Error("a link or a state is in a log or a table")
	}
}
