package identity

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"

	"github.com/golang-jwt/jwt/v5"
)

func TestGoodTokenGivesPrincipal(t *testing.T) {
	w := newWorld(t, map[string]any{"email_trusted": true})
	p := w.accepts(w.token(map[string]any{"groups": []string{"eng"}}))
	if p.ID != w.doc.Issuers[0].PrincipalID("alice") || p.Kind != broker.User || p.Issuer != w.idp.Issuer() ||
		p.Subject != "alice" || p.Email != "alice@corp.example" || p.Agent != "corp:cli" || p.AgentOnly ||
		len(p.Groups) != 1 || p.Groups[0] != "corp:eng" || p.Expires.Unix() != w.clock.now().Unix()+600 {
		t.Errorf("principal %+v", p)
	}
}

func TestAlgorithmNone(t *testing.T) {
	w := newWorld(t, nil)
	for _, alg := range []string{"none", "None", "NONE", ""} {
		signed := w.idp.Sign("k1", map[string]any{"alg": alg}, w.claims(nil))
		w.refuses(signed, AlgorithmRefused)
		w.refuses(signed[:strings.LastIndex(signed, ".")+1], AlgorithmRefused)
	}
}

func TestHS256WithThePublicKeyAsSecret(t *testing.T) {
	w := newWorld(t, nil)
	w.idp.Add("rsa", "RS256")
	der, err := x509.MarshalPKIXPublicKey(w.idp.Public("rsa"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		forged := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(w.claims(nil)))
		forged.Header["kid"], forged.Header["typ"] = "rsa", "at+jwt"
		token, err := forged.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		w.refuses(token, AlgorithmRefused)
	}
}

func TestAlgorithmOutsideTheIssuersList(t *testing.T) {
	w := newWorld(t, map[string]any{"algorithms": []string{"RS256"}})
	w.refuses(w.token(nil), AlgorithmRefused)
}

func TestAlgorithmOfAnotherKeyType(t *testing.T) {
	w := newWorld(t, map[string]any{"algorithms": []string{"RS256", "ES256", "ES384"}})
	w.refuses(w.idp.Sign("k1", map[string]any{"alg": "RS256"}, w.claims(nil)), KeyUnsuited)
	w.refuses(w.idp.Sign("k1", map[string]any{"alg": "ES384"}, w.claims(nil)), KeyUnsuited)
}

func TestEveryAlgorithmThatCanBeListed(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		w := newWorld(t, map[string]any{"algorithms": []string{alg}})
		w.idp.Add("k2", alg)
		w.accepts(w.idp.Sign("k2", nil, w.claims(nil)))
	}
}

func TestForgedSignature(t *testing.T) {
	w := newWorld(t, nil)
	thief := idp.New(t) // another key under the same id
	w.refuses(thief.Sign("k1", nil, w.claims(nil)), SignatureWrong)
	good := w.token(nil)
	parts := strings.Split(good, ".")
	other := strings.Split(w.token(map[string]any{"sub": "mallory"}), ".")
	w.refuses(parts[0]+"."+other[1]+"."+parts[2], SignatureWrong)
	w.refuses(parts[0]+"."+parts[1]+".", SignatureWrong)
}

func TestClaimsThatMakeATokenBad(t *testing.T) {
	w := newWorld(t, map[string]any{"max_age": "1h"})
	now := w.clock.now().Unix()
	for name, test := range map[string]struct {
		claims map[string]any
		want   Reason
	}{
		"wrong audience":               {map[string]any{"aud": "https://other.example"}, AudienceWrong},
		"missing audience":             {map[string]any{"aud": nil}, AudienceWrong},
		"empty audience":               {map[string]any{"aud": ""}, AudienceWrong},
		"no audiences":                 {map[string]any{"aud": []string{}}, AudienceWrong},
		"audience of another type":     {map[string]any{"aud": 7}, AudienceWrong},
		"audience of another route":    {map[string]any{"aud": publicURL + "/mcp/prod/jira"}, AudienceWrong},
		"audience of another env":      {map[string]any{"aud": publicURL + "/mcp/staging/github"}, AudienceWrong},
		"audience with trailing slash": {map[string]any{"aud": publicURL + "/mcp/prod/github/"}, AudienceWrong},
		"unknown issuer":               {map[string]any{"iss": "https://evil.example"}, IssuerUnknown},
		"issuer with trailing slash":   {map[string]any{"iss": w.idp.Issuer() + "/"}, IssuerUnknown},
		"issuer as list":               {map[string]any{"iss": []string{w.idp.Issuer()}}, IssuerUnknown},
		"missing issuer":               {map[string]any{"iss": nil}, IssuerUnknown},
		"expired":                      {map[string]any{"exp": now - 31}, TokenExpired},
		"missing expiry":               {map[string]any{"exp": nil}, ExpiryMissing},
		"expiry as text":               {map[string]any{"exp": "tomorrow"}, ClaimMalformed},
		"expiry that overflows":        {map[string]any{"exp": 1e300}, ClaimMalformed},
		"not yet valid":                {map[string]any{"nbf": now + 31}, NotYetValid},
		"not-before that overflows":    {map[string]any{"nbf": 1e300}, ClaimMalformed},
		"issued in the future":         {map[string]any{"iat": now + 31}, IssuedInFuture},
		"issued at no time":            {map[string]any{"iat": nil}, IssueTimeMissing},
		"older than max_age":           {map[string]any{"iat": now - 3631}, TokenTooOld},
		"no subject":                   {map[string]any{"sub": nil}, ClaimMissing},
		"empty subject":                {map[string]any{"sub": ""}, ClaimMalformed},
		"subject as number":            {map[string]any{"sub": 1}, ClaimMalformed},
		"subject with line break":      {map[string]any{"sub": "a\r\nX-Admin: 1"}, ClaimMalformed},
		"subject with replacement":     {map[string]any{"sub": "a\uFFFD"}, ClaimMalformed},
		"huge subject":                 {map[string]any{"sub": strings.Repeat("a", 513)}, ClaimMalformed},
		"no agent":                     {map[string]any{"client_id": nil}, AgentMissing},
		"groups as object":             {map[string]any{"groups": map[string]any{"a": 1}}, ClaimMalformed},
		"groups of numbers":            {map[string]any{"groups": []int{1}}, ClaimMalformed},
		"too many groups":              {map[string]any{"groups": slices.Repeat([]string{"g"}, maxGroups+1)}, ClaimMalformed},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w.Verifier, w.token(test.claims), test.want) })
	}
	w.accepts(w.token(map[string]any{"aud": []string{"x", publicURL + "/mcp/prod/github"}, "exp": now - 29, "iat": now - 3629, "nbf": now + 29}))
}

func TestIDTokenOfferedAsAccessToken(t *testing.T) {
	w := newWorld(t, nil)
	for name, claims := range map[string]map[string]any{
		"nonce": {"nonce": "n"}, "at_hash": {"at_hash": "x"}, "c_hash": {"c_hash": "x"}, "logout": {"events": map[string]any{}},
		"cognito": {"token_use": "id"}, "keycloak id": {"typ": "ID"}, "keycloak refresh": {"typ": "Refresh"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w.Verifier, w.token(claims), NotAnAccessToken) })
	}
	w.refuses(w.token(map[string]any{"cnf": map[string]any{"jkt": "x"}}), SenderConstrained)
	for _, typ := range []any{"id+jwt", "logout+jwt", "dpop+jwt", "oauth-id-jag+jwt", "secevent+jwt", "", nil, 3} {
		w.refuses(w.idp.Sign("k1", map[string]any{"typ": typ}, w.claims(nil)), TypeRefused)
	}
	w.accepts(w.idp.Sign("k1", map[string]any{"typ": "AT+JWT"}, w.claims(nil)))
}

func TestHeadersThatBringTheirOwnKey(t *testing.T) {
	w := newWorld(t, nil)
	asked := false
	thief := idp.New(t)
	thief.OnJWKS(func(http.ResponseWriter, *http.Request) { asked = true })
	for name, value := range map[string]any{
		"jku": thief.Issuer() + idp.JWKSPath, "x5u": thief.Issuer(), "jwk": json.RawMessage(thief.JWKS()),
		"x5c": []string{"MII="}, "crit": []string{"b64"}, "b64": false,
	} {
		w.refuses(thief.Sign("k1", map[string]any{name: value}, w.claims(nil)), HeaderForbidden)
	}
	if asked {
		t.Error("the key set named in the token was fetched")
	}
}

func TestDuplicateKeysInTheToken(t *testing.T) {
	w := newWorld(t, nil)
	header, err := json.Marshal(map[string]any{"alg": "ES256", "kid": "k1", "typ": "at+jwt"})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(w.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	w.accepts(w.idp.SignBytes("k1", header, claims))
	twice := strings.Replace(string(claims), "{", `{"sub":"mallory",`, 1)
	w.refuses(w.idp.SignBytes("k1", header, []byte(twice)), TokenMalformed)
	escaped := strings.Replace(string(claims), "{", `{"s\u0075b":"mallory",`, 1)
	w.refuses(w.idp.SignBytes("k1", header, []byte(escaped)), TokenMalformed)
	nested := strings.Replace(string(claims), "{", `{"act":{"sub":"a","sub":"b"},`, 1)
	w.refuses(w.idp.SignBytes("k1", header, []byte(nested)), TokenMalformed)
	twoKids := strings.Replace(string(header), "{", `{"kid":"k0",`, 1)
	w.refuses(w.idp.SignBytes("k1", []byte(twoKids), claims), TokenMalformed)
}

func TestTokensThatAreNotTokens(t *testing.T) {
	w := newWorld(t, nil)
	good := w.token(nil)
	encode := base64.RawURLEncoding.EncodeToString
	for name, token := range map[string]string{
		"text": "hello", "dots": "..", "four parts": good + ".x", "two parts": good[:strings.LastIndex(good, ".")],
		"padding": strings.Replace(good, ".", "=.", 1), "line break": good[:20] + "\n" + good[20:],
		"null claims": encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(`null`)) + ".AA",
		"list claims": encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(`[]`)) + ".AA",
		"null header": encode([]byte(`null`)) + "." + encode([]byte(`{}`)) + ".AA",
		"bad UTF-8":   w.idp.SignBytes("k1", []byte(`{"alg":"ES256"}`), []byte("{\"sub\":\"\xff\"}")),
		"deep":        encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(strings.Repeat("[", 11000))) + ".AA",
		"huge":        strings.Repeat("a", MaxToken+1),
	} {
		p, err := ask(w.Verifier, token)
		if !errors.Is(err, ErrInvalidToken) || p.ID != "" {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(err.Error()) > 60 {
			t.Errorf("%s: the error tells too much: %v", name, err)
		}
	}
	refused(t, w.Verifier, w.token(map[string]any{"pad": strings.Repeat("a", MaxToken)}), TokenTooLarge)
}
