//go:build e2e && !nonode

package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

// TestBinderyIsAClientInEveryWay: by a secret in the header, by one in the body,
// and by a key that never leaves KMS. One token serves all who call.
func TestBinderyIsAClientInEveryWay(t *testing.T) {
	t.Parallel()
	o := atTheOffice(t)
	for n, client := range []string{basic, post, keyed} {
		o.row(client)
		o.server(client, o.u.URL)
		o.issued(client, broker.ServiceAccount, broker.ClientCredentials, client)
		for _, who := range []string{alice, bob} {
			o.post(who, client).want(t, http.StatusOK, "you are "+client)
		}
		o.fresh(t)
		o.asked(t, "client_credentials", n+1)
	}
	o.row(keyed, func(p *broker.Provider) { p.Version, p.ClientID = 1, basic }) // as somebody whose key it is not
	a := o.post(alice, keyed)
	if a.status == http.StatusOK {
		t.Error("a token was issued for a key of somebody else's")
	}
	o.ended(a, broker.ProviderRefused)
}

// TestTheUpstreamSeesPersonAndAgent: the caller's own token is exchanged at the
// issuer that issued it, for one that names the person and, by Bindery's word, the
// agent. It is kept for this person and nobody else.
func TestTheUpstreamSeesPersonAndAgent(t *testing.T) {
	t.Parallel()
	o := atTheOffice(t)
	o.row(keyed)
	o.issued("files", broker.UserDelegated, broker.TokenExchange, keyed)
	callers := map[string]func(*http.Request){alice: o.as(alice), bob: o.as(bob)}
	for range 2 {
		for who, caller := range callers {
			a := o.post(alice, "files", caller)
			a.want(t, http.StatusOK, "you are "+who+" by "+shell)
			if r := o.outcome(a); r.Agent != company+":"+shell || r.Mode != broker.UserDelegated {
				t.Errorf("recorded %+v", r)
			}
			o.fresh(t)
		}
	}
	o.asked(t, exchanging, 2)
}

// TestATokenGoesToItsOwnIssuerOnly: a provider that is another issuer, that does
// not say which it is, or that asks elsewhere for what it is never sees the
// caller's token.
func TestATokenGoesToItsOwnIssuerOnly(t *testing.T) {
	t.Parallel()
	o := atTheOffice(t)
	o.row(keyed)
	o.issued("files", broker.UserDelegated, broker.TokenExchange, keyed)
	o.ended(o.post(alice, "files"), broker.ProviderRefused) // with a token of the other issuer
	o.row(keyed, func(p *broker.Provider) { p.Version, p.Issuer = 1, "" })
	o.ended(o.post(alice, "files", o.as(alice)), broker.ProviderRefused)
	o.row(keyed, func(p *broker.Provider) { p.Version, p.Issuer = 2, o.issues.URL+"/" })
	o.ended(o.post(alice, "files", o.as(alice)), broker.ProviderRefused)
	elsewhere := newCounter(t, o.issues.URL)
	o.row(keyed, func(p *broker.Provider) {
		p.Version, p.Endpoints = 3, broker.Endpoints{Authorization: o.issues.URL + "/auth", Token: elsewhere.url + "/token"}
	})
	o.ended(o.post(alice, "files", o.as(alice)), broker.ProviderRefused)
	o.asked(t, exchanging, 0)
	if n := elsewhere.count(exchanging) + elsewhere.count(""); n != 0 {
		t.Errorf("another address was asked %d times", n)
	}
	o.u.untouched(t)
}

// TestNoExchangeLeavesTheAgentOut: without a key Bindery cannot vouch for the
// agent, and what would name the person alone is not asked for.
func TestNoExchangeLeavesTheAgentOut(t *testing.T) {
	t.Parallel()
	o := atTheOffice(t)
	o.row(basic)
	o.issued("files", broker.UserDelegated, broker.TokenExchange, basic)
	o.ended(o.post(alice, "files", o.as(alice)), broker.ProviderRefused)
	o.asked(t, exchanging, 0)
	o.u.untouched(t)
}

// TestAProviderThatRefusesAnExchange: nothing reaches the upstream, and no other
// credential takes the token's place.
func TestAProviderThatRefusesAnExchange(t *testing.T) {
	t.Parallel()
	o := atTheOffice(t)
	o.row(keyed)
	strange := o.upstream(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	o.server("strange", strange.URL) // which the issuer knows nothing of
	o.issued("strange", broker.UserDelegated, broker.TokenExchange, keyed)
	o.ended(o.post(alice, "strange", o.as(alice)), broker.ProviderRefused)
	o.asked(t, exchanging, 1)
	strange.untouched(t)
	o.u.untouched(t)
}

// TestAnActorsTokenIsShortLivedAndGoodOnce: one that is over, that was seen, or
// that another key signed gets nothing from the provider.
func TestAnActorsTokenIsShortLivedAndGoodOnce(t *testing.T) {
	t.Parallel()
	o := atTheOffice(t)
	ctx := t.Context()
	client := oauth.Client{ID: keyed, Auth: oauth.PrivateKeyJWT, Key: oauth.Key{ID: o.key.ID, Algorithm: o.key.Algorithm, Signer: o.key}}
	at := oauth.Provider{Issuer: o.issues.URL, TokenURL: o.issues.URL + "/token", Configured: true}
	requester := func(late time.Duration) *oauth.Requester {
		return oauth.New(egress.New(egress.Policy{Loopback: true}).HTTP(), func() time.Time { return time.Now().Add(-late) }, true)
	}
	person, err := o.issues.UserToken(ctx, alice, shell, audience)
	must(t, err)
	exchange := func(actor secret.Value) error {
		_, err := requester(0).ExchangeToken(ctx, at, client, oauth.Exchange{Subject: person.Access, SubjectType: oauth.TypeAccessToken,
			Actor: actor, ActorType: oauth.TypeJWT, Resource: o.u.URL, Scopes: []string{"files.read"}})
		return err
	}
	good, err := requester(0).Actor(ctx, at, client, shell)
	must(t, err)
	must(t, exchange(good))
	over, err := requester(2*time.Minute).Actor(ctx, at, client, shell)
	must(t, err)
	for name, actor := range map[string]secret.Value{"one that is over": over, "one that was seen": good, "a person's": person.Access} {
		if err := exchange(actor); !errors.Is(err, oauth.ErrInvalidGrant) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
