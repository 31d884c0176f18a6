package memory

import (
	"cmp"
	"context"
	"maps"
	"time"

	"bindery/shared/broker"
)

// PutProvider implements broker.Providers.
func (s *DB) PutProvider(ctx context.Context, v broker.Provider) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutProvider, func() error {
		expected := v.Version
		v.Version++
		v.Networks, v.Quirks.AuthorizationParameters = clone(v.Networks), parameters(v.Quirks.AuthorizationParameters)
		v.Quirks.ImpliedScopes, v.Quirks.DeadCodes = clone(v.Quirks.ImpliedScopes), clone(v.Quirks.DeadCodes)
		return replace(s.providers, idKey{v.Environment, v.Name}, v, func(now *broker.Provider) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

// parameters are as they are read from a table, where none and no map are the same.
func parameters(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// Provider implements broker.Providers.
func (s *DB) Provider(ctx context.Context, environment, name string) (broker.Provider, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("provider", name))
	return one(ctx, s, ReadProvider, invalid, func() *broker.Provider { return s.providers[idKey{environment, name}] })
}

// Providers implements broker.Providers.
func (s *DB) Providers(ctx context.Context, environment string, p broker.Page) ([]broker.Provider, error) {
	name := func(v broker.Provider) string { return v.Name }
	return page(ctx, s, ListProviders, broker.CheckName("environment", environment), p, name, func() (all []broker.Provider) {
		for at, v := range s.providers {
			if at.environment == environment {
				all = append(all, *v)
			}
		}
		return all
	})
}

// Registered implements broker.Providers.
func (s *DB) Registered(ctx context.Context, environment, provider, issuer string) (broker.Registered, error) {
	return one(ctx, s, ReadRegistered, broker.CheckRegistered(environment, provider, issuer), func() *broker.Registered {
		if r, ok := s.registered[registeredKey{environment, provider, issuer}]; ok {
			return &r
		}
		return nil
	})
}

// AddRegistered implements broker.Providers.
func (s *DB) AddRegistered(ctx context.Context, r broker.Registered, now time.Time) (broker.Registered, error) {
	if err := r.Check(); err != nil {
		return broker.Registered{}, err
	}
	r.Sealed, r.Expires, r.At = clone(r.Sealed), plain(r.Expires), plain(r.At)
	err := s.do(ctx, AddRegistered, func() error {
		at := registeredKey{r.Environment, r.Provider, r.Issuer}
		if there, ok := s.registered[at]; ok && (there.Expires.IsZero() || there.Expires.After(now)) {
			r = there
			return nil
		}
		s.registered[at] = r
		return nil
	})
	if err != nil {
		return broker.Registered{}, err
	}
	return r, nil
}

// AddHandle implements broker.Handles.
func (s *DB) AddHandle(ctx context.Context, h broker.Handle) error {
	if err := h.Check(); err != nil {
		return err
	}
	h.Body, h.Expires = clone(h.Body), plain(h.Expires)
	return s.do(ctx, AddHandle, func() error {
		at := handleKey{h.Environment, h.Kind, h.ID}
		if there, taken := s.handles[at]; taken && (string(there.Body) != string(h.Body) || !there.Expires.Equal(h.Expires)) {
			return broker.ErrConflict
		}
		s.handles[at] = h
		return nil
	})
}

// Handle implements broker.Handles.
func (s *DB) Handle(ctx context.Context, environment, kind, id string, now time.Time) (broker.Handle, error) {
	return one(ctx, s, ReadHandle, broker.CheckHandle(environment, kind, id), func() *broker.Handle {
		return s.living(handleKey{environment, kind, id}, now)
	})
}

// TakeHandle implements broker.Handles.
func (s *DB) TakeHandle(ctx context.Context, environment, kind, id string, now time.Time) (broker.Handle, error) {
	at := handleKey{environment, kind, id}
	return one(ctx, s, TakeHandle, broker.CheckHandle(environment, kind, id), func() *broker.Handle {
		h := s.living(at, now)
		if h != nil {
			delete(s.handles, at)
		}
		return h
	})
}

func (s *DB) living(at handleKey, now time.Time) *broker.Handle {
	if h, ok := s.handles[at]; ok && h.Expires.After(now) {
		return &h
	}
	return nil
}
