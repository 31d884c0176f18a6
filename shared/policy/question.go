package policy

import (
	"github.com/cedar-policy/cedar-go"

	"bindery/shared/broker"
)

// asked is a question in Cedar's terms.
type asked struct {
	entities cedar.EntityMap
	request  cedar.Request
}

// ask reports false where a question cannot be told in Cedar, or is none.
func ask(q broker.Question) (asked, bool) {
	if q.Call == nil || q.Server == nil || q.Binding == nil {
		return asked{}, false
	}
	kind, ok := principalKinds(q.Call.Principal.Kind)
	context := contextOf(q)
	if !ok || context == nil {
		return asked{}, false
	}
	p := q.Call.Principal
	caller := Entity{
		EntityID:   EntityID{kind, p.ID},
		Attributes: map[string]any{"groups": p.Groups, "issuer": p.Issuer, "subject": p.Subject},
		Tags:       make(map[string]any, len(p.Attributes)),
	}
	if p.Email != "" {
		caller.Attributes["email"] = p.Email
	}
	for name, value := range p.Attributes {
		caller.Tags[name] = value
	}
	server := Entity{
		EntityID:   EntityID{"Server", q.Server.Name},
		Attributes: map[string]any{"owner": q.Server.Owner, "environment": q.Server.Environment},
	}
	c := converter{room: MaxValues}
	a := asked{make(cedar.EntityMap, 2), cedar.Request{
		Principal: caller.uid(),
		Action:    cedar.NewEntityUID("Action", cedar.String(q.Call.Action)),
		Resource:  server.uid(),
		Context:   c.record(context, 0),
	}}
	c.add(a.entities, caller)
	c.add(a.entities, server)
	return a, !c.failed
}

func principalKinds(k broker.Kind) (string, bool) {
	switch k {
	case broker.User:
		return "User", true
	case broker.Workload:
		return "Workload", true
	}
	return "", false
}

// contextOf is nil for what is no action of a call.
func contextOf(q broker.Question) map[string]any {
	context := map[string]any{
		"method": q.Call.Method,
		"era":    q.Call.Era,
		"binding": map[string]any{
			"name": q.Binding.Name, "mode": string(q.Binding.Mode), "owner": q.Binding.Owner, "version": q.Binding.Version,
		},
	}
	if q.Agent != nil {
		context["agent"] = map[string]any{"id": q.Agent.ID, "team": q.Agent.Team, "ceiling": q.Agent.Ceiling.String()}
	}
	switch q.Call.Action {
	case broker.CallTool:
		context["tool"], context["risk"] = q.Call.Target, riskOf(q.Tool).String()
		if q.Tool != nil && q.Tool.State == broker.Active && q.Tool.Owner != "" {
			context["tool_owner"] = q.Tool.Owner
		}
	case broker.GetPrompt:
		context["prompt"] = q.Call.Target
	case broker.ReadResource:
		context["resource"] = q.Call.Target
	case broker.List, broker.Initialize, broker.Notify, broker.Respond, broker.Stream:
	default:
		return nil
	}
	return context
}

// riskOf grades a tool as an agent's ceiling does.
func riskOf(t *broker.Tool) broker.Risk {
	if t == nil || t.State != broker.Active || t.Risk < broker.Low || t.Risk > broker.Critical {
		return broker.Critical
	}
	return t.Risk
}

// with is the question with the arguments added.
func (a asked) with(args cedar.Record) asked {
	context := a.request.Context.Map()
	context[arguments] = args
	a.request.Context = cedar.NewRecord(context)
	return a
}
