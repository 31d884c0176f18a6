//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
)

// calls calls the tool as a person, with the official client in an era.
func (o *society) calls(t *testing.T, who, version string) string {
	t.Helper()
	s, _ := o.session(who, "files", version)
	result, err := whoami(t, s)
	must(t, err)
	return textOf(result)
}

// TestEachPersonIsThemselvesAtTheUpstream: no grant, one link, consent in a
// browser, and from then on the upstream knows each by their own name there, in
// both eras.
func TestEachPersonIsThemselvesAtTheUpstream(t *testing.T) {
	t.Parallel()
	o := live(t)
	for who, version := range map[string]string{alice: modern, bob: legacy} {
		caller := &stack.Caller{Token: token(t, who), Version: version}
		_, err := caller.Connect(t.Context(), o.url+"/mcp/"+o.env+"/files")
		if err == nil {
			t.Fatalf("%s was let in without a consent", who)
		}
		link := links.FindString(err.Error())
		if link == "" {
			t.Fatalf("%s was shown no link: %v", who, err)
		}
		s := o.surfer(t, who)
		question := s.open(link)
		question.shows(t, http.StatusOK, "Let an agent use files as you?")
		for _, said := range []string{shellAgent, "files.read", strings.TrimSuffix(strings.TrimPrefix(o.u.URL, "http://"), "/mcp"), who + "@example.com"} {
			if !strings.Contains(question.body, said) {
				t.Errorf("the question does not say %s", said)
			}
		}
		s.say(question, "allow").shows(t, http.StatusOK, "files is connected")
		o.hold(who)
	}
	seen := map[string]string{}
	for _, who := range []string{alice, bob} {
		for _, version := range []string{legacy, modern} {
			if said := o.calls(t, who, version); said != "you are "+who+"-at-acme" {
				t.Errorf("%s: answered %q", who, said)
			}
		}
		got := o.u.last(t)
		seen[got.Header.Get("Authorization")] = who
		if strings.Contains(got.Header.Get("Authorization"), token(t, who)) {
			t.Error("the caller's own token reached the upstream")
		}
		if records := o.records(answer{receipt: got.Header.Get("Bindery-Receipt")}); len(records) != 2 ||
			records[1].Principal != broker.PrincipalID(shared.oidc.URL, who) || records[1].Mode != broker.UserDelegated || records[1].Source != broker.AuthorizationCode {
			t.Errorf("records %+v", records)
		}
	}
	if len(seen) != 2 {
		t.Errorf("two people have %d tokens", len(seen))
	}
	if o.tokens.count("authorization_code") != 2 || o.tokens.count("refresh_token") != 0 {
		t.Errorf("the provider was asked %v", o.tokens.asked)
	}
}

// TestALateTokenIsRefreshedInSilence: many calls at once lead to one refresh,
// and nobody is asked.
func TestALateTokenIsRefreshedInSilence(t *testing.T) {
	t.Parallel()
	o := live(t)
	o.connected(alice)
	first := o.hold(alice)
	o.expire(alice)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			a := o.send(o.request(alice, "files", modern, toolCall(modern)))
			a.want(t, http.StatusOK, "you are alice-at-acme")
		})
	}
	all.Wait()
	second := o.hold(alice)
	if second.Access.Equal(first.Access) || second.Refresh.Equal(first.Refresh) {
		t.Error("the tokens were not replaced")
	}
	if n := o.tokens.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	o.post(alice, "files").want(t, http.StatusOK, "you are alice-at-acme")
	if n := o.tokens.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes after one more call", n)
	}
}

// TestADyingGrantIsAskedForOnce: what the provider no longer honours leads to a
// question, and the calls after it to the same one; consent makes a new generation.
func TestADyingGrantIsAskedForOnce(t *testing.T) {
	t.Parallel()
	o := live(t)
	s := o.connected(alice)
	o.revokeAtProvider(alice)
	o.expire(alice)
	first := o.link(alice, "files")
	for range 3 {
		if next := o.link(alice, "files"); next != first {
			t.Error("two links for one need")
		}
	}
	if n := o.tokens.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes of a dead grant", n)
	}
	_, view, err := o.grant(alice, "files")
	if err != nil || view.Grant.Dead.IsZero() {
		t.Errorf("the grant is %+v, %v", view.Grant, err)
	}
	s.consent(first).shows(t, http.StatusOK, "files is connected")
	o.hold(alice)
	o.post(alice, "files").want(t, http.StatusOK, "you are alice-at-acme")
	if _, view, _ := o.grant(alice, "files"); view.Grant.Generation != 2 || !view.Grant.Dead.IsZero() {
		t.Errorf("the grant is %+v", view.Grant)
	}
}
