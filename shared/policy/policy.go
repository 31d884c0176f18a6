// Package policy decides by Cedar policies: it compiles a text of policies once
// into a set that never changes, and judges requests against it. There are two
// kinds. The rules of administration are a Set, embedded here (admin.cedar), and
// Administration puts the questions to it, so that its callers need no Cedar.
// Policies on calls are a CallSet, which administrators write: a binding is
// the permit, and they can only forbid a call or demand an approval for it.
//
// It fails closed where Cedar does not: Cedar skips a policy that cannot be
// evaluated, so that a forbid with an error would not forbid. Here it forbids.
//
// With a schema, Compile checks every policy (Cedar's strict mode): that entity
// types, actions and attributes exist, that expressions have the right types,
// that optional attributes are asked for before they are read, that literals of
// extension types parse. Judge then refuses requests of another shape than the
// schema's. The schema does not check that a policy can ever match, that
// entities exist, that arithmetic stays in range, or that the rules are what
// somebody meant. A call's arguments are in no schema: of a policy that reads
// them everything else is checked, and an error in what is left forbids.
//
// The package never reads a catalogue, a token or a clock, never repeats policy
// text or request values in an error, and never gives permission for want of a
// policy. The validator is still experimental in cedar-go (x/exp): only
// schema.go touches it, and only outline.go looks into policies for it.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"

	"bindery/shared/broker"
)

// Limits of a set. A policy's length bounds how deep its expressions nest, and
// with that stack and time of parsing, checking and evaluating it.
const (
	MaxText     = 256 << 10
	MaxPolicy   = 16 << 10 // with the blanks and comments before it
	MaxPolicies = 500
	MaxPath     = 16 // dots in a row, as in context.arguments.path
)

// Set is a compiled set of policies. It is immutable and safe for concurrent
// use.
type Set struct {
	policies inOrder // of their ids
	id       string
	schema   *Schema
}

type named struct {
	id     string
	policy *cedar.Policy
}

// Compile reads a text of policies. Each needs one annotation, @id, with a name
// (broker.CheckName) that no other has; other annotations are refused, because
// nothing would heed them. With a schema every policy is checked against it.
// Errors wrap broker.ErrInvalid and give line, column and rule; of the text
// they repeat no more than the policy's id.
func Compile(text []byte, schema *Schema) (*Set, error) {
	s := &Set{schema: schema}
	err := read(text, func(p named) (broken string) {
		if len(p.policy.Annotations()) > 1 {
			return "the only annotation is @id"
		}
		s.policies = append(s.policies, p)
		return schema.broken((*xast.Policy)(p.policy.AST()))
	})
	if err != nil {
		return nil, err
	}
	s.policies.sort()
	s.id = digest(s.policies)
	return s, nil
}

// read takes the policies out of a text, one after the other. check gives the
// rule that a policy breaks, or nothing.
func read(text []byte, check func(named) string) error {
	pieces, err := split(text)
	if err != nil {
		return err
	}
	places := map[string]place{}
	for _, piece := range pieces {
		p, at, err := piece.parse()
		if err != nil {
			return err
		}
		id, err := policyID(p.Annotations(), at)
		if err != nil {
			return err
		}
		if other, taken := places[id]; taken {
			return at.fault(fmt.Sprintf("policy %s: the policy at line %d has this id too", id, other.line))
		}
		places[id] = at
		if rule := check(named{id, p}); rule != "" {
			return at.fault("policy " + id + ": " + rule)
		}
	}
	return nil
}

func policyID(annotations cedar.Annotations, at place) (string, error) {
	id, found := annotations["id"]
	switch {
	case !found:
		return "", at.fault(`the policy has no @id("...")`)
	case broker.CheckName("policy id", string(id)) != nil:
		return "", at.fault(fmt.Sprintf("a policy id has 1 to %d characters, only a-z, 0-9 and hyphen", broker.MaxName))
	}
	return string(id), nil
}

// digest is over each policy in Cedar's own spelling, so that blanks, comments
// and order do not count.
func digest(policies []named) string {
	h := sha256.New()
	for _, p := range policies {
		text := p.policy.MarshalCedar()
		_, _ = fmt.Fprintf(h, "%d:%s", len(text), text) // a hash does not fail
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ID names the content: two sets have the same if and only if they hold the
// same policies, whatever their order, blanks and comments.
func (s *Set) ID() string { return s.id }

// inOrder gives the engine its policies by id, so that verdicts are the same
// each time.
type inOrder []named

func (list inOrder) sort() {
	slices.SortFunc(list, func(a, b named) int { return strings.Compare(a.id, b.id) })
}

// All is what the engine asks for.
func (list inOrder) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, p := range list {
			if !yield(cedar.PolicyID(p.id), p.policy) {
				return
			}
		}
	}
}

// forbids says whether the policy of this id is a forbid.
func (s *Set) forbids(id string) bool {
	i, found := slices.BinarySearchFunc(s.policies, id, func(p named, id string) int { return strings.Compare(p.id, id) })
	return found && s.policies[i].policy.Effect() == cedar.Forbid
}
