package handler

import (
	"context"

	"bindery/shared/broker"
	"bindery/shared/policy"
)

// EnvironmentPart is the deployed environment in a Catalogue.
type EnvironmentPart struct {
	State string `json:"state" enum:"active,suspended" doc:"Only an active environment serves calls"`
}

// PolicySetsPart are the policies on calls in a Catalogue, by what they say.
type PolicySetsPart struct {
	Active *PolicySetBody `json:"active,omitempty" doc:"In force; none: no policies"`
	Shadow *PolicySetBody `json:"shadow,omitempty" doc:"Tried out; none: nothing is"`
}

// policiesInForce reads the sets that an environment names.
func (h *Handler) policiesInForce(ctx context.Context, e broker.Environment) (p PolicySetsPart, err error) {
	if err := h.policiesOf(ctx, e.Policies, &p.Active); err != nil {
		return p, err
	}
	return p, h.policiesOf(ctx, e.Shadow, &p.Shadow)
}

func (h *Handler) policiesOf(ctx context.Context, id string, part **PolicySetBody) error {
	if id == "" {
		return nil
	}
	s, err := h.policySet(ctx, id)
	if err != nil {
		return err
	}
	*part = &PolicySetBody{s.Text, s.Tests}
	return nil
}

func (b *PolicySetBody) id() string {
	if b == nil {
		return ""
	}
	return policy.DocumentID(b.Text, b.Tests)
}

// policyPieces gives the sets of a document, and the environment with what is
// to be in force.
func (h *Handler) policyPieces(c Catalogue, s standing) (sets []piece, environment []piece) {
	if c.Environment == nil && c.PolicySets == nil {
		return nil, nil
	}
	next := viewEnvironment(s.environment).EnvironmentBody
	if next.State == "" {
		next.State = string(broker.Suspended) // until somebody opens it
	}
	if c.Environment != nil {
		next.State = c.Environment.State
	}
	if c.PolicySets != nil {
		next.Policies, next.Shadow = c.PolicySets.Active.id(), c.PolicySets.Shadow.id()
		for _, set := range []*PolicySetBody{c.PolicySets.Active, c.PolicySets.Shadow} {
			if set != nil {
				sets = append(sets, h.policySetPiece(*set, s.stored[set.id()]))
			}
		}
	}
	p := h.environmentPiece(next, s.environment)
	for _, set := range sets {
		p.after = append(p.after, set.on.Path())
	}
	return sets, []piece{p}
}

func (h *Handler) policySetPiece(b PolicySetBody, stored bool) piece {
	return piece{on: policyObject(b.id()), current: body(stored, broker.Active, b), next: b,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.postPolicySet(ctx, &postPolicySetInput{c.DryRun, b})
			return err
		}}
}

// storedSets says which sets of a document are stored.
func (h *Handler) storedSets(ctx context.Context, c Catalogue) (map[string]bool, error) {
	stored := map[string]bool{}
	if c.PolicySets == nil {
		return stored, nil
	}
	for _, set := range []*PolicySetBody{c.PolicySets.Active, c.PolicySets.Shadow} {
		if set == nil {
			continue
		}
		switch _, err := h.policySet(ctx, set.id()); {
		case err == nil:
			stored[set.id()] = true
		case !isMissing(err):
			return nil, err
		}
	}
	return stored, nil
}
