//go:build e2e && !nonode

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/enforce"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/config"
)

// deployment is one environment with everything that comes out of it.
type deployment struct {
	*stack.Deployment // at the endpoint itself: what tests do here meets no fault and is not counted

	t         *testing.T
	env       string
	url       string
	faults    *faultproxy.Proxy // between handler and endpoint
	rights    *enforce.Proxy    // behind it: the roles of the template
	direct    *dynamodb.Client
	log       transcript
	answers   transcript
	canaries  []string
	upstreams []*upstream
	served    *stack.Served
	pages     bool // the connect page is served too
}

// plan is what a test may want different.
type plan struct {
	env      string
	listener net.Listener
	issuers  []any               // of the issuer document
	roles    map[string][]string // and who may administer
	bare     bool                // nothing is registered
	pages    bool                // the connect page is served too
	config   func(*config.Config)

	parameters map[string]any    // of the template, by which its roles are
	keys       map[string]string // policies of keys that are not of the stack
}

// deploy provisions a deployment and serves its handler. It ends, and is
// searched, with the test.
func deploy(t *testing.T, changes ...func(*plan)) *deployment {
	t.Helper()
	p := plan{env: "e2e-" + strings.ToLower(rand.Text()[:8]), config: func(*config.Config) {}}
	for _, change := range changes {
		change(&p)
	}
	if p.issuers == nil {
		p.issuers = []any{issuer(p.env, nil)}
	}
	if p.listener == nil {
		listener, err := stack.Listen(0)
		must(t, err)
		p.listener = listener
	}
	members := map[string]any{"issuers": p.issuers}
	if p.roles != nil {
		members["roles"], members["admin_agents"] = p.roles, []string{shellAgent}
	}
	document, err := json.Marshal(members)
	must(t, err)
	d := &deployment{t: t, env: p.env, url: "http://" + p.listener.Addr().String(), pages: p.pages}
	d.Deployment, err = stack.Provision(t.Context(), stack.AWS(shared.moto.URL), p.env, d.url, document)
	must(t, err)
	d.rights = enforce.New(t, shared.moto.URL, enforce.Deployment{Environment: p.env, ValuesKey: d.Config.ValuesKey, Parameters: p.parameters, OtherKeys: p.keys}, &shared.tally)
	endpoint := d.rights.URL
	if p.pages {
		endpoint = isolating(t, endpoint)
	}
	d.faults = faultproxy.New(t, endpoint)
	d.direct = dynamodb.NewFromConfig(d.AWS)
	p.config(&d.Config)
	d.Administer()
	if !p.bare {
		d.seed()
	}
	d.serve(p.listener)
	d.rights.Hold(t)
	t.Cleanup(d.finish)
	return d
}

// serve starts a handler behind the fault proxy, with the SDK's own retries.
func (d *deployment) serve(listener net.Listener) {
	through := *d.Deployment
	through.AWS = patient(stack.AWS(d.faults.URL), d.faults.Idle)
	through.AWS.Retryer = nil
	through.Config.Hosts = append(slices.Clone(d.Config.Hosts), listener.Addr().String())
	log := slog.New(slog.NewJSONHandler(&d.log, nil))
	var h http.Handler
	var err error
	if d.pages {
		h, err = through.Front(log)
	} else {
		h, err = through.Handler(log)
	}
	must(d.t, err)
	d.served = stack.Serve(listener, witness(h, &d.answers))
}

// another serves a second process of the same deployment, which knows nothing
// of what the first one has cached, and sends calls there.
func (d *deployment) another() {
	d.t.Helper()
	before := d.served
	d.t.Cleanup(before.Stop)
	listener, err := stack.Listen(0)
	must(d.t, err)
	d.serve(listener)
	d.url = d.served.URL
}

// seed registers the two stores and the two agents.
func (d *deployment) seed() {
	d.t.Helper()
	ctx := d.t.Context()
	for name, paths := range map[string]broker.Scope{"aws-sm": {d.env + "/*"}, "sealed": {"*"}} {
		must(d.t, d.Registry.PutStore(ctx, broker.Store{Environment: d.env, Name: name, Kind: name, Paths: paths, State: broker.Active}))
	}
	for id, ceiling := range map[string]broker.Risk{shellAgent: broker.Critical, reporterAgent: broker.Medium} {
		must(d.t, d.DB.PutAgent(ctx, broker.Agent{Environment: d.env, ID: id, State: broker.Active, Team: "platform", Ceiling: ceiling}))
	}
}

// issuer is the OpenID provider in the issuer document of an environment.
func issuer(env string, more map[string]any) map[string]any {
	i := map[string]any{
		"name": issuerName, "issuer": shared.oidc.URL, "kind": "user", "environments": []string{env},
		"audiences":  []any{map[string]any{"audience": audience, "servers": []string{"*"}}},
		"algorithms": []string{"RS256"}, "max_age": "1h",
		"claims": map[string]any{"email": "email", "groups": "groups", "agent": []string{"client_id"}},
		"groups": map[string]string{"g-dev": "dev", "g-ops": "ops"},
	}
	for name, value := range more {
		if i[name] = value; value == nil {
			delete(i, name)
		}
	}
	return i
}

// person is the actor that a user of the OpenID provider is.
func person(name string) broker.Actor {
	return broker.Actor{Principal: broker.PrincipalID(shared.oidc.URL, name)}
}

func group(name string) broker.Actor { return broker.Actor{Group: name} }

// canary is a new credential. It holds characters that each encoding writes
// differently.
func (d *deployment) canary() string {
	c := "canary-" + rand.Text() + `/+"=%~`
	d.canaries = append(d.canaries, c)
	return c
}

// secret stores a new canary in Secrets Manager, as the member "token" of a
// JSON secret, and gives it with its reference.
func (d *deployment) secret(name string) (canary, reference string) {
	d.t.Helper()
	canary = d.canary()
	must(d.t, d.PutSecret(d.t.Context(), d.env+"/"+name, object("token", canary)))
	return canary, "aws-sm:" + d.env + "/" + name + "#token"
}

// object is a JSON object of text members.
func object(pairs ...string) string {
	members := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		members[pairs[i]] = pairs[i+1]
	}
	text, _ := json.Marshal(members)
	return string(text)
}

var bearer = []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}

// server registers an upstream that wants a bearer token and is told who calls.
func (d *deployment) server(name, url string, changes ...func(*broker.Server)) broker.Server {
	d.t.Helper()
	s := broker.Server{Environment: d.env, Name: name, State: broker.Active, Owner: "platform", URL: url, Attach: bearer,
		Timeout: 20 * time.Second, Propagate: []broker.Propagation{{Attribute: "email", Header: "X-User-Email"}, {Attribute: "agent", Header: "X-Agent"}}}
	for _, change := range changes {
		change(&s)
	}
	must(d.t, d.Registry.PutServer(d.t.Context(), s))
	s.Version++
	return s
}

// card is a binding that permits everything, for one field "token".
func (d *deployment) card(server, name string, actor broker.Actor, reference string) broker.Binding {
	d.t.Helper()
	r, err := broker.StoredReference(reference)
	must(d.t, err)
	return broker.Binding{Environment: d.env, Server: server, Name: name, State: broker.Active, Actor: actor,
		Allow: broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}},
		Mode:  broker.ServiceAccount, Source: broker.Static, Owner: "platform", Fields: []broker.Field{{Name: "token", Reference: r}}}
}

// bind stores a card and gives it as it is stored.
func (d *deployment) bind(b broker.Binding, changes ...func(*broker.Binding)) broker.Binding {
	d.t.Helper()
	for _, change := range changes {
		change(&b)
	}
	b.Origin = "" // whatever the server's is now
	must(d.t, d.Registry.Bind(d.t.Context(), b))
	b.Version++
	origin, err := broker.OriginDigest(d.serverURL(b.Server))
	must(d.t, err)
	b.Origin = origin
	return b
}

func (d *deployment) serverURL(name string) string {
	d.t.Helper()
	s, err := d.DB.Snapshot(d.t.Context(), broker.Lookup{Route: broker.Route{Environment: d.env, Server: name}})
	must(d.t, err)
	return s.Server.URL
}

// simple is the usual scene: one server "notes" at u, group dev bound to it
// with one secret. It gives the canary.
func (d *deployment) simple(u *upstream) string {
	d.t.Helper()
	d.server("notes", u.URL)
	canary, reference := d.secret("notes")
	d.bind(d.card("notes", "dev-notes", group("dev"), reference))
	return canary
}

// revoke places a marker.
func (d *deployment) revoke(kind broker.MarkerKind, id string) {
	d.t.Helper()
	must(d.t, d.DB.PutMarker(d.t.Context(), broker.Marker{Environment: d.env, Kind: kind, ID: id, Epoch: 1, Revoked: true, At: time.Now(), By: "test"}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
