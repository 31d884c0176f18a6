package handler

import (
	"context"
	"fmt"
	"time"

	"bindery/shared/broker"
)

func (b RotationPlanBody) row(environment, name string, version int64) (broker.RotationPlan, error) {
	reference, err := broker.ParseReference(b.Reference)
	if err != nil {
		return broker.RotationPlan{}, fmt.Errorf("reference: it does not parse, and is never taken literally: %w", err)
	}
	p := broker.RotationPlan{Environment: environment, Name: name, Version: version, State: broker.State(b.State), Owner: b.Owner,
		Reference: reference, Maker: broker.MakerKind(b.Maker), Provider: b.Provider, Server: b.Server, Binding: b.Binding,
		Every: time.Duration(b.EverySeconds) * time.Second, Grace: time.Duration(b.GraceSeconds) * time.Second}
	if b.Random != nil {
		p.Random = broker.Random{Length: b.Random.Length, Alphabet: b.Random.Alphabet}
	}
	if b.Recipe != nil {
		p.Recipe = broker.Recipe{Issue: b.Recipe.Issue.row(), Value: b.Recipe.Value, Keep: b.Recipe.Keep}
		if b.Recipe.Retire != nil {
			p.Recipe.Retire = b.Recipe.Retire.row()
		}
	}
	return p, nil
}

func (c CallPart) row() broker.RecipeCall {
	r := broker.RecipeCall{Method: c.Method, URL: c.URL, Body: c.Body}
	for _, h := range c.Headers {
		if r.Headers == nil {
			r.Headers = map[string]string{}
		}
		r.Headers[h.Header] = h.Template
	}
	return r
}

func viewCall(c broker.RecipeCall) CallPart {
	v := CallPart{Method: c.Method, URL: c.URL, Body: c.Body}
	for _, name := range sortedKeys(c.Headers) {
		v.Headers = append(v.Headers, HeaderPart{name, c.Headers[name]})
	}
	return v
}

func viewPlan(p broker.RotationPlan) RotationPlanView {
	b := RotationPlanBody{Reference: p.Reference.String(), Maker: string(p.Maker), Provider: p.Provider, Server: p.Server, Binding: p.Binding,
		EverySeconds: int64(p.Every / time.Second), GraceSeconds: int64(p.Grace / time.Second), Owner: p.Owner, State: string(p.State)}
	if p.Maker == broker.MakeRandom {
		b.Random = &RandomPart{p.Random.Length, p.Random.Alphabet}
	}
	if p.Maker == broker.MakeByRecipe {
		b.Recipe = &RecipePart{Issue: viewCall(p.Recipe.Issue), Value: p.Recipe.Value, Keep: p.Recipe.Keep}
		if p.Recipe.Retire.Method != "" {
			retire := viewCall(p.Recipe.Retire)
			b.Recipe.Retire = &retire
		}
	}
	return RotationPlanView{Name: p.Name, Environment: p.Environment, Version: p.Version, RotationPlanBody: b}
}

// wakeRotation has the rotation function go on at once. If it cannot be woken, its
// schedule finds what is to be done.
func (h *Handler) wakeRotation(ctx context.Context) {
	if err := h.wake(ctx); err != nil {
		h.log.Warn("the rotation function was not woken: its schedule goes on", "cause", failureOf(err))
	}
}
