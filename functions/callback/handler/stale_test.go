package handler

import (
	"context"
	"testing"
	"time"

	"bindery/shared/broker"
)

// What was agreed to is bound to the origin: another one has no grant, and an
// answer that was under way comes to nothing.
func TestServerURLEditedAfterConsent(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	link := f.linkFor("acme", "alice", "corp:desk", broker.ConsentDead)
	question := b.get(link).want(200, "")
	other := f.linkFor("acme", "alice", "corp:desk", broker.ConsentDead)
	back := f.acme.agree(b.post(other, b.get(other).yes()).onward(), "me-at-acme")
	s, err := f.tables.Server(t.Context(), broker.Route{Environment: "prod", Server: "acme"})
	f.must(err)
	view, _ := f.grant("acme", "alice")
	s.URL = "https://evil.example.com/mcp"
	f.must(f.tables.PutServer(t.Context(), s))
	asked := f.acme.asked()
	b.get(link).want(409, "stale")
	b.post(link, question.yes()).want(409, "stale")
	b.get(back).want(409, "stale")
	if f.acme.asked() != asked {
		t.Error("the code was redeemed for another upstream")
	}
	origin, err := broker.OriginDigest(s.URL)
	f.must(err)
	moved := view.Grant.GrantKey
	moved.Origin = origin
	if _, err := (bound{}).Open(t.Context(), broker.SealContext{Environment: "prod", Purpose: "grant", Origin: origin,
		ID: broker.Digest("grant", moved.Principal, moved.Server)}, view.Grant.Sealed); err == nil {
		t.Error("the grant opens for another origin")
	}
}

func (f *fixture) revoke(kind broker.MarkerKind, id string) {
	f.must(f.tables.PutMarker(context.Background(), broker.Marker{Environment: "prod", Kind: kind, ID: id, Epoch: 1, Revoked: true, At: time.Now().UTC(), By: "root"}))
}

func TestWhatChangedBetweenLinkAndAnswer(t *testing.T) {
	for name, change := range map[string]func(f *fixture){
		"the card": func(f *fixture) {
			card, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "acme"}, "own")
			f.must(err)
			card.Scopes = []string{"everything"}
			f.must(f.tables.PutBinding(t.Context(), card))
		},
		"the person":      func(f *fixture) { f.revoke(broker.PrincipalMarker, f.principal("alice")) },
		"the issuer":      func(f *fixture) { f.revoke(broker.IssuerMarker, f.corp.URL()) },
		"the group":       func(f *fixture) { f.revoke(broker.GroupMarker, "corp:staff") },
		"the grant":       func(f *fixture) { f.revoke(broker.GrantMarker, f.principal("alice")+"/acme") },
		"the server":      func(f *fixture) { f.revoke(broker.ServerMarker, "acme") },
		"the binding":     func(f *fixture) { f.revoke(broker.BindingMarker, "acme/own") },
		"the environment": func(f *fixture) { f.revoke(broker.EverythingMarker, "prod") },
		"the agent": func(f *fixture) {
			a, err := f.tables.Agent(t.Context(), "prod", "corp:desk")
			f.must(err)
			a.State = broker.Suspended
			f.must(f.tables.PutAgent(t.Context(), a))
		},
		"the provider": func(f *fixture) {
			p, err := f.tables.Provider(t.Context(), "prod", "acme")
			f.must(err)
			p.State = broker.Suspended
			f.must(f.tables.PutProvider(t.Context(), p))
		},
	} {
		f := newFixture(t)
		b := f.browser()
		link := f.link("acme", "alice")
		question := b.logIn(link, "alice").want(200, "")
		second := f.link("acme", "alice")
		back := f.acme.agree(b.post(second, b.get(second).yes()).onward(), "me-at-acme")
		change(f)
		if got := b.post(link, question.yes()); got.Code != 409 {
			t.Errorf("%s, and the answer: %d", name, got.Code)
		}
		if got := b.get(back); got.Code != 409 || f.acme.asked() != 0 {
			t.Errorf("%s, and the way back: %d", name, got.Code)
		}
		f.nothingStored()
	}
}

// An administrator or the person may end a grant while a consent is under way:
// it is not revived by an answer to an earlier question.
func TestAGrantThatEndedMeanwhileIsNotRevived(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	link := f.linkFor("acme", "alice", "corp:desk", broker.ConsentDead)
	back := f.acme.agree(b.post(link, b.get(link).yes()).onward(), "me-at-acme")
	_, err := f.tables.EndGrant(t.Context(), f.key("acme", "alice"), broker.Revoked, time.Now().UTC())
	f.must(err)
	b.get(back).want(409, "stale")
	if view, _ := f.grant("acme", "alice"); view.Grant.State != broker.Revoked {
		t.Errorf("the grant is %s", view.Grant.State)
	}
}

// TestARevokedClientSecretAsksForNoConsent: it would have to be sent to the
// provider.
func TestARevokedClientSecretAsksForNoConsent(t *testing.T) {
	f := newFixture(t)
	p, err := f.tables.Provider(t.Context(), "prod", "acme")
	f.must(err)
	p.ClientAuth = broker.ClientSecretPost
	p.ClientSecret, err = broker.ParseReference("aws-sm:prod/acme#secret")
	f.must(err)
	f.must(f.tables.PutProvider(t.Context(), p))
	f.must(f.tables.PutStore(t.Context(), broker.Store{Environment: "prod", Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}))
	b, link := f.browser(), f.link("acme", "alice")
	b.logIn(link, "alice").want(200, "")
	f.revoke(broker.ReferenceMarker, "aws-sm:prod/acme")
	b.get(link).want(409, "stale")
	f.nothingStored()
}
