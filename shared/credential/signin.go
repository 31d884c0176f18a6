package credential

import (
	"context"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// signIn gives the read of the credential with which Bindery signs in to a
// store, or nil where the store needs none. That credential lives in a store
// that needs no sign-in itself, so that no chain and no circle can be
// registered; it is held to the paths of that store like any other reference.
// Its origin is that of the store it is for: a sealed token opens for the
// address it was stored for and no other.
func (s *Static) signIn(to broker.Store, a *broker.Ask) func(context.Context) (secret.Value, error) {
	r := to.Auth.Credential
	if r.IsZero() {
		return nil
	}
	return func(ctx context.Context) (secret.Value, error) {
		store, registered, err := s.storeOf(r, a)
		if err == nil && registered.Auth.Method != broker.AuthNone {
			err = fmt.Errorf("%w: the credential of a store lives in a store that needs no sign-in", broker.ErrStoreDenied)
		}
		if err != nil {
			return secret.Value{}, fmt.Errorf("credential of the store: %w", err)
		}
		origin, err := broker.OriginDigest(to.Address)
		if err != nil {
			return secret.Value{}, err
		}
		found, err := store.Fetch(ctx, broker.Want{Reference: r.WithoutKey(), Keys: []string{r.Key()},
			Environment: a.Binding.Environment, Origin: origin, Store: registered})
		if err != nil {
			return secret.Value{}, fmt.Errorf("credential of the store: %w", err)
		}
		return found.Values[r.Key()], nil
	}
}
