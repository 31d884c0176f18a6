package credential

import (
	"context"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// CheckStore has the adapter of a registered store check it. stores are the
// registrations of the environment: the store's own credential may lie in
// another one.
func (s *Static) CheckStore(ctx context.Context, of broker.Store, stores []broker.Store, used []broker.Reference) (broker.StoreCheck, error) {
	checker, able := s.stores[of.Kind].(broker.StoreChecker)
	if !able {
		return broker.StoreCheck{}, fmt.Errorf("%w: this deployment checks no store of kind %q", broker.ErrStoreDenied, of.Kind)
	}
	return checker.Check(ctx, s.wantOf(of, stores), used)
}

// ListStore has the adapter of a registered store name what it holds.
func (s *Static) ListStore(ctx context.Context, of broker.Store, stores []broker.Store, after string, limit int) ([]broker.Reference, string, error) {
	lister, able := s.stores[of.Kind].(broker.StoreLister)
	if !able {
		return nil, "", fmt.Errorf("%w: a store of kind %q does not list", broker.ErrStoreDenied, of.Kind)
	}
	return lister.List(ctx, s.wantOf(of, stores), after, limit)
}

// SignIn gives the read of the credential with which Bindery signs in to a store,
// or nil where it needs none.
func (s *Static) SignIn(to broker.Store, all []broker.Store) func(context.Context) (secret.Value, error) {
	return s.wantOf(to, all).Credential
}

func (s *Static) wantOf(of broker.Store, stores []broker.Store) broker.Want {
	a := &broker.Ask{Binding: broker.Binding{Environment: of.Environment}, Stores: stores}
	return broker.Want{Environment: of.Environment, Store: of, Credential: s.signIn(of, a)}
}
