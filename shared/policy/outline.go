package policy

import (
	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/ast"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"

	"bindery/shared/broker"
)

// The validator knows only attributes of known types, and nobody knows those of
// a call's arguments. So it is shown the outline of a policy: each part of a
// condition that is true or false and reads arguments is replaced by a
// comparison whose outcome is open, joined with whatever the part reads besides.
// Everything but the arguments is then checked as in any other policy: types,
// attributes, and that the optional ones are asked for.

const arguments = "arguments"

// readsArguments says whether an expression reads the arguments of the call.
// It rests on context being read by name only (namesContext).
func readsArguments(n xast.IsNode) (found bool) {
	xast.Inspect(xast.NewNode(n), func(n xast.IsNode) bool {
		found = found || isArguments(n)
		return !found
	})
	return found
}

func isArguments(n xast.IsNode) bool {
	on, name := member(n)
	return name == arguments && isContext(on)
}

// namesContext says whether context stands only before a name: in a record or
// a comparison it would take the arguments along unseen.
func namesContext(n xast.IsNode) bool {
	all, named := 0, 0
	xast.Inspect(xast.NewNode(n), func(n xast.IsNode) bool {
		if on, _ := member(n); on != nil && isContext(on) {
			named++
		}
		if isContext(n) {
			all++
		}
		return true
	})
	return all == named
}

// member gives what a node reads a member of, or asks for one, and its name.
func member(n xast.IsNode) (on xast.IsNode, name string) {
	switch n := n.(type) {
	case xast.NodeTypeAccess:
		return n.Arg, string(n.Value)
	case xast.NodeTypeHas:
		return n.Arg, string(n.Value)
	}
	return nil, ""
}

func isContext(n xast.IsNode) bool {
	v, ok := n.(xast.NodeTypeVariable)
	return ok && v == xast.NewContextNode()
}

// memberNames gives all names of members that a policy mentions.
func memberNames(p *xast.Policy, found func(name string)) {
	for _, c := range p.Conditions {
		xast.Inspect(xast.NewNode(c.Body), func(n xast.IsNode) bool {
			if on, name := member(n); on != nil {
				found(name)
			}
			if r, ok := n.(xast.NodeTypeRecord); ok {
				for _, e := range r.Elements {
					found(string(e.Key))
				}
			}
			return true
		})
	}
}

func outline(p *xast.Policy) *xast.Policy {
	o := *p
	o.Conditions = make([]xast.ConditionType, len(p.Conditions))
	for i, c := range p.Conditions {
		o.Conditions[i] = xast.ConditionType{Condition: c.Condition, Body: outlined(c.Body)}
	}
	return &o
}

// outlined replaces parts of what must be true or false.
func outlined(n xast.IsNode) xast.IsNode {
	pair := func(b xast.BinaryNode) xast.BinaryNode {
		return xast.BinaryNode{Left: outlined(b.Left), Right: outlined(b.Right)}
	}
	switch n := n.(type) {
	case xast.NodeTypeAnd:
		return xast.NodeTypeAnd{BinaryNode: pair(n.BinaryNode)}
	case xast.NodeTypeOr:
		return xast.NodeTypeOr{BinaryNode: pair(n.BinaryNode)}
	case xast.NodeTypeNot:
		return xast.NodeTypeNot{UnaryNode: xast.UnaryNode{Arg: outlined(n.Arg)}}
	case xast.NodeTypeIfThenElse:
		return xast.NodeTypeIfThenElse{If: outlined(n.If), Then: outlined(n.Then), Else: outlined(n.Else)}
	}
	var p part
	if !p.reads(n) {
		return n
	}
	open := xast.Context().Access("method").Equal(xast.String(""))
	for _, n := range p.besides {
		besides := xast.NewNode(n) // equal to itself, whatever its type
		open = open.And(besides.Equal(besides))
	}
	return open.AsIsNode()
}

// part is a part of a condition that reads arguments.
type part struct {
	besides []xast.IsNode // the largest expressions in it that do not
}

func (p *part) reads(n xast.IsNode) (found bool) {
	if isArguments(n) {
		return true
	}
	var others []xast.IsNode
	for _, operand := range operands(n) {
		if p.reads(operand) {
			found = true
		} else {
			others = append(others, operand)
		}
	}
	if found {
		p.besides = append(p.besides, others...)
	}
	return found
}

func operands(n xast.IsNode) (list []xast.IsNode) {
	self := true
	xast.Inspect(xast.NewNode(n), func(n xast.IsNode) bool {
		if self {
			self = false
			return true
		}
		list = append(list, n)
		return false
	})
	return list
}

// head is a policy without its conditions: it matches the calls that the
// policy concerns.
func head(p named) named {
	h := *p.policy.AST()
	h.Conditions = nil
	return named{p.id, cedar.NewPolicyFromAST((*ast.Policy)(&h))}
}

// onlyWithArguments says whether the head names actions that have arguments, and no
// others.
func onlyWithArguments(head xast.IsActionScopeNode) bool {
	var actions []cedar.EntityUID
	switch head := head.(type) {
	case xast.ScopeTypeEq:
		actions = append(actions, head.Entity)
	case xast.ScopeTypeIn:
		actions = append(actions, head.Entity)
	case xast.ScopeTypeInSet:
		actions = head.Entities
	}
	for _, a := range actions {
		if a.Type != "Action" || !takesArguments(broker.Action(a.ID)) {
			return false
		}
	}
	return len(actions) > 0
}

func takesArguments(a broker.Action) bool { return a == broker.CallTool || a == broker.GetPrompt }
