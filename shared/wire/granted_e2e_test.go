//go:build e2e

package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/kmssign"
	"bindery/shared/secret"
)

// endpoint is a token endpoint that remembers what it was asked.
type endpoint struct {
	*httptest.Server
	asked []url.Values
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		e.asked = append(e.asked, r.PostForm)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"made-up-access-token","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":60}`)
	}))
	t.Cleanup(e.Close)
	return e
}

// claims verifies a JWT with the public half of a key and gives its claims.
func claims(t *testing.T, token string, k *kmssign.Key) map[string]any {
	t.Helper()
	var public jose.JSONWebKey
	if err := public.UnmarshalJSON(k.JWK); err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.Verify(public)
	if err != nil {
		t.Fatal(err)
	}
	var found map[string]any
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestAnExchangeNamesPersonAndAgent: the person by their own token, the agent by
// Bindery's word under a key that stays in KMS, which also logs Bindery in.
// Without a key nothing is sent that would leave the agent out.
func TestAnExchangeNamesPersonAndAgent(t *testing.T) {
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	a := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(moto.URL), Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	client := kms.NewFromConfig(a)
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	arn := *made.KeyMetadata.Arn
	key, err := kmssign.Open(t.Context(), client, arn, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config{Environment: "prod", PublicURL: "https://mcp.example.com", Local: true}
	tokens := asker{known: Join(c, a, HotPath()).Known(c), now: time.Now}
	e := newEndpoint(t)
	ask := credential.TokenAsk{Server: broker.Server{URL: "https://api.example.com/mcp"}, Provider: broker.Provider{Environment: "prod", Name: "okta",
		Issuer: e.URL, Endpoints: broker.Endpoints{Authorization: e.URL + "/authorize", Token: e.URL + "/token"},
		Registration: broker.Preregistered, ClientID: "bindery", ClientAuth: broker.ClientPrivateKeyJWT, SigningKey: arn}}
	for range 2 { // the second knows the key
		if _, err := tokens.Exchange(t.Context(), ask, secret.New("made-up-subject-token"), "okta:reporter"); err != nil {
			t.Fatal(err)
		}
	}
	for _, form := range e.asked {
		actor, login := claims(t, form.Get("actor_token"), key), claims(t, form.Get("client_assertion"), key)
		if form.Get("subject_token") != "made-up-subject-token" || form.Get("actor_token_type") != "urn:ietf:params:oauth:token-type:jwt" ||
			actor["sub"] != "reporter" || actor["iss"] != "bindery" || actor["aud"] != e.URL || login["sub"] != "bindery" || login["iss"] != "bindery" {
			t.Errorf("actor %v, login %v, type %s", actor, login, form.Get("actor_token_type"))
		}
	}
	if _, err := tokens.Exchange(t.Context(), ask, secret.New("made-up-subject-token"), ""); err != nil || e.asked[2].Has("actor_token") {
		t.Errorf("a person without an agent: %v", err)
	}
	ask.Provider.ClientAuth, ask.Provider.SigningKey = broker.ClientNone, ""
	for _, agent := range []string{"okta:reporter", "okta:bindery", "okta"} {
		var fault *credential.TokenFault
		if _, err := tokens.Exchange(t.Context(), ask, secret.New("made-up-subject-token"), agent); !errors.As(err, &fault) || fault.Kind != credential.Refused {
			t.Errorf("%s without a key: %v", agent, err)
		}
		ask.Provider.ClientAuth, ask.Provider.SigningKey = broker.ClientPrivateKeyJWT, arn // and then as Bindery itself, or nobody
	}
	ask.Provider.SigningKey = arn[:len(arn)-1] + "?"
	var fault *credential.TokenFault
	if _, err := tokens.ClientCredentials(t.Context(), ask); !errors.As(err, &fault) || fault.Kind != credential.Transient {
		t.Errorf("a key that is not there: %v", err)
	}
	if len(e.asked) != 3 {
		t.Errorf("%d requests were sent, want 3", len(e.asked))
	}
}
