package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

const (
	maxObjects = 1000             // of one document
	applyTime  = 18 * time.Second // after which no further object is begun: an invocation has 29 seconds
)

// Applied says what was done with each object of a document, or with a dry run
// what would be done.
type Applied struct {
	DryRun  bool     `json:"dry_run"`
	Objects []Step   `json:"objects" doc:"In the order in which they are put"`
	Extra   []string `json:"extra" doc:"What stands and is not in the document: it was left alone. Of servers that the document does not name only the server is listed"`
}

// Step is what was done with one object.
type Step struct {
	Object    string   `json:"object" example:"binding/github/dev-github"`
	Action    string   `json:"action" enum:"create,change,none,refused,unfinished" doc:"refused: nothing of this object was changed. unfinished: there was no time for it, apply the same document again"`
	Fields    []string `json:"fields,omitempty" doc:"Members that differ; of a new object all that it has"`
	Unchecked bool     `json:"unchecked,omitempty" doc:"Said by a dry run: it needs an object that this document makes, so nobody was asked about it yet"`
	Problem   *Problem `json:"problem,omitempty" doc:"Why it was refused, as its own operation would say it"`
	Receipt   string   `json:"receipt,omitempty" doc:"Names the audit records of this object"`
}

// What a step does.
const (
	stepCreate     = "create"
	stepChange     = "change"
	stepNone       = "none"
	stepRefused    = "refused"
	stepUnfinished = "unfinished"
)

// apply permits and records nothing by itself but that it was asked for: each
// object goes through the operation that puts it.
func (h *Handler) apply(ctx context.Context, in *struct {
	DryRun bool `query:"dry_run" doc:"Say what would be done, and why not; change nothing"`
	Body   Catalogue
}) (*struct{ Body Applied }, error) {
	if err := h.askList(ctx, "apply", h.environmentObject()); err != nil {
		return nil, err
	}
	applied, err := h.applied(ctx, in.Body, in.DryRun)
	if err != nil {
		return nil, fault(err)
	}
	return &struct{ Body Applied }{applied}, nil
}

func (h *Handler) applied(ctx context.Context, document Catalogue, dry bool) (Applied, error) {
	end := h.now().Add(applyTime)
	a := Applied{DryRun: dry, Objects: []Step{}, Extra: []string{}}
	if err := document.nameable(); err != nil {
		return a, err
	}
	s, err := h.standing(ctx, func(server string) bool { _, named := document.Servers[server]; return named })
	if err != nil {
		return a, err
	}
	if s.stored, err = h.storedSets(ctx, document); err != nil {
		return a, err
	}
	a.Objects = h.steps(ctx, h.dismantle(ctx, document, s), dry, end)
	a.Extra = h.extra(ctx, document, s)
	return a, nil
}

// steps puts one object after the other, as long as there is time.
func (h *Handler) steps(ctx context.Context, pieces []piece, dry bool, end time.Time) []Step {
	steps := []Step{}
	done := map[string]Step{}
	for _, p := range pieces {
		var s Step
		switch without := done[p.only]; {
		case h.now().After(end) || ctx.Err() != nil:
			s = Step{Object: p.on.Path(), Action: stepUnfinished}
		case without.Action == stepRefused || without.Action == stepUnfinished:
			s = Step{Object: p.on.Path(), Action: without.Action, Problem: without.Problem}
		default:
			waits := dry && slices.ContainsFunc(p.after, func(path string) bool { return done[path].Action == stepCreate })
			s = h.step(ctx, p, dry, waits)
		}
		done[s.Object] = s
		steps = append(steps, s)
	}
	return steps
}

// step puts one object, under a receipt of its own.
func (h *Handler) step(ctx context.Context, p piece, dry, waits bool) Step {
	c := callerOf(ctx)
	c.Receipt = h.receipt()
	ctx = withCaller(ctx, c)
	s := Step{Object: p.on.Path(), Action: stepCreate, Fields: differences(p.current, p.next)}
	if p.current != nil {
		s.Action = stepChange
	}
	condition := Condition{IfMatch: tag(p.version), DryRun: dry}
	if p.version == 0 {
		condition = Condition{IfNoneMatch: "*", DryRun: dry}
	}
	var err error
	switch {
	case p.fault != nil:
		err = fault(p.fault)
	case p.current != nil && !h.desk.Sees(c, need(policy.Read, p.on)): // nobody learns from a comparison what they may not read
		s.Receipt = c.Receipt
		err = h.ask(ctx, "apply", p.on)
	case p.current != nil && len(s.Fields) == 0:
		s.Action = stepNone
	case waits:
		s.Unchecked = true
	default:
		s.Receipt = c.Receipt
		err = p.put(ctx, condition)
	}
	if err != nil {
		s.Action, s.Fields, s.Problem = stepRefused, nil, problemOf(err)
		h.logFailure(ctx, s.Problem)
	}
	return s
}

// problemOf is what the operation on one object answered.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return problem(internal, "")
}

// differences names the members in which two bodies differ.
func differences(current, next any) []string {
	before, after := members(current), members(next)
	var names []string
	for _, name := range sortedKeys(after) {
		if !bytes.Equal(before[name], after[name]) {
			names = append(names, name)
		}
	}
	for _, name := range sortedKeys(before) {
		if _, kept := after[name]; !kept {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func members(body any) map[string]json.RawMessage {
	found := map[string]json.RawMessage{}
	if text, err := json.Marshal(body); err == nil {
		_ = json.Unmarshal(text, &found) // of a body that was just encoded
	}
	return found
}

// extra names what stands and is not in the document, as far as the caller sees it.
func (h *Handler) extra(ctx context.Context, document Catalogue, s standing) []string {
	found := []string{}
	look := func(named bool, state broker.State, on admin.Object) {
		if !named && h.shows(ctx, state, on) {
			found = append(found, on.Path())
		}
	}
	for name, row := range s.stores {
		_, named := document.Stores[name]
		look(named, row.State, storeObject(name))
	}
	for name, row := range s.providers {
		_, named := document.Providers[name]
		look(named, row.State, providerObject(name))
	}
	for id, row := range s.agents {
		_, named := document.Agents[id]
		look(named, row.State, agentObject(id, row.Team))
	}
	for name, row := range s.assignments {
		_, named := document.Assignments[name]
		look(named, row.State, assignmentObject(ctx, name, row))
	}
	for name, row := range s.servers {
		part, named := document.Servers[name]
		look(named, row.State, serverObject(name, row.Owner))
		for tool, t := range s.tools[name] {
			_, named := part.Tools[tool]
			look(named, t.State, toolObject(ToolPath{ServerPath{name}, tool}, row))
		}
		for binding, b := range s.bindings[name] {
			_, named := part.Bindings[binding]
			look(named, b.State, bindingObject(BindingPath{ServerPath{name}, binding}, row))
		}
	}
	slices.Sort(found)
	return found
}
