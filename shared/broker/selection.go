package broker

import (
	"slices"
	"strings"
	"time"
)

// rank orders actors from specific to wide. Higher wins.
type rank int

const (
	rankNone rank = iota
	rankAnyone
	rankAttribute
	rankGroup
	rankAgent
	rankUser
	rankUserAgent
)

var rankNames = [...]string{"none", "anyone", "attribute", "group", "agent", "user", "user_agent"}

// match ranks how an actor covers a principal; rankNone means it does not.
func (a Actor) match(p *Principal) rank {
	switch {
	case a.Principal != "" && a.Agent != "":
		if a.Principal == p.ID && a.Agent == p.Agent {
			return rankUserAgent
		}
	case a.Principal != "":
		if a.Principal == p.ID {
			return rankUser
		}
	case a.Agent != "":
		if a.Agent == p.Agent {
			return rankAgent
		}
	case a.Group != "":
		if slices.Contains(p.Groups, a.Group) {
			return rankGroup
		}
	case a.Attribute.Name != "":
		if value, ok := p.Attributes[a.Attribute.Name]; ok && value == a.Attribute.Value && p.Kind == Workload {
			return rankAttribute
		}
	case a.Anyone:
		return rankAnyone
	}
	return rankNone
}

// permits reports whether the binding's lists cover the call. Listing,
// initializing, notifying, responding and streaming name nothing and are
// covered by every binding; a nameless call of a named action needs "*".
func (a Allow) permits(action Action, target string) bool {
	switch action {
	case CallTool:
		return matchesAny(a.Tools, target)
	case GetPrompt:
		return matchesAny(a.Prompts, target)
	case ReadResource:
		return a.permitsResource(target)
	case expandResource:
		return a.permitsTemplate(target)
	case List, Initialize, Notify, Respond, Stream:
		return true
	default:
		return false
	}
}

// permitsResource compares a URI as it is written. A prefix says nothing about
// a URI that an upstream may read as another one (dot segments, encoded
// slashes, backslashes), so those need an exact entry or "*".
func (a Allow) permitsResource(uri string) bool {
	if plainURI(uri) {
		return matchesAny(a.Resources, uri)
	}
	return slices.Contains(a.Resources, uri) || slices.Contains(a.Resources, "*")
}

// plainURI reports whether every common reader resolves the URI to itself.
func plainURI(uri string) bool {
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] == '\\' || uri[i] == 0x7f {
			return false
		}
	}
	lower := strings.ToLower(uri)
	for _, encoded := range []string{"%2e", "%2f", "%5c", "%25", "%00"} {
		if strings.Contains(lower, encoded) {
			return false
		}
	}
	for segment := range strings.SplitSeq(uri, "/") {
		segment, _, _ = strings.Cut(segment, ";") // some servers cut path parameters before they resolve
		segment, _, _ = strings.Cut(segment, "?")
		segment, _, _ = strings.Cut(segment, "#")
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// candidate is a binding that covers caller and call, whatever its state.
type candidate struct {
	*Binding
	rank rank
}

// before is the order of preference: rank, then priority, then a stable order
// that only serves the record.
func (c candidate) before(o candidate) int {
	switch {
	case c.rank != o.rank:
		return int(o.rank - c.rank)
	case c.Priority != o.Priority:
		return o.Priority - c.Priority
	case c.Name < o.Name:
		return -1
	}
	return 1
}

// candidates lists the bindings that cover the call, best first. Deleted
// bindings are not candidates; suspended, revoked and expired ones are,
// because a dead card must refuse rather than let a wider one take its place.
// One that a marker revokes is a revoked one.
func candidates(s *Snapshot, c *Call, revoked marks) []candidate {
	var found []candidate
	for _, bindings := range [][]Binding{s.Personal, s.Shared} {
		for i := range bindings {
			b := &bindings[i]
			if b.State == Deleted || !b.Allow.permits(c.Action, c.Target) {
				continue
			}
			r := b.Actor.match(&c.Principal)
			if r == rankNone {
				continue
			}
			if now := revoked.standing(b); now != b.State {
				dead := *b // what was read is shared
				dead.State, b = now, &dead
			}
			found = append(found, candidate{b, r})
		}
	}
	slices.SortFunc(found, candidate.before)
	return found
}

// choose picks the binding: the best candidate, or the one the caller named.
// Naming chooses among the caller's own bindings and never reaches below a
// dead card of a higher rank.
func choose(found []candidate, name string, at moment) (*Binding, error) {
	if len(found) == 0 && name != "" {
		return nil, refuse(NotOwnBinding)
	}
	if len(found) == 0 {
		return nil, refuse(NoBinding)
	}
	chosen := 0
	if name != "" {
		chosen = slices.IndexFunc(found, func(c candidate) bool { return c.Name == name })
		if chosen < 0 {
			return nil, refuse(NotOwnBinding)
		}
		for _, above := range found[:chosen] {
			if above.rank > found[chosen].rank {
				if err := alive(above.Binding, at); err != nil {
					return nil, err
				}
			}
		}
	} else if len(found) > 1 && found[1].rank == found[0].rank && found[1].Priority == found[0].Priority {
		return nil, refuse(BindingTie)
	}
	if err := alive(found[chosen].Binding, at); err != nil {
		return nil, err
	}
	return found[chosen].Binding, nil
}

// moment is what a binding has to stand up to: the time, and the origin that
// the server has at it.
type moment struct {
	time.Time
	origin string // digest; empty: the server's URL has none
}

// alive refuses a binding that is not active, is past its date, or was
// approved for another origin than the server has now.
func alive(b *Binding, at moment) error {
	switch {
	case b.State == Pending || b.Origin != at.origin || at.origin == "":
		return refuse(BindingPending)
	case b.State != Active:
		return refuse(BindingClosed)
	case !b.Expires.IsZero() && !at.Before(b.Expires):
		return refuse(BindingExpired)
	}
	return nil
}
