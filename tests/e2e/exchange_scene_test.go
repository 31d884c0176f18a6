//go:build e2e && !nonode

package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/enforce"
	"bindery/shared/kmssign"
	"bindery/shared/secret"
)

// The clients as which Bindery is known at the company's issuer, by how each
// authenticates, and the name of that issuer in the issuer document.
const (
	basic, post, keyed = "batch-basic", "batch-post", "batch-key"
	company            = "company"
	exchanging         = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// office is a deployment where callers come with tokens of an issuer that also
// issues the tokens of upstreams: "files" knows person and agent by them. Bindery
// signs there with a key in KMS.
type office struct {
	*deployment
	issues *parts.OIDC
	u      *upstream
	key    *kmssign.Key
	arn    string

	brought []string // tokens of callers
}

func atTheOffice(t *testing.T) *office {
	t.Helper()
	o := &office{}
	client := kms.NewFromConfig(stack.AWS(shared.moto.URL))
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	must(t, err)
	o.arn = *made.KeyMetadata.Arn
	o.key, err = kmssign.Open(t.Context(), client, o.arn, 0)
	must(t, err)
	at, err := stack.Listen(0)
	must(t, err)
	secrets := map[string]string{basic: stack.RandomSecret("made-up+%"), post: stack.RandomSecret("made-up+%")}
	o.issues, err = parts.OIDCProvider(t.Context(), t.Logf, o.known(at, secrets))
	must(t, err)
	t.Cleanup(o.issues.Stop)
	o.deployment = deploy(t, func(p *plan) {
		p.parameters, p.keys = map[string]any{"SigningKeyArn": o.arn}, map[string]string{o.arn: enforce.LeftToRoles()}
		p.issuers = []any{issuer(p.env, nil), issuer(p.env, map[string]any{"name": company, "issuer": o.issues.URL})}
	})
	o.u = o.upstreamAt(at, o.resource().ServeHTTP)
	must(t, o.DB.PutAgent(t.Context(), broker.Agent{Environment: o.env, ID: company + ":" + shell, State: broker.Active, Team: "platform", Ceiling: broker.Critical}))
	o.server("files", o.u.URL)
	for name, value := range secrets {
		o.canaries = append(o.canaries, value)
		must(t, o.PutSecret(t.Context(), o.env+"/clients/"+name, object("secret", value)))
	}
	return o
}

// known is what the company's issuer knows.
func (o *office) known(at net.Listener, secrets map[string]string) parts.OIDCConfig {
	return parts.OIDCConfig{
		Users: []parts.OIDCUser{{Subject: alice, Groups: []string{"g-dev"}}, {Subject: bob, Groups: []string{"g-ops"}}},
		Clients: []parts.OIDCClient{{ID: shell}, {ID: basic, Secret: secret.New(secrets[basic])},
			{ID: post, Secret: secret.New(secrets[post]), Post: true}, {ID: keyed, Key: o.key.JWK}},
		Resources: []parts.OIDCResource{{Audience: audience}, {Audience: "http://" + at.Addr().String() + "/mcp", Scope: "files.read files.write"}},
	}
}

// row registers the issuer as a provider, with one of Bindery's clients there.
func (o *office) row(client string, changes ...func(*broker.Provider)) {
	o.t.Helper()
	p := broker.Provider{Environment: o.env, Name: client, State: broker.Active, Issuer: o.issues.URL,
		Registration: broker.Preregistered, ClientID: client}
	var err error
	switch client {
	case keyed:
		p.ClientAuth, p.SigningKey = broker.ClientPrivateKeyJWT, o.arn
	default:
		p.ClientAuth = map[string]broker.ClientAuth{basic: broker.ClientSecretBasic, post: broker.ClientSecretPost}[client]
		p.ClientSecret, err = broker.ParseReference("aws-sm:" + o.env + "/clients/" + client + "#secret")
		must(o.t, err)
	}
	for _, change := range changes {
		change(&p)
	}
	must(o.t, o.DB.PutProvider(o.t.Context(), p))
}

// issued binds a server to tokens of a provider's.
func (o *office) issued(server string, mode broker.Mode, source broker.SourceKind, provider string) {
	o.t.Helper()
	o.bind(broker.Binding{Environment: o.env, Server: server, Name: "all-" + server, State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: mode, Source: source, Owner: "platform", Provider: provider, Scopes: []string{"files.read"}})
}

// as calls with a token of the company's issuer, which must come out nowhere.
func (o *office) as(who string) func(*http.Request) {
	o.t.Helper()
	got, err := o.issues.UserToken(o.t.Context(), who, shell, audience)
	must(o.t, err)
	o.canaries, o.brought = append(o.canaries, got.Access.Reveal()), append(o.brought, got.Access.Reveal())
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+got.Access.Reveal()) }
}

// asked requires that the issuer was asked so often for tokens of a grant type.
func (o *office) asked(t *testing.T, kind string, want int) {
	t.Helper()
	got, err := o.issues.Asked(t.Context(), kind)
	must(t, err)
	if got != want {
		t.Errorf("the issuer was asked %d times by %s, want %d", got, kind, want)
	}
}

// fresh requires that the token which the upstream got last is none that a caller
// brought. It must come out nowhere else.
func (o *office) fresh(t *testing.T) {
	t.Helper()
	got := strings.TrimPrefix(o.u.last(t).Header.Get("Authorization"), "Bearer ")
	for _, brought := range o.brought {
		if got == brought {
			t.Error("the upstream got a caller's token")
		}
	}
	o.canaries = append(o.canaries, got)
}

// resource is the upstream, an official server that answers under the names that
// its issuer says.
func (o *office) resource() http.Handler {
	whoami := func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		text := "you are " + r.Extra.TokenInfo.UserID
		if actor, ok := r.Extra.TokenInfo.Extra["actor"].(string); ok {
			text += " by " + actor
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	served := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server {
		s := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
		mcp.AddTool(s, &mcp.Tool{Name: "whoami"}, whoami)
		return s
	}, &mcp.StreamableHTTPOptions{Stateless: true})
	return auth.RequireBearerToken(o.verify, &auth.RequireBearerTokenOptions{Scopes: []string{"files.read"}})(served)
}

// verify checks a token as a resource server does that knows of actors.
func (o *office) verify(ctx context.Context, text string, _ *http.Request) (*auth.TokenInfo, error) {
	keys := jose.JSONWebKeySet{}
	if err := fetch(ctx, o.issues.URL+"/jwks", &keys); err != nil {
		return nil, auth.ErrInvalidToken
	}
	var claims struct {
		jwt.RegisteredClaims
		Scope string
		Act   struct{ Sub string }
	}
	_, err := jwt.ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return keys.Keys[0].Key, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(o.issues.URL), jwt.WithAudience(o.u.URL), jwt.WithExpirationRequired())
	if err != nil {
		return nil, errors.Join(auth.ErrInvalidToken, err)
	}
	info := &auth.TokenInfo{UserID: claims.Subject, Scopes: strings.Fields(claims.Scope), Expiration: claims.ExpiresAt.Time, Extra: map[string]any{}}
	if claims.Act.Sub != "" {
		info.Extra["actor"] = claims.Act.Sub
	}
	return info, nil
}
