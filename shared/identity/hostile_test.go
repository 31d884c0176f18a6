package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/brokertest/idp"

	"github.com/go-jose/go-jose/v4"
)

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

const canary = "canary-text-of-the-issuer"

func TestHostileAnswersOfTheIssuer(t *testing.T) {
	const js = "application/json"
	elsewhere := idp.New(t)
	big := `{"keys":[],"pad":"` + strings.Repeat("a", 10<<20) + `"}`
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.Issuer()+r.URL.Path, http.StatusFound)
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", js)
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"keys":[`))
	}
	for name, h := range map[string]http.HandlerFunc{
		"HTML": answer(200, "text/html", "<html>"+canary), "HTML as JSON": answer(200, js, "<html>"+canary),
		"10 MB": answer(200, js, big), "redirect": redirect, "cut off": cut, "no content": answer(204, js, ""),
		"JSON as text": answer(200, "text/plain", `{"keys":[]}`), "no type": answer(200, "", `{"keys":[]}`),
		"403": answer(403, js, canary), "500": answer(500, js, canary), "list": answer(200, js, `[]`), "null": answer(200, js, `null`),
		"no keys": answer(200, js, `{"keys":[]}`), "keys as text": answer(200, js, `{"keys":"`+canary+`"}`),
		"duplicate members": answer(200, js, `{"keys":[],"keys":[]}`), "many keys": answer(200, js, `{"keys":[`+strings.Repeat("{},", 100)+`{}]}`),
	} {
		t.Run("key set "+name, func(t *testing.T) { hostile(t, func(s *idp.Server) { s.OnJWKS(h) }) })
		t.Run("discovery "+name, func(t *testing.T) { hostile(t, func(s *idp.Server) { s.OnDiscovery(h) }) })
	}
}

func TestOversizedSetIsNotReadInPart(t *testing.T) {
	hostile(t, func(s *idp.Server) {
		s.OnJWKS(answer(200, "application/json", string(s.JWKS())+strings.Repeat(" ", maxDocument)))
	})
}

func TestGoodSetUnderAnotherTypeIsNotTaken(t *testing.T) {
	for _, kind := range []string{"text/html", "text/plain", "", "application/octet-stream"} {
		hostile(t, func(s *idp.Server) { s.OnJWKS(answer(200, kind, string(s.JWKS()))) })
	}
}

// hostile expects that the call is refused as unavailable, and that nothing
// the issuer wrote is repeated.
func hostile(t *testing.T, prepare func(*idp.Server)) {
	t.Helper()
	w := newWorld(t, nil)
	prepare(w.idp)
	var told []string
	w.Verifier = w.process(func(c *Config) { c.Report = func(_ string, err error) { told = append(told, err.Error()) } })
	w.unavailable(w.Verifier, w.token(nil))
	if len(told) != 1 || strings.Contains(told[0], canary) || strings.Contains(told[0], w.idp.Issuer()) {
		t.Errorf("reported %q", told)
	}
}

func TestDiscoveryThatNamesAnotherIssuer(t *testing.T) {
	thief := idp.New(t)
	for name, found := range map[string]map[string]any{
		"other":          {"issuer": thief.Issuer(), "jwks_uri": thief.Issuer() + idp.JWKSPath},
		"trailing slash": {"issuer": "SELF/", "jwks_uri": thief.Issuer() + idp.JWKSPath},
		"none":           {"jwks_uri": thief.Issuer() + idp.JWKSPath},
		"other case":     {"Issuer": "SELF", "jwks_uri": thief.Issuer() + idp.JWKSPath},
		"no key set":     {"issuer": "SELF"},
		"file":           {"issuer": "SELF", "jwks_uri": "file:///etc/passwd"},
		"relative":       {"issuer": "SELF", "jwks_uri": "/keys"},
		"plain http":     {"issuer": "SELF", "jwks_uri": "http://keys.example/keys"},
		"user":           {"issuer": "SELF", "jwks_uri": "https://a:b@keys.example/keys"},
	} {
		t.Run(name, func(t *testing.T) {
			hostile(t, func(s *idp.Server) {
				raw, err := json.Marshal(found)
				if err != nil {
					t.Fatal(err)
				}
				s.OnDiscovery(answer(200, "application/json", strings.ReplaceAll(string(raw), "SELF", s.Issuer())))
			})
		})
	}
}

func TestDiscoveryByRFC8414(t *testing.T) {
	w := newWorld(t, nil)
	w.idp.OnDiscovery(http.NotFound)
	w.accepts(w.token(nil))
}

func TestKeySetByAddressNeedsNoDiscovery(t *testing.T) {
	w := newWorld(t, nil)
	w.doc = document(t, entry(w.idp, map[string]any{"jwks_uri": w.idp.Issuer() + idp.JWKSPath}))
	w.Verifier = w.process(nil)
	w.accepts(w.token(nil))
	if w.idp.Asked(idp.DiscoveryPath) != 0 {
		t.Error("discovery was asked")
	}
}

func TestKeysThatAreLeftOutOfASet(t *testing.T) {
	w := newWorld(t, nil)
	var good struct{ Keys []map[string]any }
	if err := json.Unmarshal(w.idp.JWKS(), &good); err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	marshal := func(n *big.Int, e int) string {
		raw, err := jose.JSONWebKey{Key: &rsa.PublicKey{N: n, E: e}, KeyID: "rsa"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	with := func(name string, value any) string {
		k := map[string]any{}
		for n, v := range good.Keys[0] {
			k[n] = v
		}
		k[name] = value
		raw, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, key := range map[string]string{
		"weak RSA": marshal(weak.N, 65537), "oversized RSA": marshal(new(big.Int).Lsh(strong.N, 4096), 65537),
		"RSA exponent 1": marshal(strong.N, 1), "even RSA exponent": marshal(strong.N, 65536), "huge RSA exponent": marshal(strong.N, 1<<33+1),
		"symmetric":      `{"kty":"oct","kid":"k1","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}`,
		"for encryption": with("use", "enc"), "for signing only": with("key_ops", []string{"sign"}),
		"private": with("d", "AAAA"), "wrong curve": with("crv", "P-384"), "not on the curve": with("x", "AAAA"),
		"unknown kind": with("kty", "XYZ"), "numeric id": with("kid", 5), "another algorithm's name": with("alg", 5),
	} {
		if set, err := parseKeys([]byte(fmt.Sprintf(`{"keys":[%s]}`, key)), time.Time{}); err == nil {
			t.Errorf("%s: %d keys taken", name, len(set.keys))
		}
		two := fmt.Sprintf(`{"keys":[%s,%s]}`, with("kid", "good"), key)
		if set, err := parseKeys([]byte(two), time.Time{}); err != nil || len(set.keys) != 1 {
			t.Errorf("%s: it spoils the set: %v", name, err)
		}
	}
	same := fmt.Sprintf(`{"keys":[%s,%s]}`, with("kid", "k"), with("kid", "k"))
	if _, err := parseKeys([]byte(same), time.Time{}); err == nil {
		t.Error("two keys under one id were accepted")
	}
	set, err := parseKeys([]byte(`{"keys":[`+with("alg", "RS256")+`]}`), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.pick("k1", "ES256"); ReasonOf(err) != KeyUnsuited {
		t.Errorf("a key named for RS256 serves ES256: %v", err)
	}
}
