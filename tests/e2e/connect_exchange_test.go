//go:build e2e && !nonode

package e2e

import (
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"bindery/shared/broker"
	"bindery/shared/kmssign"
)

// exchanger is a token endpoint of the company that exchanges tokens (RFC 8693):
// it verifies whose the subject token is, that Bindery logged in with its key, and
// whom Bindery vouches for; what it issues names person and agent.
type exchanger struct {
	key jose.JSONWebKey // the public half of Bindery's

	mu     sync.Mutex
	issued map[string]string // whom a token names
}

func (e *exchanger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	person, ok := e.claim(r, "subject_token", func(*jwt.Token) (any, error) {
		keys := jose.JSONWebKeySet{}
		err := fetch(r.Context(), shared.oidc.URL+"/jwks", &keys)
		return keys.Keys[0].Key, err
	}, jwt.WithIssuer(shared.oidc.URL), jwt.WithAudience(audience))
	ours := func(*jwt.Token) (any, error) { return e.key.Key, nil }
	login, known := e.claim(r, "client_assertion", ours, jwt.WithIssuer(connectClient), jwt.WithAudience(shared.oidc.URL))
	agent, vouched := e.claim(r, "actor_token", ours, jwt.WithIssuer(connectClient), jwt.WithAudience(shared.oidc.URL))
	w.Header().Set("Content-Type", "application/json")
	if !ok || !known || !vouched || login != connectClient || r.PostFormValue("resource") == "" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_request"}`)
		return
	}
	token := "exchanged-" + rand.Text()
	e.mu.Lock()
	e.issued[token] = person + " through " + agent
	e.mu.Unlock()
	_, _ = io.WriteString(w, `{"access_token":"`+token+`","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":300}`)
}

// claim gives the subject of a token in the form, if the token is good.
func (e *exchanger) claim(r *http.Request, name string, key jwt.Keyfunc, with ...jwt.ParserOption) (string, bool) {
	token, err := jwt.Parse(r.PostFormValue(name), key, append(with, jwt.WithExpirationRequired())...)
	if err != nil {
		return "", false
	}
	subject, err := token.Claims.GetSubject()
	return subject, err == nil
}

func (e *exchanger) named(token string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.issued[token]
}

// TestAnExchangedTokenNamesPersonAndAgent: nobody is asked, the upstream sees
// both, each person has a token of their own, and their calls share it.
func TestAnExchangedTokenNamesPersonAndAgent(t *testing.T) {
	t.Parallel()
	o := live(t)
	client := kms.NewFromConfig(o.AWS)
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	must(t, err)
	key, err := kmssign.Open(t.Context(), client, *made.KeyMetadata.Arn, 0)
	must(t, err)
	e := &exchanger{issued: map[string]string{}}
	must(t, e.key.UnmarshalJSON(key.JWK))
	o.tokens.answer(e.ServeHTTP)
	o.row("corp", func(p *broker.Provider) {
		p.Issuer, p.ClientAuth, p.SigningKey = shared.oidc.URL, broker.ClientPrivateKeyJWT, *made.KeyMetadata.Arn
	})
	u := o.upstream(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":`+object("text", "you are "+e.named(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))+`}`)
	})
	o.server("ours", u.URL)
	o.bind(broker.Binding{Environment: o.env, Server: "ours", Name: "exchanged", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.TokenExchange, Owner: "platform", Provider: "corp"})
	for range 2 {
		for _, who := range []string{alice, bob} {
			o.post(who, "ours").want(t, http.StatusOK, "you are "+who+" through "+shell)
		}
	}
	const kind = "urn:ietf:params:oauth:grant-type:token-exchange"
	if n := o.tokens.count(kind); n != 2 {
		t.Errorf("%d exchanges for two people", n)
	}
	for token := range e.issued {
		o.canaries = append(o.canaries, token)
	}
	if a := o.post(reporter, "ours"); a.status == http.StatusOK || o.tokens.count(kind) != 2 {
		t.Errorf("an agent alone was answered %d", a.status)
	}
}
