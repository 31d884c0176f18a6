package dynamo

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

type planRow struct {
	item
	Environment string        `dynamodbav:"environment"`
	Name        string        `dynamodbav:"name"`
	Version     int64         `dynamodbav:"version"`
	State       string        `dynamodbav:"state"`
	Owner       string        `dynamodbav:"owner"`
	Reference   string        `dynamodbav:"reference"`
	Maker       string        `dynamodbav:"maker"`
	Length      int           `dynamodbav:"length,omitempty"`
	Alphabet    string        `dynamodbav:"alphabet,omitempty"`
	Issue       *callRow      `dynamodbav:"issue,omitempty"`
	Value       string        `dynamodbav:"value,omitempty"`
	Keep        string        `dynamodbav:"keep,omitempty"`
	Retire      *callRow      `dynamodbav:"retire,omitempty"`
	Provider    string        `dynamodbav:"provider,omitempty"`
	Every       time.Duration `dynamodbav:"every_ns,omitempty"`
	Grace       time.Duration `dynamodbav:"grace_ns,omitempty"`
	Server      string        `dynamodbav:"server,omitempty"`
	Binding     string        `dynamodbav:"binding,omitempty"`
	Origin      string        `dynamodbav:"origin,omitempty"`
}

type callRow struct {
	Method  string            `dynamodbav:"method"`
	URL     string            `dynamodbav:"url"`
	Headers map[string]string `dynamodbav:"headers,omitempty"`
	Body    string            `dynamodbav:"body,omitempty"`
}

func newCallRow(c broker.RecipeCall) *callRow {
	if c.Method == "" {
		return nil
	}
	return &callRow{c.Method, c.URL, c.Headers, c.Body}
}

func (r *callRow) value() broker.RecipeCall {
	if r == nil {
		return broker.RecipeCall{}
	}
	return broker.RecipeCall{Method: r.Method, URL: r.URL, Headers: r.Headers, Body: r.Body}
}

func newPlanRow(p broker.RotationPlan) planRow {
	return planRow{rotationPlanKey(p.Environment, p.Name).item(), p.Environment, p.Name, p.Version, string(p.State), p.Owner,
		p.Reference.String(), string(p.Maker), p.Random.Length, p.Random.Alphabet, newCallRow(p.Recipe.Issue), p.Recipe.Value, p.Recipe.Keep,
		newCallRow(p.Recipe.Retire), p.Provider, p.Every, p.Grace, p.Server, p.Binding, p.Origin}
}

func (r planRow) value() (broker.RotationPlan, error) {
	p := broker.RotationPlan{Environment: r.Environment, Name: r.Name, Version: r.Version, State: broker.State(r.State), Owner: r.Owner,
		Maker: broker.MakerKind(r.Maker), Random: broker.Random{Length: r.Length, Alphabet: r.Alphabet},
		Recipe:   broker.Recipe{Issue: r.Issue.value(), Value: r.Value, Keep: r.Keep, Retire: r.Retire.value()},
		Provider: r.Provider, Every: r.Every, Grace: r.Grace, Server: r.Server, Binding: r.Binding, Origin: r.Origin}
	var err error
	if p.Reference, err = broker.StoredReference(r.Reference); err != nil {
		return p, err
	}
	return versioned(p, r.Version)
}

func decodePlan(a attributes) (broker.RotationPlan, error) {
	return decode(a, planRow.value, func(p broker.RotationPlan) key { return rotationPlanKey(p.Environment, p.Name) })
}

// planClaimRow says which plan rotates a secret: that it is one row of two writers'
// transactions is what keeps it to one plan.
type planClaimRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Plan        string `dynamodbav:"plan"` // empty: none
}

const puttingPlan = "put the rotation plan"

// PutRotationPlan implements broker.RotationPlans. One transaction stores the
// plan and claims its secret; a plan that is deleted lets go of it. Plans that
// were stored before there were claims have theirs from when they are put again.
func (s *DB) PutRotationPlan(ctx context.Context, p broker.RotationPlan) error {
	if err := p.Check(); err != nil {
		return err
	}
	next := p
	next.Version++
	row, err := encode(puttingPlan, newPlanRow(next))
	if err != nil {
		return err
	}
	list, err := s.claiming(ctx, p)
	if err != nil {
		return err
	}
	writes, err := s.puts(puttingPlan, append(list, conditional{row, replaces(p.Version)})...)
	if err != nil {
		return err
	}
	err = uncontended(ctx, puttingPlan, func() error { return s.transact(ctx, puttingPlan, writes) })
	if !errors.Is(err, broker.ErrConflict) {
		return err
	}
	there, unread := s.get(ctx, puttingPlan, s.tables.Catalogue, rotationPlanKey(p.Environment, p.Name))
	if unread != nil {
		return unread
	}
	if same(there, row) { // an earlier attempt was applied
		return nil
	}
	return err
}

// claiming is the put of a plan's claim. A plan that is deleted without having
// one leaves it to whoever has it.
func (s *DB) claiming(ctx context.Context, p broker.RotationPlan) ([]conditional, error) {
	k := planClaimKey(p.Environment, p.Subject())
	holds := func(plan string) expression.ConditionBuilder {
		return expression.Name("plan").Equal(expression.Value(plan))
	}
	claim, when := planClaimRow{k.item(), p.Environment, p.Name}, absent().Or(holds(""), holds(p.Name))
	if p.State == broker.Deleted {
		there, err := s.get(ctx, puttingPlan, s.tables.Catalogue, k)
		if err != nil {
			return nil, err
		}
		if textOf(there, "plan") != p.Name {
			return nil, nil
		}
		claim.Plan, when = "", holds(p.Name)
	}
	item, err := encode(puttingPlan, claim)
	return []conditional{{item, when}}, err
}

// RotationPlan implements broker.RotationPlans.
func (s *DB) RotationPlan(ctx context.Context, environment, name string) (broker.RotationPlan, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("rotation plan", name))
	return one(ctx, s, "read the rotation plan", invalid, rotationPlanKey(environment, name), decodePlan)
}

// RotationPlans implements broker.RotationPlans.
func (s *DB) RotationPlans(ctx context.Context, environment string, p broker.Page) ([]broker.RotationPlan, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the rotation plans", rotationPlansPartition(environment), "name", p, decodePlan)
}
