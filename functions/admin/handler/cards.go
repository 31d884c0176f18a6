package handler

import (
	"fmt"
	"time"

	"bindery/shared/broker"
)

func (b BindingBody) row(environment, server, name string, version int64) (broker.Binding, error) {
	r := broker.Binding{Environment: environment, Server: server, Name: name, Version: version, State: broker.State(b.State),
		Actor:    broker.Actor{Principal: b.Actor.Principal, Agent: b.Actor.Agent, Group: b.Actor.Group, Anyone: b.Actor.Anyone},
		Priority: b.Priority, Allow: broker.Allow{Tools: b.Allow.Tools, Prompts: b.Allow.Prompts, Resources: b.Allow.Resources},
		Mode: broker.Mode(b.Mode), Source: broker.SourceKind(b.Source), Owner: b.Owner,
		Provider: b.Provider, Scopes: b.Scopes, Audience: b.Audience, MaxAge: time.Duration(b.MaxAgeSeconds) * time.Second}
	if b.Actor.Attribute != nil {
		r.Actor.Attribute = broker.Attribute{Name: b.Actor.Attribute.Name, Value: b.Actor.Attribute.Value}
	}
	if b.Expires != nil {
		r.Expires = b.Expires.UTC()
	}
	if r.Actor.Principal != "" {
		if err := broker.CheckPrincipal(r.Actor.Principal); err != nil {
			return r, err
		}
	}
	for i, f := range b.Fields {
		reference, err := broker.ParseReference(f.Reference)
		if err != nil {
			return r, fmt.Errorf("field %d: the reference does not parse, and is never taken literally: %w", i, err)
		}
		r.Fields = append(r.Fields, broker.Field{Name: f.Name, Reference: reference})
	}
	return r, nil
}

func viewBinding(b broker.Binding, server broker.Server) BindingView {
	v := BindingView{Name: b.Name, Server: b.Server, Environment: b.Environment, Version: b.Version, Pending: b.Origin != "" && !madeFor(b, server),
		BindingBody: BindingBody{Actor: Actor{Principal: b.Actor.Principal, Agent: b.Actor.Agent, Group: b.Actor.Group, Anyone: b.Actor.Anyone},
			Priority: b.Priority, Allow: Allow{Tools: b.Allow.Tools, Prompts: b.Allow.Prompts, Resources: b.Allow.Resources},
			Mode: string(b.Mode), Source: string(b.Source), Owner: b.Owner, State: string(b.State), Fields: []Field{},
			Provider: b.Provider, Scopes: b.Scopes, Audience: b.Audience, MaxAgeSeconds: int(b.MaxAge / time.Second)}}
	if b.Actor.Attribute.Name != "" {
		v.Actor.Attribute = &Attribute{Name: b.Actor.Attribute.Name, Value: b.Actor.Attribute.Value}
	}
	if !b.Expires.IsZero() {
		expires := b.Expires
		v.Expires = &expires
	}
	for _, f := range b.Fields {
		v.Fields = append(v.Fields, Field{Name: f.Name, Reference: f.Reference.String()})
	}
	return v
}

// madeFor reports whether a card was made for the origin that its server has.
func madeFor(b broker.Binding, s broker.Server) bool {
	origin, err := broker.OriginDigest(s.URL)
	return err == nil && b.Origin == origin
}

// ended reports whether a card's end is over.
func ended(b broker.Binding, now time.Time) bool {
	return !b.Expires.IsZero() && !now.Before(b.Expires)
}
