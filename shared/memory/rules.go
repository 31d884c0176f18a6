package memory

import (
	"cmp"
	"context"

	"bindery/shared/broker"
)

// AddPolicySet implements broker.PolicySets.
func (s *DB) AddPolicySet(ctx context.Context, v broker.PolicySet) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, AddPolicySet, func() error {
		at := idKey{v.Environment, v.ID}
		if _, there := s.policySets[at]; !there {
			v.At = plain(v.At)
			s.policySets[at] = v
		}
		return nil
	})
}

// PolicySet implements broker.PolicySets.
func (s *DB) PolicySet(ctx context.Context, environment, id string) (broker.PolicySet, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckSetID(id))
	return one(ctx, s, ReadPolicySet, invalid, func() *broker.PolicySet {
		v, there := s.policySets[idKey{environment, id}]
		if !there {
			return nil
		}
		return &v
	})
}

// PolicySetNames implements broker.PolicySets.
func (s *DB) PolicySetNames(ctx context.Context, environment string, p broker.Page) ([]broker.PolicySet, error) {
	id := func(v broker.PolicySet) string { return v.ID }
	return page(ctx, s, ListPolicySets, broker.CheckName("environment", environment), p, id, func() (all []broker.PolicySet) {
		for at, v := range s.policySets {
			if at.environment == environment {
				v.Text, v.Tests = "", ""
				all = append(all, v)
			}
		}
		return all
	})
}

// PutAssignment implements broker.Assignments.
func (s *DB) PutAssignment(ctx context.Context, v broker.Assignment) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutAssignment, func() error {
		expected := v.Version
		v.Version++
		v.Paths, v.Groups, v.Servers = clone(v.Paths), clone(v.Groups), clone(v.Servers)
		return replace(s.assignments, idKey{v.Environment, v.Name}, v, func(now *broker.Assignment) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

// Assignment implements broker.Assignments.
func (s *DB) Assignment(ctx context.Context, environment, name string) (broker.Assignment, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("assignment", name))
	return one(ctx, s, ReadAssignment, invalid, func() *broker.Assignment { return s.assignments[idKey{environment, name}] })
}

// Assignments implements broker.Assignments.
func (s *DB) Assignments(ctx context.Context, environment string, p broker.Page) ([]broker.Assignment, error) {
	name := func(v broker.Assignment) string { return v.Name }
	return page(ctx, s, ListAssignments, broker.CheckName("environment", environment), p, name, func() (all []broker.Assignment) {
		for at, v := range s.assignments {
			if at.environment == environment {
				all = append(all, *v)
			}
		}
		return all
	})
}
