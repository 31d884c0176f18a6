package connect

import (
	"context"
	"fmt"
	"slices"

	"bindery/shared/broker"
)

// Ticket is what stands behind a link: who is to be asked for what. It names
// nobody in the link itself.
type Ticket struct {
	Issuer    string // where the person logs in
	Principal string
	Groups    []string // of the person when the link was made
	Agent     string   // that wants to act for them; empty: they themselves
	Server    string
	Origin    string // digest of the upstream's origin when the link was made
	Binding   string
	Version   int64
	Provider  string // empty: the person types in a key
	Scopes    []string
	Why       broker.ConsentWhy
}

// Key names the grant that the ticket is about.
func (t Ticket) Key(environment string) broker.GrantKey {
	return broker.GrantKey{Environment: environment, Principal: t.Principal, Server: t.Server, Origin: t.Origin}
}

// Issue makes the link for the consent that a decided call lacks. The link may be
// shown to whoever made the call.
func (d *Desk) Issue(ctx context.Context, needed *broker.ConsentNeeded, of *broker.Decision) (string, error) {
	p := of.Call.Principal
	if p.ID == "" || p.Issuer == "" || p.Kind != broker.User || p.AgentOnly || needed.Grant.Principal != p.ID ||
		needed.Grant.Server != of.Binding.Server || needed.Grant.Origin != of.Binding.Origin || needed.Grant.Environment != d.Environment {
		return "", fmt.Errorf("%w ticket: consent is asked of the person who calls", broker.ErrInvalid)
	}
	id := newID()
	err := d.add(ctx, ticketKind, id, Ticket{
		Issuer: p.Issuer, Principal: p.ID, Groups: p.Groups, Agent: p.Agent, Server: of.Binding.Server, Origin: of.Binding.Origin,
		Binding: of.Binding.Name, Version: of.Binding.Version, Provider: of.Binding.Provider,
		Scopes: slices.Clone(of.Binding.Scopes), Why: needed.Why,
	}, TicketLife)
	if err != nil {
		return "", err
	}
	return d.PublicURL + "/connect/" + id, nil
}

// Ticket reads a ticket and leaves it: a link may be opened, and reloaded, until
// it is answered.
func (d *Desk) Ticket(ctx context.Context, id string) (Ticket, error) {
	var t Ticket
	err := d.find(ctx, ticketKind, id, false, &t)
	return t, err
}

// Answer takes a ticket: the link is dead from here on.
func (d *Desk) Answer(ctx context.Context, id string) error {
	var t Ticket
	return d.find(ctx, ticketKind, id, true, &t)
}
