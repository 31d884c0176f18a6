package dynamo

import (
	"context"

	"bindery/shared/broker"
)

// useRow says that a version of the binding references the secret. It is never
// deleted: an old version still tells who was given what.
type useRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Server      string `dynamodbav:"server"`
	Binding     string `dynamodbav:"binding"`
	Reference   string `dynamodbav:"reference"`
}

func newUseRow(u broker.Use) useRow {
	return useRow{keyOfUse(u).item(), u.Route.Environment, u.Route.Server, u.Binding, u.Reference.String()}
}

func (r useRow) value() (broker.Use, error) {
	reference, err := broker.StoredReference(r.Reference)
	return broker.Use{Reference: reference, Route: broker.Route{Environment: r.Environment, Server: r.Server}, Binding: r.Binding}, err
}

func keyOfUse(u broker.Use) key { return useKey(u.Route.Environment, u.Reference.Scheme(), u.Token()) }

func decodeUse(a attributes) (broker.Use, error) { return decode(a, useRow.value, keyOfUse) }

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

// uses reads one row more than the page has, to know whether there is another.
func (s *DB) uses(ctx context.Context, p broker.UsesPage, invalid error) (uses []broker.Use, next string, err error) {
	if invalid != nil {
		return nil, "", invalid
	}
	first, last := usesBetween(p.Prefix, p.After)
	uses, err = between(ctx, s, "list the uses", s.tables.Catalogue, usesPartition(p.Environment, p.Scheme), first, last, p.Limit+1, decodeUse)
	if err != nil {
		return nil, "", err
	}
	if len(uses) > p.Limit {
		uses, next = uses[:p.Limit], uses[p.Limit-1].Token()
	}
	return uses, next, nil
}
