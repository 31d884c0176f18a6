package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json"
)

// Limits on keys. Larger RSA keys only serve to make checks slow; an exponent
// outside these bounds makes crypto/rsa refuse every signature.
const (
	minRSA      = 2048
	maxRSA      = 4096
	maxExponent = 1<<31 - 1
	maxKeys     = 100
)

// keySet is an issuer's usable keys as of one moment. It never changes.
type keySet struct {
	keys    []publicKey
	fetched time.Time
}

type publicKey struct {
	jwk    jwk
	print  [sha256.Size]byte // of the key's minimal form, kid included
	public any
}

// jwk is what is taken from a JSON Web Key (RFC 7517). Certificates and URLs
// in it are not looked at.
type jwk struct {
	Kty string   `json:"kty"`
	Kid string   `json:"kid,omitempty"`
	Use string   `json:"use,omitempty"`
	Ops []string `json:"key_ops,omitempty"`
	Alg string   `json:"alg,omitempty"`
	Crv string   `json:"crv,omitempty"`
	N   string   `json:"n,omitempty"`
	E   string   `json:"e,omitempty"`
	X   string   `json:"x,omitempty"`
	Y   string   `json:"y,omitempty"`
	D   string   `json:"d,omitempty"`
}

var (
	errKeySet    = errors.New("not a key set")
	errNoKeys    = errors.New("no usable key in the set")
	errManyKeys  = errors.New("too many keys in the set")
	errSameKeyID = errors.New("two keys of the set have the same id")
)

// parseKeys reads a key set. Keys that cannot verify a signature (symmetric,
// for encryption, weak, private, of an unknown kind or malformed) are left out,
// as RFC 7517, 5 asks; a set without a usable key, or with two usable keys
// under one id, is refused.
func parseKeys(raw []byte, fetched time.Time) (*keySet, error) {
	var listed struct {
		Keys []strict.RawMessage `json:"keys"`
	}
	if !utf8.Valid(raw) || strict.Unmarshal(raw, &listed) != nil {
		return nil, errKeySet
	}
	if len(listed.Keys) > maxKeys {
		return nil, errManyKeys
	}
	set := &keySet{fetched: fetched}
	for _, one := range listed.Keys {
		var k jwk
		if strict.Unmarshal(one, &k) != nil {
			continue
		}
		key, ok := k.usable()
		if !ok {
			continue
		}
		if slices.ContainsFunc(set.keys, func(o publicKey) bool { return o.jwk.Kid == k.Kid }) {
			return nil, errSameKeyID
		}
		set.keys = append(set.keys, key)
	}
	if len(set.keys) == 0 {
		return nil, errNoKeys
	}
	return set, nil
}

// usable gives the key if it can verify signatures.
func (k jwk) usable() (publicKey, bool) {
	if k.D != "" || k.Use != "" && k.Use != "sig" || k.Ops != nil && !slices.Contains(k.Ops, "verify") || len(k.Kid) > maxText {
		return publicKey{}, false
	}
	minimal, err := json.Marshal(jwk{Kty: k.Kty, Kid: k.Kid, Alg: k.Alg, Crv: k.Crv, N: k.N, E: k.E, X: k.X, Y: k.Y})
	if err != nil {
		return publicKey{}, false
	}
	var parsed jose.JSONWebKey
	if parsed.UnmarshalJSON(minimal) != nil || !parsed.Valid() || !parsed.IsPublic() {
		return publicKey{}, false
	}
	if r, ok := parsed.Key.(*rsa.PublicKey); ok {
		if bits := r.N.BitLen(); bits < minRSA || bits > maxRSA || r.E < 3 || r.E%2 == 0 || r.E > maxExponent {
			return publicKey{}, false
		}
	}
	return publicKey{jwk: k, print: sha256.Sum256(minimal), public: parsed.Key}, true
}

// suits reports whether the key may verify an algorithm (RFC 7518, 3.1;
// RFC 8037): the family, the curve, and the algorithm the key names, if any.
func (k *publicKey) suits(alg string) bool {
	if k.jwk.Alg != "" && k.jwk.Alg != alg {
		return false
	}
	switch key := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// pick finds the key for a token. Without an id only a set of one key can
// answer.
func (s *keySet) pick(kid, alg string) (*publicKey, error) {
	n := slices.IndexFunc(s.keys, func(k publicKey) bool { return k.jwk.Kid == kid })
	if kid == "" {
		n = 0
		if len(s.keys) > 1 {
			return nil, invalid(KeyUnknown)
		}
	}
	if n < 0 {
		return nil, invalid(KeyUnknown)
	}
	if !s.keys[n].suits(alg) {
		return nil, invalid(KeyUnsuited)
	}
	return &s.keys[n], nil
}

func (s *keySet) has(print [sha256.Size]byte) bool {
	return slices.ContainsFunc(s.keys, func(k publicKey) bool { return k.print == print })
}

// shared is the form in which processes share a set. The time is inside what
// is sealed: a row with an old set and a new date changes nothing.
type shared struct {
	Fetched time.Time `json:"fetched"`
	Keys    []jwk     `json:"keys"`
}

func (s *keySet) marshal() ([]byte, error) {
	out := shared{Fetched: s.fetched.UTC()}
	for _, k := range s.keys {
		out.Keys = append(out.Keys, k.jwk)
	}
	return json.Marshal(out)
}

func parseShared(raw []byte) (*keySet, error) {
	var s shared
	if err := json.Unmarshal(raw, &s); err != nil || s.Fetched.IsZero() {
		return nil, errKeySet
	}
	return parseKeys(raw, s.Fetched)
}
