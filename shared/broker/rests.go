package broker

import "slices"

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
