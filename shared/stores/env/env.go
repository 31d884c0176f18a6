// Package env is broker.SecretStore over variables of the function's own
// environment, for values that a deployment puts there by itself.
//
// A reference's path is the name of a variable. It must begin with Prefix and
// be listed by its whole name in the store's paths, so that nothing else of
// the environment (credentials of the function's role, settings) can be read,
// whatever a row says. A variable has no version of its own and none before: it
// changes with a deployment, and only then.
//
// The package never names a variable that is not registered, and keeps nothing.
package env

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Prefix begins the name of every variable that can be read.
const Prefix = "BINDERY_SECRET_"

// Version stands for the version of every value: what could tell two values
// apart would tell something of them.
const Version = "env"

// Store reads the environment through lookup. It is safe for concurrent use.
type Store struct {
	lookup func(string) (string, bool)
}

// New makes a Store; lookup is os.LookupEnv.
func New(lookup func(string) (string, bool)) *Store { return &Store{lookup: lookup} }

// Fetch implements broker.SecretStore.
func (s *Store) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	name := w.Reference.Path()
	selector, _ := w.Reference.Selector()
	switch {
	case ctx.Err() != nil:
		return broker.Secret{}, fmt.Errorf("read a variable: %w: %w", broker.ErrUnavailable, ctx.Err())
	case selector != "":
		return broker.Secret{}, fmt.Errorf("%w reference: a variable takes no selector after ?: %w", broker.ErrInvalid, broker.ErrSecretMalformed)
	case !named(name):
		return broker.Secret{}, fmt.Errorf("%w reference: %s: %w", broker.ErrInvalid, rule, broker.ErrSecretMalformed)
	case !slices.Contains(w.Store.Paths, name):
		return broker.Secret{}, fmt.Errorf("%w: the variable is not listed by its name", broker.ErrStoreDenied)
	}
	value, ok := s.lookup(name)
	if !ok {
		return broker.Secret{}, fmt.Errorf("%w: the variable is not set", broker.ErrSecretMissing)
	}
	values, err := broker.Members(secret.New(value), w.Keys)
	if err != nil {
		return broker.Secret{}, err
	}
	return broker.Secret{Values: values, Version: Version}, nil
}

// Check refuses a registration whose paths are not names of variables that may
// be read; a wildcard is none.
func Check(s broker.Store) error {
	for _, path := range s.Paths {
		if !named(path) {
			return fmt.Errorf("%w store paths: %s", broker.ErrInvalid, rule)
		}
	}
	return nil
}

const rule = "a variable is named " + Prefix + "NAME, in A-Z, 0-9 and _, without wildcards"

func named(s string) bool {
	rest, ok := strings.CutPrefix(s, Prefix)
	return ok && rest != "" && len(s) <= 128 && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
