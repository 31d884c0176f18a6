package broker

import (
	"context"
	"slices"
)

// RestsOn names the markers of what a source would give for an ask: the person's
// grant, or each reference and the credentials of their stores. Whoever obtains a
// credential outside of a call reads them first.
func RestsOn(a Ask) []MarkerKey { return holds(&a) }

// Covers reports whether what is said of r holds for another reference: for all
// versions and members of a secret, where r selects none.
func (r Reference) Covers(of Reference) bool {
	name := r.WithoutKey().String()
	return slices.ContainsFunc(covering(of), func(c Reference) bool { return c.String() == name })
}

// ClientWithheld fails with a *Refusal where the secret with which Bindery is a
// provider's client is revoked, or its store is not open, or that could not be
// read.
func ClientWithheld(ctx context.Context, r MarkerReader, p *Provider, stores []Store) error {
	of := p.ClientSecret
	if of.IsZero() {
		return nil
	}
	if !slices.ContainsFunc(stores, func(s Store) bool { return s.Name == of.Scheme() && s.State == Active }) {
		return refuse(StoreUnregistered)
	}
	return Withheld(ctx, r, &Ask{Stores: stores,
		Binding: Binding{Environment: p.Environment, Source: Static, Fields: []Field{{Name: "secret", Reference: of}}}})
}
