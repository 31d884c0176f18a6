package broker

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
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

// OtherNames gives the other names of a secret: it has one under each further
// registration of the same place, and what is said of it by one holds by each.
func OtherNames(r Reference, stores []Store) (names []Reference) {
	i := slices.IndexFunc(stores, func(s Store) bool { return s.Name == r.scheme })
	if i < 0 {
		return nil
	}
	for j := range stores {
		if path, same := stores[i].pathIn(&stores[j], r.path); same && j != i {
			other := r
			other.scheme, other.path = stores[j].Name, path
			names = append(names, other)
		}
	}
	return names
}

// pathIn is where another registration has what lies at a path of this one, if
// both are of one place. A namespace of a vault may stand in the path as well.
func (s *Store) pathIn(o *Store, path string) (string, bool) {
	if s.Kind != o.Kind || !sameAddress(s.Address, o.Address) {
		return "", false
	}
	if own := strings.Trim(s.Namespace, "/"); own != "" {
		path = own + "/" + path
	}
	if others := strings.Trim(o.Namespace, "/"); others != "" {
		return strings.CutPrefix(path, others+"/")
	}
	return path, true
}

// sameAddress compares addresses as requests see them. Two names of one host are
// two addresses.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	x, bad := url.Parse(a)
	y, wrong := url.Parse(b)
	if bad != nil || wrong != nil || strings.Trim(x.Path, "/") != strings.Trim(y.Path, "/") {
		return false
	}
	here, bad := OriginDigest(a)
	there, wrong := OriginDigest(b)
	return bad == nil && wrong == nil && here == there
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

// OpenStores gives registrations that no decision has read as a decision has
// them: what a marker revokes is in the state Revoked.
func OpenStores(ctx context.Context, r MarkerReader, environment string, stores []Store) ([]Store, error) {
	s := Snapshot{Stores: stores}
	for some := range slices.Chunk(stores, MaxMarkers) {
		var keys []MarkerKey
		for _, v := range some {
			keys = append(keys, MarkerKey{StoreMarker, v.Name})
		}
		found, err := r.Markers(ctx, environment, keys)
		if err != nil {
			return nil, fmt.Errorf("read whether the stores are revoked: %w", err)
		}
		s.Markers = append(s.Markers, found...)
	}
	return s.OpenStores(), nil
}
