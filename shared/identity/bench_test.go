package identity

import (
	"context"
	"testing"

	"bindery/shared/brokertest/idp"
)

func benchmark(b *testing.B, alg string, noCache bool) {
	s, c := idp.New(b), newClock()
	s.Add("key", alg)
	v, err := New(Config{
		Document:    document(b, entry(s, map[string]any{"email_trusted": true, "max_age": "1h"})),
		Environment: "prod", PublicURL: publicURL, HTTP: s.Client(), KeySets: newRows(), Sealer: sealer{}, Now: c.now, NoCache: noCache,
	})
	if err != nil {
		b.Fatal(err)
	}
	now := c.now().Unix()
	r := request("Bearer " + s.Sign("key", nil, map[string]any{
		"iss": s.Issuer(), "sub": "alice", "client_id": "cli", "aud": []string{publicURL + "/mcp/prod/github"},
		"exp": now + 600, "iat": now, "nbf": now, "jti": "5b7a0e6c", "email": "alice@corp.example",
		"groups": []string{"eng", "platform", "everyone"}, "scope": "mcp openid",
	}))
	if _, err := v.Verify(context.Background(), r, github); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), r, github); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyRS256(b *testing.B)  { benchmark(b, "RS256", true) }
func BenchmarkVerifyES256(b *testing.B)  { benchmark(b, "ES256", true) }
func BenchmarkVerifyCached(b *testing.B) { benchmark(b, "RS256", false) }
