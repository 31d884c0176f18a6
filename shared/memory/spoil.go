package memory

import (
	"cmp"
	"fmt"
	"slices"

	"bindery/shared/broker"
)

// The keys of an incident and a case, which may have the id of a sealed value.
type (
	incidentKey idKey
	caseKey     idKey
)

// versionKey is one version of a secret that was seen in use.
type versionKey struct{ environment, reference, version string }

// Spoil has a stored row be one that does not decode, as another release or a hand
// at the table could leave it: of a grant (broker.GrantKey), a session
// (broker.LiveSession), a sealed value (broker.SealedValue), an incident
// (broker.Incident), a case in its lists (broker.Revocation), and in the audit index
// of an entry (broker.Record), a use (broker.Sighting), a binding's usage
// (broker.Binding) and a version (broker.SeenVersion). It fails for any other.
func (s *DB) Spoil(environment string, row any) error {
	var at any
	switch r := row.(type) {
	case broker.GrantKey:
		at = r
	case broker.LiveSession:
		at = sessionKey{environment, r.Principal, r.Digest}
	case broker.SealedValue:
		at = idKey{environment, r.ID}
	case broker.Incident:
		at = incidentKey{environment, r.ID}
	case broker.Revocation:
		at = caseKey{environment, r.ID}
	case broker.Record:
		at = recordKey{r.Receipt, r.Phase}
	case broker.Sighting:
		at = useKey(r)
	case broker.Binding:
		at = bindingKey{broker.Route{Environment: environment, Server: r.Server}, r.Name}
	case broker.SeenVersion:
		at = versionKey{environment, r.Reference, r.Version}
	default:
		return fmt.Errorf("%w row: nothing reads a spoilt one", broker.ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoilt[at] = true
	return nil
}

// Mend has every spoilt row be again what it was.
func (s *DB) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.spoilt)
}

// useKey leaves out when.
func useKey(u broker.Sighting) broker.Sighting {
	return broker.Sighting{Environment: u.Environment, By: u.By, ID: u.ID,
		Seen: broker.Seen{Principal: u.Principal, Agent: u.Agent, Server: u.Server, Binding: u.Binding}}
}

// firstOf gives the first page of what a list holds, and the token to go on after.
// A row that does not decode is counted on the page that it stands on.
func firstOf[V any](op Op, all []V, limit int, token func(V) string, spoilt func(V) bool) (page []V, next string, err error) {
	slices.SortFunc(all, func(a, b V) int { return cmp.Compare(token(a), token(b)) })
	passed, further := 0, 0 // before the last row of the page, and behind it
	for _, v := range all {
		switch {
		case spoilt(v):
			further++
		case len(page) == limit:
			return page, token(page[limit-1]), passedOver(op, passed)
		default:
			page, passed, further = append(page, v), passed+further, 0
		}
	}
	return page, "", passedOver(op, passed+further)
}

// decoding gives so many of a list's rows that decode, and how many before the last
// of them do not.
func decoding[V any](all []V, limit int, spoilt func(V) bool) (found []V, passed int) {
	for _, v := range all {
		switch {
		case len(found) == limit:
			return found, passed
		case spoilt(v):
			passed++
		default:
			found = append(found, v)
		}
	}
	return found, passed
}

// passedOver is nil where all could be read.
func passedOver(op Op, rows int) error {
	if rows == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", op, &broker.PassedOver{Rows: rows, Err: broker.ErrUndecodable})
}
