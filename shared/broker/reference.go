package broker

import (
	"fmt"
	"slices"
	"strings"
)

// Reference names where a secret lives, never the secret itself:
//
//	scheme:path[?selector=value][#key]
//
//	aws-sm:prod/github#token
//	aws-sm:prod/github?stage=AWSPREVIOUS#token
//	sealed:github-token
//
// The scheme is the name under which a store is registered and ends at the
// first colon; colons after it belong to the path. A Reference is a value that
// has been parsed: there is no other way to make one, and what does not parse
// is refused, never taken literally. References are comparable, and a secret has
// one name: what is said of a reference (that it is revoked, assigned, rotated)
// would not hold for a card that names the same secret otherwise.
type Reference struct {
	scheme, path, selector, selected, key string
}

// MaxReference is the longest reference, in bytes.
const MaxReference = 1024

// ParseReference parses what is written now, or fails with ErrInvalid. Of a
// secret's names it takes one; the error says which. The error never repeats s,
// because a mistaken paste may well be the secret.
func ParseReference(s string) (Reference, error) {
	r, err := StoredReference(s)
	switch {
	case err != nil:
		return Reference{}, err
	case byARN(r.path):
		return Reference{}, fmt.Errorf("%w reference: %s", ErrInvalid, nameNotARN)
	case r.selector == "stage" && r.selected == "AWSCURRENT":
		return Reference{}, fmt.Errorf("%w reference: stage=AWSCURRENT is what is read anyway: leave it out", ErrInvalid)
	}
	return r, nil
}

// nameNotARN is the rule of whoever has written an ARN. That of a secret is a
// second name, and may be cut short besides.
const nameNotARN = "an ARN is not taken: write the secret's name, which is what follows secret: in it, without the hyphen and the six characters at the end"

func byARN(path string) bool { return len(path) >= 4 && strings.EqualFold(path[:4], "arn:") }

// StoredReference parses what was stored, also under rules that took a secret's
// other names: so that it can be shown, found and lifted. No scope allows one.
func StoredReference(s string) (Reference, error) {
	bad := func(rule string) (Reference, error) {
		return Reference{}, fmt.Errorf("%w reference: %s", ErrInvalid, rule)
	}
	if len(s) > MaxReference {
		return bad("it is longer than 1024 bytes")
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return bad("only printable ASCII without spaces is allowed")
		}
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return bad("it must start with the name of a store and a colon, as in aws-sm:prod/github#token")
	}
	if err := CheckName("reference scheme", scheme); err != nil {
		return Reference{}, err
	}
	r := Reference{scheme: scheme}
	rest, r.key, ok = strings.Cut(rest, "#")
	if ok && r.key == "" {
		return bad("the key after # is empty")
	}
	var query string
	r.path, query, ok = strings.Cut(rest, "?")
	if ok {
		r.selector, r.selected, _ = strings.Cut(query, "=")
		if r.selector == "" || r.selected == "" || strings.ContainsAny(query, "&?") || strings.Count(query, "=") != 1 {
			return bad("after ? exactly one selector=value is allowed")
		}
	}
	if r.path == "" {
		return bad("the path is empty")
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(r.path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || strings.Contains(segment, "*") {
			return bad("empty, dot and wildcard path segments are not allowed")
		}
	}
	return r, nil
}

// Scheme is the registered name of the store.
func (r Reference) Scheme() string { return r.scheme }

// Path is what the store calls the secret.
func (r Reference) Path() string { return r.path }

// Selector is the version selector, as in ?stage=AWSPREVIOUS, or two empty strings.
func (r Reference) Selector() (name, value string) { return r.selector, r.selected }

// Key is the part after #, a member of a JSON secret, or empty.
func (r Reference) Key() string { return r.key }

// WithoutKey is the same secret as a whole.
func (r Reference) WithoutKey() Reference {
	r.key = ""
	return r
}

// IsZero reports whether r names nothing.
func (r Reference) IsZero() bool { return r == Reference{} }

// String gives the form that ParseReference reads. It is not secret.
func (r Reference) String() string {
	if r.IsZero() {
		return ""
	}
	s := r.scheme + ":" + r.path
	if r.selector != "" {
		s += "?" + r.selector + "=" + r.selected
	}
	if r.key != "" {
		s += "#" + r.key
	}
	return s
}

// Scope is the list of paths a store may read in one environment. An entry is
// an exact path, a prefix ending in "/*", or "*" alone for everything.
type Scope []string

// CheckScope refuses an empty scope and patterns that are neither of the three.
func CheckScope(scope Scope) error {
	if len(scope) == 0 {
		return fmt.Errorf("%w store paths: at least one path is needed", ErrInvalid)
	}
	for _, p := range scope {
		stem := strings.TrimSuffix(p, "/*")
		if p == "*" {
			continue
		}
		if stem == "" || strings.Contains(stem, "*") {
			return fmt.Errorf("%w store paths: a path is exact, ends in /*, or is * alone", ErrInvalid)
		}
	}
	return nil
}

// CheckNewScope refuses also what no reference can match any more.
func CheckNewScope(scope Scope) error {
	if slices.ContainsFunc(scope, byARN) {
		return fmt.Errorf("%w store paths: %s", ErrInvalid, nameNotARN)
	}
	return CheckScope(scope)
}

// Allows compares lexically. A reference by ARN, of a time when they were taken,
// is allowed by nothing, so that no call uses what a revocation by name misses.
func (s Scope) Allows(r Reference) bool { return !byARN(r.path) && matchesAny(s, r.path) }

// Covers reports whether every path of a pattern is in the scope.
func (s Scope) Covers(pattern string) bool { return matchesAny(s, pattern) }

// matchesAny reports whether name is one of the patterns (exact), begins with
// the part before a trailing *, or the list holds "*".
func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		prefix, open := strings.CutSuffix(p, "*")
		if p == name || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
