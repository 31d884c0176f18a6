package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"bindery/shared/broker"
)

// TestAClientWithAKeySaysItWhereverItDescribesItself: in its document, and in
// what it registers with.
func TestAClientWithAKeySaysItWhereverItDescribesItself(t *testing.T) {
	k := Known{
		Redirect: func(p string) string { return "https://mcp.example.com/connect/callback/" + p },
		Document: func(p string) string { return "https://mcp.example.com/connect/client/" + p + ".json" },
	}
	row := broker.Provider{Name: "acme", ClientAuth: broker.ClientPrivateKeyJWT, SigningKey: "made-up"}
	if _, err := k.Describe(t.Context(), row); !errors.Is(err, ErrInvalid) {
		t.Errorf("described without a signer: %v", err)
	}
	key := Key{ID: "one", Algorithm: "ES256", Public: json.RawMessage(`{"kid":"one"}`)}
	k.Sign = func(context.Context, string) (Key, error) { return key, nil }
	document, err := k.Describe(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Metadata{document.Metadata, k.metadata("acme", PrivateKeyJWT, key)} {
		if string(m.JWKS) != `{"keys":[{"kid":"one"}]}` || m.Auth != PrivateKeyJWT {
			t.Errorf("said %s by %s", m.JWKS, m.Auth)
		}
	}
	key.Public = nil
	if _, err := k.Describe(t.Context(), row); !errors.Is(err, ErrInvalid) {
		t.Errorf("described without its key: %v", err)
	}
}
