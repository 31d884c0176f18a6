package credential

import (
	"context"

	"bindery/shared/broker"
)

// Inspect has the store of a reference say what it knows of the secret without
// its value. A store that cannot say anything says nothing.
func (s *Static) Inspect(ctx context.Context, r broker.Reference, environment string, stores []broker.Store) (broker.Inspection, error) {
	a := &broker.Ask{Binding: broker.Binding{Environment: environment}, Stores: stores}
	store, registered, err := s.storeOf(r, a)
	if err != nil {
		return broker.Inspection{}, err
	}
	inspector, able := store.(broker.StoreInspector)
	if !able {
		return broker.Inspection{}, nil
	}
	return inspector.Inspect(ctx, broker.Want{Reference: r.WithoutKey(), Environment: environment, Store: registered, Credential: s.signIn(registered, a)})
}
