package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"bindery/shared/broker"
)

// UsesOfStore implements broker.Uses.
func (s *DB) UsesOfStore(ctx context.Context, environment, scheme, after string, limit int) ([]broker.Use, string, error) {
	p, err := broker.PageOfStore(environment, scheme, after, limit)
	return s.uses(ctx, p, err)
}

// UsesOfReference implements broker.Uses.
func (s *DB) UsesOfReference(ctx context.Context, environment string, r broker.Reference, after string, limit int) ([]broker.Use, string, error) {
	p, err := broker.PageOfReference(environment, r, after, limit)
	return s.uses(ctx, p, err)
}

// uses looks through every version of every binding: nothing is forgotten.
func (s *DB) uses(ctx context.Context, p broker.UsesPage, invalid error) (uses []broker.Use, next string, err error) {
	if invalid != nil {
		return nil, "", invalid
	}
	err = s.do(ctx, ListUses, func() error {
		found := map[string]broker.Use{}
		for at, versions := range s.versions {
			if at.Environment != p.Environment {
				continue
			}
			for _, version := range versions {
				for _, u := range broker.UsesOf(version) {
					if token := u.Token(); u.Reference.Scheme() == p.Scheme && strings.HasPrefix(token, p.Prefix) && token > p.After {
						found[token] = u
					}
				}
			}
		}
		for _, u := range found {
			uses = append(uses, u)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(uses, func(a, b broker.Use) int { return cmp.Compare(a.Token(), b.Token()) })
	if len(uses) > p.Limit {
		uses, next = uses[:p.Limit], uses[p.Limit-1].Token()
	}
	return uses, next, nil
}

// SealedNames implements broker.SealedLister.
func (s *DB) SealedNames(ctx context.Context, environment string, p broker.Page) ([]string, error) {
	itself := func(id string) string { return id }
	return page(ctx, s, ListSealed, broker.CheckName("environment", environment), p, itself, func() (all []string) {
		for at := range s.sealed {
			if at.environment == environment {
				all = append(all, at.id)
			}
		}
		return all
	})
}
