// Package idp is an identity provider for tests: a loopback server with
// OpenID discovery and a key set, and a pen that signs whatever a test wants
// signed, honest or not.
//
// It never checks anything and runs no login: tests decide what a token says.
package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Server is one issuer. It starts with one ES256 key called "k1".
type Server struct {
	tb   testing.TB
	http *httptest.Server

	mu        sync.Mutex
	keys      []key
	discovery http.HandlerFunc
	jwks      http.HandlerFunc
	asked     map[string]int
}

type key struct {
	kid, alg string
	private  crypto.Signer
	hidden   bool
}

// New starts an issuer that ends with the test.
func New(tb testing.TB) *Server {
	s := &Server{tb: tb, asked: map[string]int{}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(s.http.Close)
	s.Add("k1", "ES256")
	return s
}

// Issuer is the issuer's identifier: its URL, without a trailing slash.
func (s *Server) Issuer() string { return s.http.URL }

// Client reaches the server.
func (s *Server) Client() *http.Client { return s.http.Client() }

// Add publishes a new key for RS256, PS256, ES256, ES384, ES512 or EdDSA.
func (s *Server) Add(kid, alg string) {
	s.tb.Helper()
	private, err := generate(alg)
	if err != nil {
		s.tb.Fatalf("generate a key for %s: %v", alg, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, key{kid: kid, alg: alg, private: private})
}

// Remove stops publishing a key. Sign can still use it.
func (s *Server) Remove(kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.keys {
		s.keys[i].hidden = s.keys[i].hidden || s.keys[i].kid == kid
	}
}

// Public is the public half of a key.
func (s *Server) Public(kid string) crypto.PublicKey { return s.key(kid).private.Public() }

// OnDiscovery replaces the answer to discovery; nil restores it.
func (s *Server) OnDiscovery(h http.HandlerFunc) { s.mu.Lock(); defer s.mu.Unlock(); s.discovery = h }

// OnJWKS replaces the answer of the key set; nil restores it.
func (s *Server) OnJWKS(h http.HandlerFunc) { s.mu.Lock(); defer s.mu.Unlock(); s.jwks = h }

// Down answers every request with 503; Up restores both answers.
func (s *Server) Down() { s.OnDiscovery(unavailable); s.OnJWKS(unavailable) }

// Up undoes Down, OnDiscovery and OnJWKS.
func (s *Server) Up() { s.OnDiscovery(nil); s.OnJWKS(nil) }

// Asked counts requests to a path.
func (s *Server) Asked(path string) int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked[path] }

// Paths of the server.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	OAuthPath     = "/.well-known/oauth-authorization-server"
	JWKSPath      = "/keys"
)

// Sign signs claims with a key. header adds to {alg, kid, typ: at+jwt}; a nil
// value removes a member.
func (s *Server) Sign(kid string, header, claims map[string]any) string {
	s.tb.Helper()
	head := map[string]any{"alg": s.key(kid).alg, "kid": kid, "typ": "at+jwt"}
	maps.Copy(head, header)
	maps.DeleteFunc(head, func(_ string, v any) bool { return v == nil })
	return s.SignBytes(kid, s.marshal(head), s.marshal(claims))
}

// SignBytes signs exactly these bytes, whatever they are.
func (s *Server) SignBytes(kid string, header, claims []byte) string {
	s.tb.Helper()
	k := s.key(kid)
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := jwt.GetSigningMethod(k.alg).Sign(text, k.private)
	if err != nil {
		s.tb.Fatalf("sign with %s: %v", kid, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// JWKS is the published key set.
func (s *Server) JWKS() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range s.keys {
		if !k.hidden {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Algorithm: k.alg, Use: "sig"})
		}
	}
	return s.marshal(set)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	discovery, jwks := s.discovery, s.jwks
	s.mu.Unlock()
	switch {
	case r.URL.Path == DiscoveryPath && discovery != nil:
		discovery(w, r)
	case r.URL.Path == DiscoveryPath, r.URL.Path == OAuthPath:
		WriteJSON(w, s.marshal(map[string]any{"issuer": s.Issuer(), "jwks_uri": s.Issuer() + JWKSPath}))
	case r.URL.Path == JWKSPath && jwks != nil:
		jwks(w, r)
	case r.URL.Path == JWKSPath:
		WriteJSON(w, s.JWKS())
	default:
		http.NotFound(w, r)
	}
}

// WriteJSON answers 200 with a JSON body.
func WriteJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func unavailable(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "down", http.StatusServiceUnavailable)
}

func (s *Server) key(kid string) key {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.keys, func(k key) bool { return k.kid == kid })
	if i < 0 {
		s.tb.Fatalf("no key %q", kid)
	}
	return s.keys[i]
}

func (s *Server) marshal(v any) []byte {
	s.tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		s.tb.Fatalf("marshal: %v", err)
	}
	return b
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}
