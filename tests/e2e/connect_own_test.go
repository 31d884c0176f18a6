//go:build e2e && !nonode

package e2e

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// ofOwn asks the API of a person's own connections.
func (o *society) ofOwn(t *testing.T, who, method, path string, header ...string) answer {
	t.Helper()
	tokens, err := shared.oidc.UserToken(t.Context(), who, shell, ownAudience)
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), method, o.url+path, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+tokens.Access.Reveal())
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return o.send(r)
}

// TestWhoDisconnectsIsDisconnectedAtTheProviderToo: the tokens end there, the
// next call asks, and nobody else notices.
func TestWhoDisconnectsIsDisconnectedAtTheProviderToo(t *testing.T) {
	t.Parallel()
	o := live(t)
	o.connected(alice)
	o.connected(bob)
	set := o.hold(alice)
	o.ofOwn(t, alice, "GET", "/connections").want(t, http.StatusOK, `"server":"files","provider":"acme","scopes":["files.read","offline_access"]`)
	o.ofOwn(t, alice, "DELETE", "/connections/files", "Cookie", "a=b").want(t, http.StatusBadRequest, "urn:bindery:problem:cookie")
	o.ofOwn(t, carol, "DELETE", "/connections/files").want(t, http.StatusNotFound, "urn:bindery:problem:not_found")
	o.post(alice, "files").want(t, http.StatusOK, "you are alice-at-acme")
	o.ofOwn(t, alice, "DELETE", "/connections/files").want(t, http.StatusOK, `"provider":"revoked"`)
	if n := o.tokens.count("revocation"); n != 1 {
		t.Errorf("%d revocations", n)
	}
	response, err := client.PostForm(o.provider.URL+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {set.Refresh.Reveal()}, "client_id": {connectClient}})
	must(t, err)
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "invalid_grant") {
		t.Errorf("the refresh token lives on: %d", response.StatusCode)
	}
	o.ofOwn(t, alice, "GET", "/connections").want(t, http.StatusOK, `"connections":[]`)
	reached := len(o.u.arrivals())
	o.link(alice, "files")
	if len(o.u.arrivals()) != reached {
		t.Error("a call without a consent reached the upstream")
	}
	o.post(bob, "files").want(t, http.StatusOK, "you are bob-at-acme")
}

// TestAKeyThatIsTypedInIsUsedAndShownToNobody.
func TestAKeyThatIsTypedInIsUsedAndShownToNobody(t *testing.T) {
	t.Parallel()
	o := live(t)
	u := o.upstream(echo())
	o.server("keyed", u.URL, func(s *broker.Server) {
		s.Attach = []broker.Attachment{{In: broker.InHeader, Name: "X-Key", Template: "key {key}"}}
	})
	o.bind(broker.Binding{Environment: o.env, Server: "keyed", Name: "own-key", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.PersonalKey, Owner: "platform"})
	keys := map[string]string{alice: o.canary(), bob: o.canary()}
	for who, key := range keys {
		s := o.surfer(t, who)
		question := s.open(o.link(who, "keyed"))
		if !strings.Contains(question.body, `type="password"`) {
			t.Errorf("the page has no field for a key: %q", heading(question))
		}
		u.untouchedBy(t, key)
		s.say(question, "allow", "key", "short").shows(t, http.StatusUnprocessableEntity, "A value cannot be used")
		s.say(question, "allow", "key", key).shows(t, http.StatusOK, "keyed is connected")
	}
	for who, key := range keys {
		o.post(who, "keyed").want(t, http.StatusOK, "[masked:own-key]")
		if got := u.last(t).Header.Get("X-Key"); got != "key "+key {
			t.Errorf("%s: the upstream got a key of %d bytes, want their own", who, len(got))
		}
	}
}

func (u *upstream) untouchedBy(t *testing.T, key string) {
	t.Helper()
	for _, a := range u.arrivals() {
		if strings.Contains(a.Header.Get("X-Key"), key) {
			t.Error("a key was used before it was entered")
		}
	}
}

// TestBinderysOwnTokenIsForWhomItIsBound: a server that knows Bindery and no
// person gets a token that the provider issued to it, and one is enough.
func TestBinderysOwnTokenIsForWhomItIsBound(t *testing.T) {
	t.Parallel()
	o := live(t, func(b *broker.Binding) {
		b.Mode, b.Source, b.Scopes, b.Provider = broker.ServiceAccount, broker.ClientCredentials, []string{"files.read"}, "service"
	})
	o.post(alice, "files").want(t, http.StatusOK, "you are service")
	o.post(bob, "files").want(t, http.StatusOK, "you are service")
	if n := o.tokens.count("client_credentials"); n != 1 {
		t.Errorf("%d tokens were issued", n)
	}
	o.canaries = append(o.canaries, strings.TrimPrefix(o.u.last(t).Header.Get("Authorization"), "Bearer "))
}
