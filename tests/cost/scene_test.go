//go:build e2e && !nojava

package cost

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/policy"
	"bindery/shared/secret"
)

// upstream answers whoever calls: a session to who begins one, a stream that
// stays open to a GET, and a list of one tool.
func upstream(w http.ResponseWriter, r *http.Request) {
	var m struct {
		ID     json.RawMessage
		Method string
	}
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"x\"}}\n\n")
		if http.NewResponseController(w).Flush() == nil {
			<-r.Context().Done()
		}
		return
	}
	if json.NewDecoder(r.Body).Decode(&m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	result := `{"content":[{"type":"text","text":"made-up-result"}]}`
	switch m.Method {
	case "initialize":
		w.Header().Set("Mcp-Session-Id", rand.Text())
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"made-up","version":"1"}}`
	case "tools/list":
		result = `{"tools":[{"name":"create_issue","inputSchema":{"type":"object"}}]}`
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

// scene is the world with an upstream, and what all cards need.
type scene struct {
	*world
	upstream string
	key      string // ARN of the key with which Bindery signs
}

const variable = "BINDERY_SECRET_COST"

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{world: newWorld(t)}
	s.upstream = s.serve(http.HandlerFunc(upstream))
	made, err := kms.NewFromConfig(s.AWS).CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	must(t, err)
	s.key = *made.KeyMetadata.Arn
	t.Setenv(variable, stack.RandomSecret("made-up-"))
	must(t, s.Registry.PutStore(t.Context(), broker.Store{Environment: environment, Name: "env", Kind: "env", Paths: broker.Scope{variable}, State: broker.Active}))
	s.vault()
	s.provider(broker.Provider{Name: "acme", Issuer: s.issuer, ClientAuth: broker.ClientSecretBasic, ClientSecret: s.secret("clients/acme")})
	s.provider(broker.Provider{Name: "signed", Issuer: s.issuer, ClientAuth: broker.ClientPrivateKeyJWT, SigningKey: s.key})
	s.govern(`@id("no-deletes") forbid (principal, action == Action::"call_tool", resource) when { context.tool like "delete*" };`)
	return s
}

// govern puts a policy set into force, as most deployments have one.
func (s *scene) govern(text string) {
	s.t.Helper()
	id := policy.DocumentID(text, "")
	must(s.t, s.DB.AddPolicySet(s.t.Context(), broker.PolicySet{Environment: environment, ID: id, Text: text, At: time.Now(), By: s.principal}))
	e, err := s.DB.Environment(s.t.Context(), environment)
	must(s.t, err)
	e.Policies = id
	must(s.t, s.DB.PutEnvironment(s.t.Context(), e))
}

// secret stores one in Secrets Manager and gives its reference.
func (s *scene) secret(name string) broker.Reference {
	s.t.Helper()
	must(s.t, s.PutSecret(s.t.Context(), environment+"/"+name, `{"token":"`+stack.RandomSecret("made-up-")+`"}`))
	return s.reference("aws-sm:" + environment + "/" + name + "#token")
}

func (s *scene) reference(text string) broker.Reference {
	s.t.Helper()
	r, err := broker.ParseReference(text)
	must(s.t, err)
	return r
}

// vault registers a Vault that knows one secret, with a sealed token for it.
func (s *scene) vault() {
	s.t.Helper()
	url := s.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"request_id":"made-up","data":{"token":%q}}`, "made-up-in-vault-0123456789")
	}))
	must(s.t, s.Registry.PutStore(s.t.Context(), broker.Store{Environment: environment, Name: "vault", Kind: "vault", Paths: broker.Scope{"kv/mcp/*"},
		State: broker.Active, Address: url, Auth: broker.StoreAuth{Method: broker.AuthToken, Credential: s.reference("sealed:vault-token")}}))
	s.seal("vault-token", url)
}

// seal stores a sealed value for an address.
func (s *scene) seal(id, url string) {
	s.t.Helper()
	origin, err := broker.OriginDigest(url)
	must(s.t, err)
	_, err = s.Sealed.Put(s.t.Context(), environment, id, origin, secret.New(stack.RandomSecret("made-up-")))
	must(s.t, err)
}

func (s *scene) provider(p broker.Provider) {
	s.t.Helper()
	p.Environment, p.State, p.Registration, p.ClientID = environment, broker.Active, broker.Preregistered, "bindery"
	must(s.t, s.DB.PutProvider(s.t.Context(), p))
}

// server registers the upstream under a name.
func (s *scene) server(name string, limits broker.Limits) {
	s.t.Helper()
	must(s.t, s.Registry.PutServer(s.t.Context(), broker.Server{Environment: environment, Name: name, State: broker.Active, Owner: "platform", URL: s.upstream,
		Limits: limits, Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}},
		Propagate: []broker.Propagation{{Attribute: "email", Header: "X-User-Email"}}}))
}

// bind makes a card for a group at a server.
func (s *scene) bind(server string, change func(*broker.Binding)) {
	s.t.Helper()
	b := broker.Binding{Environment: environment, Server: server, Name: "staff-" + server, State: broker.Active, Owner: "platform",
		Actor: broker.Actor{Group: "staff"}, Allow: broker.Allow{Tools: []string{"*"}}}
	change(&b)
	must(s.t, s.Registry.Bind(s.t.Context(), b))
}

// static is a server with a card of one reference.
func (s *scene) static(server string, reference broker.Reference, keep time.Duration) {
	s.server(server, broker.Limits{})
	s.bind(server, func(b *broker.Binding) {
		b.Mode, b.Source, b.MaxAge = broker.ServiceAccount, broker.Static, keep
		b.Fields = []broker.Field{{Name: "token", Reference: reference}}
	})
}

// issued is a server with tokens that a provider issues.
func (s *scene) issued(server string, mode broker.Mode, source broker.SourceKind, provider string) {
	s.server(server, broker.Limits{})
	s.bind(server, func(b *broker.Binding) {
		b.Mode, b.Source, b.Provider, b.Scopes = mode, source, provider, []string{"issues.write"}
	})
}

// own is a server where alice has an account of her own, with a token that lives
// so long.
func (s *scene) own(server string, life time.Duration) {
	s.t.Helper()
	s.issued(server, broker.UserDelegated, broker.AuthorizationCode, "acme")
	origin, err := broker.OriginDigest(s.upstream)
	must(s.t, err)
	key := broker.GrantKey{Environment: environment, Principal: s.principal, Server: server, Origin: origin}
	now, scopes := time.Now().UTC(), []string{"issues.write"}
	set := credential.TokenSet{Access: secret.New(stack.RandomSecret("made-up-")), Refresh: secret.New(stack.RandomSecret("made-up-")), Expires: now.Add(life)}
	sealed, err := credential.SealTokens(s.t.Context(), s.Sealer, key, set, scopes)
	must(s.t, err)
	must(s.t, s.DB.BeginGrant(s.t.Context(), broker.Grant{GrantKey: key, State: broker.Active, Provider: "acme", Authority: s.issuer, Scopes: scopes, Consented: now,
		Sealed: sealed.Sealed, Expires: sealed.Expires, Refreshes: true}, broker.Consent{Agent: agent, At: now}))
}

// markers makes so many wide markers that stop nobody.
func (s *scene) markers(from, to int) {
	s.t.Helper()
	var all sync.WaitGroup
	for lane := range 8 {
		all.Go(func() {
			for i := from + lane; i < to; i += 8 {
				m := broker.Marker{Environment: environment, Kind: broker.GroupMarker, ID: fmt.Sprintf("former-team-%04d", i),
					Epoch: 1, Revoked: true, At: time.Now(), By: s.principal}
				if err := s.DB.PutMarker(s.t.Context(), m); err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// request is one of alice's, as API Gateway hands it on.
func (s *scene) request(server, method, body string) *events.APIGatewayProxyRequest {
	return &events.APIGatewayProxyRequest{HTTPMethod: method, Path: "/mcp/" + environment + "/" + server, Body: body,
		RequestContext: events.APIGatewayProxyRequestContext{RequestID: "0a1b2c3d-" + rand.Text()[:4] + "-4444-8888-" + rand.Text()[:12]},
		MultiValueHeaders: map[string][]string{"Host": {"mcp.example.com"}, "Authorization": {"Bearer " + s.token}, "Content-Type": {"application/json"},
			"Accept": {"application/json, text/event-stream"}, "MCP-Protocol-Version": {"2025-11-25"}}}
}

const called = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_issue","arguments":{"title":"x"}}}`

func toolCall(s *scene, server string) *events.APIGatewayProxyRequest {
	return s.request(server, http.MethodPost, called)
}
