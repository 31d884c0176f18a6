package dynamo

import (
	"cmp"
	"context"
	"errors"

	"bindery/shared/broker"
)

// policySetRow is a policy set, or, without text and tests, its name.
type policySetRow struct {
	item
	Environment string `dynamodbav:"environment"`
	ID          string `dynamodbav:"id"`
	Text        string `dynamodbav:"text,omitempty"`
	Tests       string `dynamodbav:"tests,omitempty"`
	At          string `dynamodbav:"at"`
	By          string `dynamodbav:"by"`
}

func newPolicySetRow(v broker.PolicySet, at key) policySetRow {
	return policySetRow{at.item(), v.Environment, v.ID, v.Text, v.Tests, stamp(v.At), v.By}
}

func (r policySetRow) value() (broker.PolicySet, error) {
	at, err := parseStamp(r.At)
	return broker.PolicySet{Environment: r.Environment, ID: r.ID, Text: r.Text, Tests: r.Tests, At: at, By: r.By}, err
}

func keyOfSet(v broker.PolicySet) key { return policySetKey(v.Environment, v.ID) }

func keyOfSetName(v broker.PolicySet) key { return policySetNameKey(v.Environment, v.ID) }

func decodePolicySet(a attributes) (broker.PolicySet, error) {
	return decode(a, policySetRow.value, keyOfSet)
}

func decodePolicySetName(a attributes) (broker.PolicySet, error) {
	return decode(a, policySetRow.value, keyOfSetName)
}

// AddPolicySet implements broker.PolicySets. The set and its name are one
// transaction: each list names the sets that are there, with their authors.
func (s *DB) AddPolicySet(ctx context.Context, v broker.PolicySet) error {
	const doing = "add the policy set"
	if err := v.Check(); err != nil {
		return err
	}
	set, err := encode(doing, newPolicySetRow(v, keyOfSet(v)))
	if err != nil {
		return err
	}
	v.Text, v.Tests = "", ""
	name, err := encode(doing, newPolicySetRow(v, keyOfSetName(v)))
	if err != nil {
		return err
	}
	writes, err := s.puts(doing, conditional{set, absent()}, conditional{name, notLater()})
	if err != nil {
		return err
	}
	err = uncontended(ctx, doing, func() error { return s.transact(ctx, doing, writes) })
	if errors.Is(err, broker.ErrConflict) {
		return nil // it is there, and its id says what it holds
	}
	return err
}

// PolicySet implements broker.PolicySets.
func (s *DB) PolicySet(ctx context.Context, environment, id string) (broker.PolicySet, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckSetID(id))
	return one(ctx, s, "read the policy set", invalid, policySetKey(environment, id), decodePolicySet)
}

// PolicySetNames implements broker.PolicySets.
func (s *DB) PolicySetNames(ctx context.Context, environment string, p broker.Page) ([]broker.PolicySet, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the policy sets", policiesPartition(environment), "name", p, decodePolicySetName)
}
