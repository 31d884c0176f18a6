package policy

import (
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
	xschema "github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"bindery/shared/broker"
)

// Schema says which entities, actions and attributes there are. It is immutable
// and safe for concurrent use.
type Schema struct {
	validator *validate.Validator
	resolved  *resolved.Schema
}

// ParseSchema reads a schema in Cedar's own format. Schemas are part of the
// product and never come from outside.
func ParseSchema(text []byte) (*Schema, error) {
	var s xschema.Schema
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, fmt.Errorf("%w schema: it does not parse", broker.ErrInvalid)
	}
	all, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("%w schema: it names a type that it does not declare, or declares one twice", broker.ErrInvalid)
	}
	return &Schema{validate.New(all), all}, nil
}

const noSuchType = "the schema has no such entity type"

// rules tell what the validator found without quoting the policy, as its
// messages do. They are recognised by the constant part of the message; one
// that is not still refuses the policy.
var rules = []struct{ message, rule string }{
	{"unrecognized entity type", noSuchType},
	{"unrecognized action", "the schema has no such action"},
	{"unable to find an applicable action", "the schema has no action for such a principal and resource"},
	{"safety of access to optional attribute", "an optional attribute is read without asking for it by has"},
	{"safety of access to tag", "a tag is read without asking for it by hasTag"},
	{"not found", "the schema has no such attribute"},
	{"unexpected type", "a value has the wrong type"},
	{"empty set", "empty sets are not allowed"},
	{"extension", "an extension function has wrong arguments"},
}

// broken gives the rule of the schema that a policy breaks, or nothing.
func (s *Schema) broken(p *xast.Policy) string {
	if s == nil {
		return ""
	}
	if s.unknownType(p) {
		return noSuchType
	}
	err := s.validator.Policy("", p)
	if err == nil {
		return ""
	}
	for _, r := range rules {
		if strings.Contains(err.Error(), r.message) {
			return r.rule
		}
	}
	return "it does not agree with the schema"
}

// unknownType finds a type behind "is" that the schema does not have. To the
// validator this is a condition that never holds: a misspelt forbid that would
// never forbid.
func (s *Schema) unknownType(p *xast.Policy) (unknown bool) {
	for _, c := range p.Conditions {
		xast.Inspect(xast.NewNode(c.Body), func(n xast.IsNode) bool {
			var is cedar.EntityType
			switch n := n.(type) {
			case xast.NodeTypeIs:
				is = n.EntityType
			case xast.NodeTypeIsIn:
				is = n.EntityType
			default:
				return true
			}
			if _, known := s.resolved.Entities[is]; !known {
				unknown = true
			}
			return true
		})
	}
	return unknown
}

// fits says whether a request has the schema's shape.
func (s *Schema) fits(request cedar.Request, entities cedar.EntityMap) bool {
	if s == nil {
		return true
	}
	return s.validator.Request(request) == nil && s.validator.Entities(entities) == nil
}
