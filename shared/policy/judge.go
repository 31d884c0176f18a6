package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go"
)

// EntityID names an entity.
type EntityID struct{ Type, ID string }

// Entity is a thing that policies speak of. Its attributes are what Request
// says of a context.
type Entity struct {
	EntityID
	Attributes map[string]any
	Tags       map[string]any
	Parents    []EntityID
}

// Request is one question. In Context and attributes stand booleans, strings,
// integers, JSON numbers, nil, EntityIDs, lists and maps of these; see value.go
// for how JSON becomes Cedar.
type Request struct {
	Principal Entity
	Action    string
	Resource  Entity
	Context   map[string]any
	Entities  []Entity // others that policies may look up, as groups with parents
}

// Verdict answers a request. The zero Verdict refuses.
type Verdict struct {
	Allowed     bool
	Determining []string // ids of the policies that decided, in order: the forbids, or else the permits
	Errors      []string // ids of the policies that could not be evaluated, in order
	Malformed   bool     // the request has not the schema's shape or cannot be told in Cedar: nothing was asked
}

// Judge answers. A forbid that cannot be evaluated forbids; a permit that
// cannot be evaluated permits nothing.
func (s *Set) Judge(r Request) Verdict {
	c := converter{room: MaxValues}
	entities := make(cedar.EntityMap, 2+len(r.Entities))
	for _, e := range r.Entities {
		c.add(entities, e)
	}
	c.add(entities, r.Principal) // after the others: they cannot stand in for it
	c.add(entities, r.Resource)
	asked := cedar.Request{
		Principal: r.Principal.uid(),
		Action:    cedar.NewEntityUID("Action", cedar.String(r.Action)),
		Resource:  r.Resource.uid(),
		Context:   c.record(r.Context, 0),
	}
	if c.failed || !s.schema.fits(asked, entities) {
		return Verdict{Malformed: true}
	}
	decision, found := cedar.Authorize(s.policies, entities, asked)
	v := Verdict{Allowed: decision == cedar.Allow}
	for _, reason := range found.Reasons {
		v.Determining = append(v.Determining, string(reason.PolicyID))
	}
	for _, fault := range found.Errors {
		v.Errors = append(v.Errors, string(fault.PolicyID))
	}
	return s.failClosed(v)
}

// failClosed counts forbids with errors among the forbids that matched.
func (s *Set) failClosed(v Verdict) Verdict {
	for _, id := range v.Errors {
		if !s.forbids(id) {
			continue
		}
		if v.Allowed {
			v.Allowed, v.Determining = false, nil // permits no longer decide
		}
		v.Determining = append(v.Determining, id)
	}
	slices.Sort(v.Determining)
	return v
}
