package broker

import (
	"context"
	"slices"
)

// Assignment says who besides administrators may bind references: those of one
// store that lie in its paths, by the members of these groups, or by whoever
// owns one of these servers, at that server.
type Assignment struct {
	Environment string
	Name        string
	Version     int64
	State       State
	Store       string // scheme of the references
	Paths       Scope
	Groups      []string
	Servers     []string
}

// Assignments keeps assignments by the rules of CatalogueWriter and
// CatalogueReader.
type Assignments interface {
	PutAssignment(ctx context.Context, a Assignment) error
	Assignment(ctx context.Context, environment, name string) (Assignment, error)
	Assignments(ctx context.Context, environment string, p Page) ([]Assignment, error)
}

// Covers reports whether the assignment is in force for a reference.
func (a Assignment) Covers(r Reference) bool {
	return a.State == Active && a.Store == r.Scheme() && a.Paths.Allows(r)
}

// Assigns reports whether the reference is assigned to the group itself, or to
// the server.
func (a Assignment) Assigns(r Reference, group, server string) bool {
	return a.Covers(r) && (group != "" && slices.Contains(a.Groups, group) || server != "" && slices.Contains(a.Servers, server))
}

// Check refuses what no backend may keep.
func (a Assignment) Check() error {
	c := rowCheck{row: "assignment"}
	c.name("environment", a.Environment)
	c.name("name", a.Name)
	c.name("store", a.Store)
	c.standing(a.Version, a.State)
	c.list("paths", a.Paths)
	c.keep(CheckScope(a.Paths))
	c.list("groups", a.Groups)
	c.entries("servers", len(a.Servers))
	for _, s := range a.Servers {
		c.name("server", s)
	}
	return c.err
}
