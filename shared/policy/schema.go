package policy

import (
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"
	xschema "github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"bindery/shared/broker"
)

// Schema says which entities, actions and attributes there are. It is immutable
// and safe for concurrent use.
type Schema struct{ validator *validate.Validator }

// ParseSchema reads a schema in Cedar's own format. Schemas are part of the
// product and never come from outside.
func ParseSchema(text []byte) (*Schema, error) {
	var s xschema.Schema
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, fmt.Errorf("%w schema: it does not parse", broker.ErrInvalid)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("%w schema: it names a type that it does not declare, or declares one twice", broker.ErrInvalid)
	}
	return &Schema{validator: validate.New(resolved)}, nil
}

// rules tell what the validator found without quoting the policy, as its
// messages do. They are recognised by the constant part of the message; one
// that is not still refuses the policy.
var rules = []struct{ message, rule string }{
	{"unrecognized entity type", "the schema has no such entity type"},
	{"unrecognized action", "the schema has no such action"},
	{"unable to find an applicable action", "the schema has no action for such a principal and resource"},
	{"safety of access to optional attribute", "an optional attribute is read without asking for it by has"},
	{"not found", "the schema has no such attribute"},
	{"unexpected type", "a value has the wrong type"},
	{"empty set", "empty sets are not allowed"},
	{"extension", "an extension function has wrong arguments"},
}

// broken gives the rule of the schema that a policy breaks, or nothing.
func (s *Schema) broken(p *cedar.Policy) string {
	if s == nil {
		return ""
	}
	err := s.validator.Policy("", (*xast.Policy)(p.AST()))
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

// fits says whether a request has the schema's shape.
func (s *Schema) fits(request cedar.Request, entities cedar.EntityMap) bool {
	if s == nil {
		return true
	}
	return s.validator.Request(request) == nil && s.validator.Entities(entities) == nil
}
