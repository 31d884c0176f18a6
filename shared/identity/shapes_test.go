package identity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"

	"github.com/google/go-cmp/cmp"
)

// shape is one token as a provider makes it, how a deployment trusts that
// provider, and what must come out.
type shape struct {
	Issuer    map[string]any `json:"issuer"`
	Header    map[string]any `json:"header"`
	Claims    map[string]any `json:"claims"`
	Refused   Reason         `json:"refused"`
	Principal struct {
		Kind       broker.Kind       `json:"kind"`
		Claim      []string          `json:"claim"`
		Client     string            `json:"client"`
		Subject    string            `json:"subject"`
		Email      string            `json:"email"`
		Agent      string            `json:"agent"`
		AgentOnly  bool              `json:"agent_only"`
		Groups     []string          `json:"groups"`
		Attributes map[string]string `json:"attributes"`
	} `json:"principal"`
}

// The files hold the claims that Okta, Entra ID, Google, AuthKit and
// Kubernetes put into tokens, signed here with a key of our own.
func TestTokensAsProvidersMakeThem(t *testing.T) {
	files, err := filepath.Glob("testdata/shapes/*.json")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	s := idp.New(t)
	s.Add("provider", "RS256")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var sh shape
			decode(t, raw, &sh)
			sh.verify(t, s)
		})
	}
}

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	var f faults
	decodeStrict(raw, v, &f)
	if len(f) > 0 {
		t.Fatal(f.err("file"))
	}
}

func (sh *shape) verify(t *testing.T, s *idp.Server) {
	sh.Issuer["jwks_uri"] = s.Issuer() + idp.JWKSPath
	w := &world{T: t, idp: s, clock: newClock(), rows: newRows(), doc: document(t, sh.Issuer)}
	w.clock.at = time.Unix(int64(sh.Claims["iat"].(float64))+60, 0).UTC()
	w.Verifier = w.process(nil)
	sh.Header["kid"] = "provider"
	header, err := json.Marshal(sh.Header)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(sh.Claims)
	if err != nil {
		t.Fatal(err)
	}
	token := s.SignBytes("provider", header, claims)
	if sh.Refused != "" {
		w.refuses(token, sh.Refused)
		return
	}
	p, issuer := sh.Principal, &w.doc.Issuers[0]
	want := broker.Principal{
		ID: issuer.PrincipalID(p.Claim...), Kind: p.Kind, Issuer: issuer.Issuer, Subject: p.Subject, Email: p.Email,
		Groups: p.Groups, Attributes: p.Attributes, Agent: p.Agent, AgentOnly: p.AgentOnly,
		Expires: time.Unix(int64(sh.Claims["exp"].(float64)), 0),
	}
	if p.Client != "" {
		want.ID = issuer.ClientID(p.Client)
	}
	if diff := cmp.Diff(want, w.accepts(token)); diff != "" {
		t.Error(diff)
	}
}
