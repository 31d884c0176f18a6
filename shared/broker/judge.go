package broker

import (
	"context"
	"time"
)

// What a shadow set would have done, as Shadowed.Effect says it; empty: nothing.
const (
	WouldForbid   = "forbid"
	WouldDemand   = "approval"
	WouldBeUnread = "unreadable"
)

// noPolicies stands for the id of a set where none is in force: bindings alone
// permit.
const noPolicies = "none"

// maxDeciding is how many policies of a set a record names.
const maxDeciding = 32

// shadowTime bounds the reading of a shadow set: far less than DecisionLife, so
// that no call is refused for it.
const shadowTime = 250 * time.Millisecond

// askPolicies puts a call whose binding is chosen to the set in force, whose
// refusal is final: no other binding is tried. The set in shadow is asked as
// well, whatever that one says, and is never heard.
func (b *Broker) askPolicies(ctx context.Context, d *Decision) error {
	q := d.question(&d.Call, &d.Binding, d.snapshot.Tool)
	fault := b.askInForce(ctx, d, q)
	d.Shadow = b.askShadow(ctx, d, q)
	return fault
}

func (b *Broker) askInForce(ctx context.Context, d *Decision, q Question) error {
	set := d.snapshot.Environment.Policies
	if set == "" {
		return nil
	}
	rules, err := b.ruleSet(ctx, set, d)
	if err != nil {
		return &Refusal{Reason: PoliciesUnread, err: err}
	}
	d.rules = rules
	switch j := rules.Judge(q); {
	case len(j.Forbidding) > 0:
		d.Policies, d.Faulty = j.Forbidding, j.Faulty
		return refuse(PolicyForbids)
	case len(j.Demanding) > 0:
		d.Policies = j.Demanding
		return refuse(ApprovalRequired)
	}
	return nil
}

func (b *Broker) askShadow(ctx context.Context, d *Decision, q Question) *Shadowed {
	set := d.snapshot.Environment.Shadow
	if set == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shadowTime)
	defer cancel()
	rules, err := b.ruleSet(ctx, set, d)
	if err != nil {
		return &Shadowed{Set: set, Effect: WouldBeUnread}
	}
	switch j := rules.Judge(q); {
	case len(j.Forbidding) > 0:
		return &Shadowed{Set: set, Effect: WouldForbid, Policies: j.Forbidding}
	case len(j.Demanding) > 0:
		return &Shadowed{Set: set, Effect: WouldDemand, Policies: j.Demanding}
	}
	return &Shadowed{Set: set}
}

func (b *Broker) ruleSet(ctx context.Context, id string, d *Decision) (RuleSet, error) {
	if b.rules == nil {
		return nil, ErrUnavailable
	}
	return b.rules.RuleSet(ctx, d.Call.Route.Environment, id)
}

// question is what policies are asked about a call. A tombstone is no record of
// a tool.
func (d *Decision) question(c *Call, b *Binding, t *Tool) Question {
	q := Question{Call: c, Server: &d.Server, Binding: b}
	if t != nil && t.State == Active {
		q.Tool = t
	}
	if c.Principal.Agent != "" {
		q.Agent = d.snapshot.Agent
	}
	return q
}

// uses are the methods by which what a list shows is used.
var uses = map[Action]string{CallTool: "tools/call", GetPrompt: "prompts/get", ReadResource: "resources/read"}

// shows reports whether the set in force lets an element of a list be shown: it
// does, unless it forbids its use whatever the arguments. A template is judged
// as it is written, as if it were the URI of a resource.
func (d *Decision) shows(c Call, b *Binding, t *Tool) bool {
	if d.rules == nil {
		return d.Policy == noPolicies
	}
	if c.Action == expandResource {
		c.Action = ReadResource
	}
	c.Method = uses[c.Action]
	q := d.question(&c, b, t)
	q.Listed = true
	return len(d.rules.Judge(q).Forbidding) == 0
}

// deciding is the policies that a record names: however many decided, and
// whatever they are called, it can be stored.
func deciding(ids []string) []string {
	if len(ids) == 0 {
		return nil
	}
	named := make([]string, min(len(ids), maxDeciding))
	for i := range named {
		if named[i] = ids[i]; len(ids[i]) > MaxID {
			named[i] = Digest("policy", ids[i])
		}
	}
	return named
}

// recorded is what a record says of a shadow set.
func (s *Shadowed) recorded() *Shadowed {
	if s == nil {
		return nil
	}
	return &Shadowed{Set: s.Set, Effect: s.Effect, Policies: deciding(s.Policies)}
}
