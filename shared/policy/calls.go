package policy

import (
	_ "embed"
	"fmt"
	"slices"

	"github.com/cedar-policy/cedar-go"
	xast "github.com/cedar-policy/cedar-go/x/exp/ast"

	"bindery/shared/broker"
)

//go:embed calls.cedarschema
var callsSchema []byte

// Effect is what a policy on calls does when it matches.
type Effect string

// The effects.
const (
	Forbids Effect = "forbid"
	Demands Effect = "approval"
)

// CallSet is a compiled set of policies on calls. It is immutable and safe for
// concurrent use. A binding is the permit: the set has none, and what none of
// its policies objects to passes.
type CallSet struct {
	plain    inOrder // policies that read no arguments
	arguing  inOrder // those that do
	heads    inOrder // of arguing: which calls they concern
	demands  map[string]bool
	mentions spellings // names of members that arguing policies mention
	reach    int       // what the patterns of all policies may compare with one byte of text, at worst
}

// CompileCalls reads a text of policies on calls. Compile says what holds for
// every text. Here each policy is a forbid, and may have a second annotation,
// @demand("approval"): then it asks for an approval where it matches. All are
// checked against calls.cedarschema, but for what they say of arguments.
func CompileCalls(text []byte) (*CallSet, error) {
	schema, err := ParseSchema(callsSchema)
	if err != nil {
		return nil, err
	}
	s := &CallSet{demands: map[string]bool{}, mentions: spellings{}}
	err = read(text, func(p named) string { return s.add(p, schema) })
	if err != nil {
		return nil, err
	}
	for _, list := range []inOrder{s.plain, s.arguing, s.heads} {
		list.sort()
	}
	return s, nil
}

func (s *CallSet) add(p named, schema *Schema) (broken string) {
	demand, demands := p.policy.Annotations()["demand"]
	tree := (*xast.Policy)(p.policy.AST())
	arguing := false
	for _, c := range tree.Conditions {
		if !namesContext(c.Body) {
			return "context is read by name only, as in context.method"
		}
		arguing = arguing || readsArguments(c.Body)
	}
	switch {
	case p.policy.Effect() != cedar.Forbid:
		return "a policy on calls can only forbid: what is permitted, bindings say"
	case demands && demand != cedar.String(Demands):
		return fmt.Sprintf("all that can be demanded is @demand(%q)", Demands)
	case len(tree.Annotations) > 1 && (!demands || len(tree.Annotations) > 2):
		return "the only annotations are @id and @demand"
	case arguing && !onlyWithArguments(tree.Action):
		return "a policy that reads context.arguments is for call_tool or get_prompt alone, and says so in its head"
	}
	if schema.unknownType(tree) {
		return noSuchType // the outline may lack it
	}
	if broken := schema.broken(outline(tree)); broken != "" {
		return broken
	}
	s.reach += patternReach(tree)
	if s.demands[p.id] = demands; !arguing {
		s.plain = append(s.plain, p)
		return ""
	}
	s.arguing, s.heads = append(s.arguing, p), append(s.heads, head(p))
	memberNames(tree, s.mentions.add)
	return ""
}

// Judge says what the set says of a call. Each of its policies that cannot be
// evaluated forbids. A question that cannot be told in Cedar is forbidden by
// all of them; one whose arguments cannot, by those that concern the call and
// read arguments. Arguments are read only where there is such a policy.
func (s *CallSet) Judge(q broker.Question) broker.Judgement {
	if len(s.plain)+len(s.arguing) == 0 {
		return broker.Judgement{}
	}
	a, ok := ask(q)
	if !ok || s.tooLong(len(q.Call.Target)) {
		all := slices.Concat(s.plain.ids(), s.arguing.ids())
		return ordered(broker.Judgement{Forbidding: all, Faulty: slices.Clone(all)})
	}
	var j broker.Judgement
	s.judge(&j, s.plain, a)
	if !q.Listed && takesArguments(q.Call.Action) {
		if concerned, failed := s.heads.of(a); len(concerned)+len(failed) > 0 {
			s.judgeArguments(&j, a, q.Call.Arguments, slices.Concat(concerned, failed))
		}
	}
	return ordered(j)
}

func (s *CallSet) judgeArguments(j *broker.Judgement, a asked, raw []byte, concerned []string) {
	for _, folds := range []bool{false, true} {
		args, other, err := readArguments(raw, s.mentions, folds)
		if err != nil || s.tooLong(len(raw)) {
			j.Forbidding, j.Faulty = append(j.Forbidding, concerned...), append(j.Faulty, concerned...)
			return
		}
		s.judge(j, s.arguing, a.with(args))
		if !other {
			return
		}
	}
}

func (s *CallSet) judge(j *broker.Judgement, list inOrder, a asked) {
	matching, failing := list.of(a)
	j.Forbidding, j.Faulty = append(j.Forbidding, failing...), append(j.Faulty, failing...)
	for _, id := range matching {
		if s.demands[id] {
			j.Demanding = append(j.Demanding, id)
		} else {
			j.Forbidding = append(j.Forbidding, id)
		}
	}
}

// of gives the ids of the policies, all of them forbids, that match, and of
// those that cannot be evaluated.
func (list inOrder) of(a asked) (matching, failing []string) {
	if len(list) == 0 {
		return nil, nil
	}
	_, found := cedar.Authorize(list, a.entities, a.request)
	for _, reason := range found.Reasons {
		matching = append(matching, string(reason.PolicyID))
	}
	for _, fault := range found.Errors {
		failing = append(failing, string(fault.PolicyID))
	}
	return matching, failing
}

func (list inOrder) ids() (ids []string) {
	for _, p := range list {
		ids = append(ids, p.id)
	}
	return ids
}

// ordered names each policy once. Where one forbids, nothing is demanded.
func ordered(j broker.Judgement) broker.Judgement {
	if len(j.Forbidding) > 0 {
		j.Demanding = nil
	}
	for _, list := range []*[]string{&j.Forbidding, &j.Demanding, &j.Faulty} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return j
}
