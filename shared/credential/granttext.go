package credential

import (
	"context"
	"encoding/json"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// grantContext is what a grant's text is sealed for. It is derived from who
// calls and from the catalogue, so that a text that was moved to another row
// does not open.
func grantContext(k broker.GrantKey) broker.SealContext {
	return broker.SealContext{
		Environment: k.Environment, Purpose: "grant", Origin: k.Origin,
		ID: broker.Digest("grant", k.Principal, k.Server),
	}
}

// Names of the members of a sealed token set.
const (
	accessMember   = "access"
	refreshMember  = "refresh"
	previousMember = "previous" // the access token before, for masking
)

// SealTokens seals a token set for a grant. granted are the scopes it has where
// the set does not say.
func SealTokens(ctx context.Context, s broker.Sealer, k broker.GrantKey, set TokenSet, granted []string) (broker.Tokens, error) {
	return sealTokens(ctx, s, k, set, granted, secret.Value{})
}

func sealTokens(ctx context.Context, s broker.Sealer, k broker.GrantKey, set TokenSet, granted []string, previous secret.Value) (broker.Tokens, error) {
	sealed, err := SealFields(ctx, s, k, map[string]secret.Value{
		accessMember: set.Access, refreshMember: set.Refresh, previousMember: previous,
	})
	if set.Scopes != nil {
		granted = set.Scopes
	}
	return broker.Tokens{Sealed: sealed, Expires: set.Expires, Scopes: granted, Refreshes: !set.Refresh.IsZero()}, err
}

// SealFields seals named values for a grant: what a person typed in. Values that
// hold nothing are left out.
func SealFields(ctx context.Context, s broker.Sealer, k broker.GrantKey, fields map[string]secret.Value) ([]byte, error) {
	members := map[string]string{}
	for name, value := range fields {
		if !value.IsZero() {
			members[name] = value.Reveal()
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("%w: the grant does not encode", broker.ErrSecretMalformed)
	}
	sealed, err := s.Seal(ctx, grantContext(k), secret.New(string(text)))
	if err != nil {
		return nil, fmt.Errorf("seal the grant: %w", err)
	}
	return sealed, nil
}

// OpenTokens opens a grant's token set, to revoke it at the provider.
func OpenTokens(ctx context.Context, s broker.Sealer, k broker.GrantKey, sealed []byte) (TokenSet, error) {
	members, err := openFields(ctx, s, k, sealed)
	return TokenSet{Access: members[accessMember], Refresh: members[refreshMember]}, err
}

func openFields(ctx context.Context, s broker.Sealer, k broker.GrantKey, sealed []byte) (map[string]secret.Value, error) {
	text, err := s.Open(ctx, grantContext(k), sealed)
	if err != nil {
		return nil, fmt.Errorf("open the grant: %w", err)
	}
	members, err := text.Members()
	if err != nil {
		return nil, fmt.Errorf("%w: the grant is not one object", broker.ErrSecretMalformed)
	}
	return members, nil
}
