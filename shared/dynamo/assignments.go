package dynamo

import (
	"cmp"
	"context"

	"bindery/shared/broker"
)

type assignmentRow struct {
	item
	Environment string   `dynamodbav:"environment"`
	Name        string   `dynamodbav:"name"`
	Version     int64    `dynamodbav:"version"`
	State       string   `dynamodbav:"state"`
	Store       string   `dynamodbav:"store"`
	Paths       []string `dynamodbav:"paths"`
	Groups      []string `dynamodbav:"groups,omitempty"`
	Servers     []string `dynamodbav:"servers,omitempty"`
}

func newAssignmentRow(v broker.Assignment) assignmentRow {
	return assignmentRow{assignmentKey(v.Environment, v.Name).item(), v.Environment, v.Name, v.Version, string(v.State),
		v.Store, v.Paths, v.Groups, v.Servers}
}

func (r assignmentRow) value() (broker.Assignment, error) {
	return versioned(broker.Assignment{Environment: r.Environment, Name: r.Name, Version: r.Version, State: broker.State(r.State),
		Store: r.Store, Paths: r.Paths, Groups: r.Groups, Servers: r.Servers}, r.Version)
}

func decodeAssignment(a attributes) (broker.Assignment, error) {
	return decode(a, assignmentRow.value, func(v broker.Assignment) key { return assignmentKey(v.Environment, v.Name) })
}

// PutAssignment implements broker.Assignments.
func (s *DB) PutAssignment(ctx context.Context, v broker.Assignment) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putRow(ctx, "put the assignment", s.tables.Catalogue, newAssignmentRow(v), replaces(expected))
}

// Assignment implements broker.Assignments.
func (s *DB) Assignment(ctx context.Context, environment, name string) (broker.Assignment, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("assignment", name))
	return one(ctx, s, "read the assignment", invalid, assignmentKey(environment, name), decodeAssignment)
}

// Assignments implements broker.Assignments.
func (s *DB) Assignments(ctx context.Context, environment string, p broker.Page) ([]broker.Assignment, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the assignments", assignmentPartition(environment), "name", p, decodeAssignment)
}
