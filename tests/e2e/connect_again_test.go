//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestAnotherAgentNeedsItsOwnYesAndNoProvider: what a person allowed one agent,
// no other may do; their yes to it goes nowhere but to Bindery.
func TestAnotherAgentNeedsItsOwnYesAndNoProvider(t *testing.T) {
	t.Parallel()
	o := live(t)
	s := o.connected(alice)
	const other = issuerName + ":" + connectClient // any other client will do
	must(t, o.DB.PutAgent(t.Context(), broker.Agent{Environment: o.env, ID: other, State: broker.Active, Team: "platform", Ceiling: broker.Critical}))
	tokens, err := shared.oidc.UserToken(t.Context(), alice, connectClient, audience)
	must(t, err)
	through := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tokens.Access.Reveal()) }
	a := o.post(alice, "files", through)
	link := links.FindString(a.body)
	if link == "" {
		t.Fatalf("the other agent was answered %d %.200s", a.status, a.body)
	}
	o.ended(a, broker.AgentNotConsented)
	o.u.untouched(t)
	before := o.tokens.count("authorization_code")
	question := s.open(link)
	question.shows(t, http.StatusOK, "Let an agent use files as you?")
	s.say(question, "deny").shows(t, http.StatusOK, "You said no")
	if links.FindString(o.post(alice, "files", through).body) == link {
		t.Error("a link that was answered is shown again")
	}
	s.consent(links.FindString(o.post(alice, "files", through).body)).shows(t, http.StatusOK, "files is connected")
	o.post(alice, "files", through).want(t, http.StatusOK, "you are alice-at-acme")
	o.post(alice, "files").want(t, http.StatusOK, "you are alice-at-acme")
	if n := o.tokens.count("authorization_code"); n != before {
		t.Errorf("the provider was asked for %d more codes", n-before)
	}
}

// TestAProviderInTroubleIsNoReasonToAsk: what may pass says nothing about a
// consent, and when it has passed the grant is as good as before.
func TestAProviderInTroubleIsNoReasonToAsk(t *testing.T) {
	t.Parallel()
	o := live(t)
	o.connected(alice)
	o.expire(alice)
	o.tokens.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for range 3 { // one of them asks, the others wait until it has cooled
		a := o.post(alice, "files")
		if a.status < 500 || links.MatchString(a.body) {
			t.Errorf("answered %d %.200s", a.status, a.body)
		}
	}
	if n := o.tokens.count("refresh_token"); n != 1 {
		t.Errorf("a provider in trouble was asked %d times", n)
	}
	_, view, err := o.grant(alice, "files")
	if err != nil || !view.Grant.Dead.IsZero() || view.Grant.CoolUntil.IsZero() {
		t.Errorf("the grant is %+v, %v", view.Grant, err)
	}
	o.tokens.answer(nil)
	o.warm(alice)
	o.post(alice, "files").want(t, http.StatusOK, "you are alice-at-acme")
	o.hold(alice)
}

// TestAServersOwnRefusalIsNoQuestion: a plain 403 is its answer to this person,
// and goes to the caller as such.
func TestAServersOwnRefusalIsNoQuestion(t *testing.T) {
	t.Parallel()
	o := live(t)
	status, challenge := http.StatusForbidden, ""
	u := o.upstreamAt(<-shared.acme.free, func(w http.ResponseWriter, _ *http.Request) {
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		w.WriteHeader(status)
	})
	o.server("strict", u.URL)
	o.bind(broker.Binding{Environment: o.env, Server: "strict", Name: "own", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.AuthorizationCode, Owner: "platform",
		Provider: "acme", Scopes: []string{"files.read", "offline_access"}})
	s := o.surfer(t, alice)
	s.consent(o.link(alice, "strict")).shows(t, http.StatusOK, "strict is connected")
	if a := o.post(alice, "strict"); links.MatchString(a.body) || a.status == http.StatusOK {
		t.Errorf("a plain 403 was answered with %d %.200s", a.status, a.body)
	}
	challenge = `Bearer error="insufficient_scope", scope="files.read files.write admin"`
	link := links.FindString(o.post(alice, "strict").body)
	question := s.open(link)
	question.shows(t, http.StatusOK, "Let an agent use strict as you?")
	if p := question.body; strings.Contains(p, "files.write") || strings.Contains(p, "<code>admin") {
		t.Error("the upstream widened what is asked for")
	}
	status, challenge = http.StatusUnauthorized, `Bearer error="invalid_token"`
	reached := len(u.arrivals())
	if a := o.post(alice, "strict"); !links.MatchString(a.body) || a.header.Get("WWW-Authenticate") != "" {
		t.Errorf("a 401 was answered with %d %.200s", a.status, a.body)
	}
	if n := len(u.arrivals()) - reached; n != 2 || o.tokens.count("refresh_token") != 1 {
		t.Errorf("the upstream got %d requests, the provider %v: want one more token, and one more try", n, o.tokens.asked)
	}
}
