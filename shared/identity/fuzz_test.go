package identity

import (
	"strings"
	"testing"
	"time"

	"bindery/shared/brokertest/idp"
)

// No text but the very token that was signed may name a principal.
func FuzzVerify(f *testing.F) {
	s, c := idp.New(f), newClock()
	v, err := New(Config{Document: document(f, entry(s, nil)), Environment: "prod", PublicURL: publicURL,
		HTTP: s.Client(), KeySets: newRows(), Sealer: sealer{}, Now: c.now, NoCache: true})
	if err != nil {
		f.Fatal(err)
	}
	w := &world{idp: s, clock: c}
	good := s.Sign("k1", nil, w.claims(nil))
	if _, err := ask(v, good); err != nil { // and the keys are there: the fake issuer answers f, not what f runs
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:strings.LastIndex(good, ".")+1])
	f.Add(s.Sign("k1", map[string]any{"alg": "none"}, w.claims(nil)))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := ask(v, token)
		if (err == nil) != (token == good) || (p.ID != "") != (token == good) {
			t.Errorf("%q: %q, %v", token, p.ID, err)
		}
		if err != nil && len(err.Error()) > 60 {
			t.Errorf("the error tells too much: %v", err)
		}
	})
}

// Whatever an issuer publishes, a set that is taken has keys that can verify.
func FuzzKeySet(f *testing.F) {
	s := idp.New(f)
	s.Add("r", "RS256")
	f.Add(s.JWKS())
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := parseKeys(raw, time.Unix(1, 0))
		if err != nil {
			return
		}
		for _, k := range set.keys {
			if !k.suits("RS256") && !k.suits("PS256") && !k.suits("ES256") && !k.suits("ES384") && !k.suits("ES512") && !k.suits("EdDSA") && k.jwk.Alg == "" {
				t.Errorf("a key that verifies nothing: %+v", k.jwk)
			}
		}
		kept, err := set.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseShared(kept); err != nil || len(again.keys) != len(set.keys) {
			t.Errorf("the set does not survive being shared: %v", err)
		}
	})
}
