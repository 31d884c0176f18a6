package dynamo

import (
	"cmp"
	"context"

	"bindery/shared/broker"
)

// sealedNameRow is a sealed value's entry in the list of its environment.
type sealedNameRow struct {
	item
	Environment string `dynamodbav:"environment"`
	ID          string `dynamodbav:"id"`
}

// sealedName is the decoded sealedNameRow.
type sealedName struct{ environment, id string }

func newSealedNameRow(v broker.SealedValue) sealedNameRow {
	return sealedNameRow{sealedNameKey(v.Environment, v.ID).item(), v.Environment, v.ID}
}

func (r sealedNameRow) value() (sealedName, error) { return sealedName{r.Environment, r.ID}, nil }

// Check implements what decode asks for.
func (n sealedName) Check() error { return broker.CheckID("id", n.id) }

func decodeSealedName(a attributes) (sealedName, error) {
	return decode(a, sealedNameRow.value, func(n sealedName) key { return sealedNameKey(n.environment, n.id) })
}

// SealedNames implements broker.SealedLister.
func (s *DB) SealedNames(ctx context.Context, environment string, p broker.Page) ([]string, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	first, last := after("id", p.After)
	names, err := between(ctx, s, "list the sealed values", s.tables.Grants, sealedNamesPartition(environment), first, last, p.Limit, decodeSealedName)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(names))
	for i, n := range names {
		ids[i] = n.id
	}
	return ids, nil
}
