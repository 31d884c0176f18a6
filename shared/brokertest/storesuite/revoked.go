package storesuite

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func testRevoked(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every kind of marker refuses the next decision, until it is lifted": testRevokedKinds,
		"markers of others refuse nothing":                                   testRevokedOthers,
		"a dead card still stands above wider ones":                          testRevokedAbove,
		"what cannot be read refuses":                                        testRevokedUnread,
	})
}

// caller is somebody whom every kind of marker can concern.
var caller = broker.Principal{ID: alice, Kind: broker.User, Issuer: "https://login.example.com/", Groups: []string{group.Group, "others"}, Agent: robot}

// gives is a source that gives the same to all.
type gives struct{}

func (gives) Obtain(context.Context, broker.Ask) (broker.Credential, error) {
	return broker.Credential{Fields: map[string]secret.Value{"token": secret.New("made-up-value-0123456789")}}, nil
}

// calling registers a server with a card of references and one of grants, and
// gives what makes a call under one of them.
func (b *bench) calling() func(card string) error {
	b.Helper()
	ctx := b.Context()
	server, agent, store := fullServer(b.environment), fullAgent(b.environment), fullStore(b.environment)
	server.Limits, agent.Limits = broker.Limits{}, broker.Limits{}
	server.Attach = []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}
	origin, err := broker.OriginDigest(server.URL)
	b.must(errors.Join(err, b.Writer.PutEnvironment(ctx, broker.Environment{Name: b.environment, State: broker.Active}),
		b.Writer.PutServer(ctx, server), b.Writer.PutStore(ctx, store), b.Writer.PutAgent(ctx, agent)))
	for _, card := range []broker.Binding{
		{Name: "shared", Actor: group, Mode: broker.ServiceAccount, Source: broker.Static,
			Fields: []broker.Field{{Name: "token", Reference: reference("aws-sm:prod/github?stage=AWSPREVIOUS#token")}}},
		{Name: "wider", Actor: broker.Actor{Anyone: true}, Mode: broker.ServiceAccount, Source: broker.Static,
			Fields: []broker.Field{{Name: "token", Reference: reference("aws-sm:prod/wider")}}},
		{Name: "own", Actor: group, Priority: 1, Mode: broker.UserDelegated, Source: broker.AuthorizationCode, Provider: "github"},
	} {
		card.Environment, card.Server, card.State, card.Origin, card.Owner = b.environment, "github", broker.Active, origin, "team-git"
		card.Allow.Tools = []string{"*"}
		b.must(b.Writer.PutBinding(ctx, card))
	}
	judge := broker.New(broker.Parts{Catalogue: b.Catalogue, Markers: b.Marked, Audit: b.Audit, Quotas: b.Quotas, Now: time.Now,
		Nonce: func() string { return "nonce" }, Status: func(error) int { return 403 },
		Sources: map[broker.SourceKind]broker.Source{broker.Static: gives{}, broker.AuthorizationCode: gives{}}})
	n := 0
	return func(card string) error {
		n++
		call := broker.Call{Receipt: fmt.Sprintf("%s-%s-%d", b.environment, card, n), Route: b.route(), Principal: caller, Session: session,
			Action: broker.Stream, Method: "GET", BindingName: card}
		d, err := judge.Decide(ctx, call)
		if err != nil {
			return err
		}
		r, err := judge.Obtain(ctx, d)
		if err != nil {
			return err
		}
		if err := judge.Recheck(ctx, d); err != nil {
			return err
		}
		return judge.Settle(ctx, r, broker.Result{})
	}
}

// revocable is each kind with what it revokes here, under which card, and the
// reason of the refusal.
func (b *bench) revocable() []struct {
	broker.MarkerKey
	card string
	want broker.Reason
} {
	type row = struct {
		broker.MarkerKey
		card string
		want broker.Reason
	}
	key := func(kind broker.MarkerKind, id string) broker.MarkerKey { return broker.MarkerKey{Kind: kind, ID: id} }
	return []row{
		{key(broker.PrincipalMarker, alice), "shared", broker.PrincipalRevoked},
		{key(broker.AgentMarker, robot), "shared", broker.AgentRevoked},
		{key(broker.SessionMarker, session), "shared", broker.SessionRevoked},
		{key(broker.GroupMarker, "others"), "shared", broker.GroupRevoked},
		{key(broker.IssuerMarker, caller.Issuer), "shared", broker.IssuerRevoked},
		{key(broker.ServerMarker, "github"), "shared", broker.ServerClosed},
		{key(broker.BindingMarker, "github/shared"), "shared", broker.BindingClosed},
		{key(broker.StoreMarker, "aws-sm"), "shared", broker.StoreUnregistered},
		{key(broker.EnvironmentMarker, b.environment), "shared", broker.EnvironmentClosed},
		{key(broker.EverythingMarker, b.environment), "own", broker.EnvironmentClosed},
		{key(broker.ReferenceMarker, "aws-sm:prod/github?stage=AWSPREVIOUS"), "shared", broker.ReferenceRevoked},
		{key(broker.ReferenceMarker, "aws-sm:prod/github"), "shared", broker.ReferenceRevoked},
		{key(broker.ReferenceMarker, "sealed:vault-jwt"), "shared", broker.ReferenceRevoked}, // with which the store is read
		{key(broker.GrantMarker, alice+"/github"), "own", broker.GrantRevoked},
	}
}

func (b *bench) wantsReason(err error, want broker.Reason) {
	b.Helper()
	if broker.ReasonOf(err) != want {
		b.Fatalf("got %v, want %q", err, want)
	}
}

func testRevokedKinds(b *bench) {
	call := b.calling()
	b.must(call("shared"))
	b.must(call("own"))
	for _, c := range b.revocable() {
		m := fullMarker(b.environment, c.Kind, c.ID)
		b.must(b.Markers.PutMarker(b.Context(), m))
		for range 8 { // whichever copy is read
			b.wantsReason(call(c.card), c.want)
		}
		m.Epoch, m.Revoked = 2, false
		b.must(b.Markers.PutMarker(b.Context(), m))
		b.must(call(c.card))
	}
}

func testRevokedOthers(b *bench) {
	call := b.calling()
	for _, k := range []broker.MarkerKey{
		{Kind: broker.PrincipalMarker, ID: robot}, {Kind: broker.AgentMarker, ID: alice}, {Kind: broker.SessionMarker, ID: alice},
		{Kind: broker.GroupMarker, ID: alice}, {Kind: broker.GroupMarker, ID: "other"}, {Kind: broker.IssuerMarker, ID: "https://login.example.com"},
		{Kind: broker.ServerMarker, ID: "jira"}, {Kind: broker.BindingMarker, ID: "jira/shared"}, {Kind: broker.BindingMarker, ID: "github/none"},
		{Kind: broker.StoreMarker, ID: "vault"}, {Kind: broker.ReferenceMarker, ID: "aws-sm:prod/github?stage=AWSCURRENT"},
		{Kind: broker.ReferenceMarker, ID: "aws-sm:prod/githu"}, {Kind: broker.GrantMarker, ID: alice + "/jira"}, {Kind: broker.GrantMarker, ID: robot + "/github"},
	} {
		b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, k.Kind, k.ID)))
	}
	changed := fullMarker(b.environment, broker.ChangeMarker, "aws-sm:prod/github")
	changed.Revoked = false
	b.must(b.Markers.PutMarker(b.Context(), changed))
	for _, m := range b.everyKind() {
		if m.Kind != broker.EnvironmentMarker && m.Kind != broker.EverythingMarker {
			m.Environment = b.other
			b.must(b.Markers.PutMarker(b.Context(), m))
		}
	}
	b.must(call("shared"))
	b.must(call("own"))
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.GrantMarker, alice+"/github")))
	b.must(call("shared")) // uses no grant
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.ReferenceMarker, "aws-sm:prod/github")))
	b.must(call("wider")) // uses another reference
}

func testRevokedAbove(b *bench) {
	call := b.calling()
	b.must(call("wider"))
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.BindingMarker, "github/own")))
	b.wantsReason(call(""), broker.BindingClosed)
	b.wantsReason(call("wider"), broker.BindingClosed)
}

func testRevokedUnread(b *bench) {
	call := b.calling()
	heal := b.Fail()
	err := call("shared")
	heal()
	b.wantsReason(err, broker.CatalogueUnread)
	b.must(call("shared"))
}
