package broker

import "strings"

// Effect says which of two bindings serves a caller whom both cover.
type Effect string

// The effects, seen from the binding that is asked about.
const (
	Wins Effect = "wins"
	Lose Effect = "loses" // it is shadowed
	Ties Effect = "tie"   // calls that both cover are refused
)

// Overlap is another binding that can cover the same call.
type Overlap struct {
	Binding string
	Effect  Effect
}

// Overlaps lists the bindings of a server that can cover the same call as b: a
// caller may be in both, and a name in both lists. Whether somebody really is in
// two groups is not known here. Deleted bindings, and b itself, are left out;
// suspended and expired ones are not, because they refuse in their place.
func Overlaps(b *Binding, others []Binding) []Overlap {
	var found []Overlap
	for i := range others {
		o := &others[i]
		if o.Name == b.Name || o.State == Deleted || !b.Actor.meets(o.Actor) || !b.Allow.meets(o.Allow) {
			continue
		}
		effect := Ties
		switch mine, theirs := b.Actor.rank(), o.Actor.rank(); {
		case mine > theirs, mine == theirs && b.Priority > o.Priority:
			effect = Wins
		case mine < theirs, b.Priority < o.Priority:
			effect = Lose
		}
		found = append(found, Overlap{o.Name, effect})
	}
	return found
}

// rank is how specific an actor is, whoever calls.
func (a Actor) rank() rank {
	switch {
	case a.Principal != "" && a.Agent != "":
		return rankUserAgent
	case a.Principal != "":
		return rankUser
	case a.Agent != "":
		return rankAgent
	case a.Group != "":
		return rankGroup
	case a.Attribute.Name != "":
		return rankAttribute
	case a.Anyone:
		return rankAnyone
	}
	return rankNone
}

// meets reports whether one caller can be both actors.
func (a Actor) meets(o Actor) bool {
	differ := func(x, y string) bool { return x != "" && y != "" && x != y }
	return !differ(a.Principal, o.Principal) && !differ(a.Agent, o.Agent) &&
		!(a.Attribute.Name != "" && a.Attribute.Name == o.Attribute.Name && a.Attribute.Value != o.Attribute.Value)
}

// meets reports whether a call can be in both lists. Listing and the like are
// covered by every binding, but only named uses count here.
func (a Allow) meets(o Allow) bool {
	return patternsMeet(a.Tools, o.Tools) || patternsMeet(a.Prompts, o.Prompts) || patternsMeet(a.Resources, o.Resources)
}

func patternsMeet(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			px, openX := strings.CutSuffix(x, "*")
			py, openY := strings.CutSuffix(y, "*")
			if x == y || openX && strings.HasPrefix(py, px) || openY && strings.HasPrefix(px, py) {
				return true
			}
		}
	}
	return false
}
