package broker_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"bindery/shared/broker"
)

func (w *writer) PutStore(_ context.Context, s broker.Store) error { w.store = &s; return nil }

func vaultStore(t *testing.T) broker.Store {
	return broker.Store{Environment: "prod", Name: "vault", Kind: "vault", Paths: broker.Scope{"secret/data/mcp/*"}, State: broker.Active,
		Address: "https://vault.example.com:8200", Auth: broker.StoreAuth{Method: broker.AuthJWT, Mount: "jwt", Role: "bindery", Credential: reference(t, "sealed:vault-jwt")}}
}

func TestStoreSignInMustFitItsMethod(t *testing.T) {
	for name, change := range map[string]func(*broker.Store){
		"an unknown method":        func(s *broker.Store) { s.Auth.Method = "password" },
		"no method":                func(s *broker.Store) { s.Auth = broker.StoreAuth{} },
		"a jwt without mount":      func(s *broker.Store) { s.Auth.Mount = "" },
		"a jwt without role":       func(s *broker.Store) { s.Auth.Role = "" },
		"a jwt without credential": func(s *broker.Store) { s.Auth.Credential = broker.Reference{} },
		"a jwt with a server id":   func(s *broker.Store) { s.Auth.ServerID = "x" },
		"a token with a mount":     func(s *broker.Store) { s.Auth.Method = broker.AuthToken },
		"aws-iam without server id": func(s *broker.Store) {
			s.Auth = broker.StoreAuth{Method: broker.AuthAWSIAM, Mount: "aws", Role: "bindery"}
		},
		"aws-iam with a credential":        func(s *broker.Store) { s.Auth.Method, s.Auth.ServerID = broker.AuthAWSIAM, "vault.example.com" },
		"a credential in the store itself": func(s *broker.Store) { s.Auth.Credential = reference(t, "vault:secret/data/mcp/x#token") },
		"a sign-in without address":        func(s *broker.Store) { s.Address = "" },
		"a network without address": func(s *broker.Store) {
			s.Address, s.Auth, s.Networks = "", broker.StoreAuth{}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		},
		"a namespace without address":       func(s *broker.Store) { s.Address, s.Auth, s.Namespace = "", broker.StoreAuth{}, "team" },
		"a user in the address":             func(s *broker.Store) { s.Address = "https://user@vault.example.com" },
		"a network that is never opened":    func(s *broker.Store) { s.Networks = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")} },
		"what the check of its kind is not": func(s *broker.Store) { s.Kind = "refused" },
	} {
		r, stored := registry(newWorld())
		r.CheckStore = func(s broker.Store) error {
			if s.Kind == "refused" {
				return broker.ErrInvalid
			}
			return nil
		}
		s := vaultStore(t)
		change(&s)
		if err := r.PutStore(t.Context(), s); !errors.Is(err, broker.ErrInvalid) || stored.store != nil {
			t.Errorf("%s: %v, stored: %t", name, err, stored.store != nil)
		}
	}
	r, stored := registry(newWorld())
	if err := r.PutStore(t.Context(), vaultStore(t)); !errors.Is(err, broker.ErrInvalid) || stored.store != nil {
		t.Errorf("an address that nobody checked: %v", err)
	}
	r.CheckStore = func(broker.Store) error { return nil }
	if err := r.PutStore(t.Context(), vaultStore(t)); err != nil || stored.store == nil {
		t.Error(err)
	}
}
