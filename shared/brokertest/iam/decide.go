package iam

import (
	"fmt"
	"slices"
	"strings"
)

// Request is what AWS knows of one request when it decides.
type Request struct {
	Principal string              // ARN of the role
	Action    string              // such as dynamodb:GetItem
	Resource  string              // ARN, or "*" where the action has none
	Keys      map[string][]string // condition keys, their names in lower case
}

// Verdict is how a request is decided.
type Verdict string

// The verdicts.
const (
	Allowed          Verdict = "allowed"
	ImplicitlyDenied Verdict = "implicitly denied" // nothing allows it
	ExplicitlyDenied Verdict = "explicitly denied" // something forbids it
)

// Decision is a verdict with the statements that made it.
type Decision struct {
	Verdict Verdict
	By      []string // the statements' names, those of resources' policies too
}

// Account is what decides in one account.
type Account struct {
	Roles     map[string]Policy // what each role may do, by its ARN
	Resources map[string]Policy // the policies that resources have themselves, by their ARNs
}

// Decide decides a request. A resource's policy can forbid; that of a table can
// allow beside the role's. A key's has the last word: without it the role's
// policies say nothing, unless it leaves the matter to the account.
func (a Account) Decide(r Request) (Decision, error) {
	role, known := a.Roles[r.Principal]
	if !known {
		return Decision{ImplicitlyDenied, nil}, nil
	}
	own, err := role.match(r, nil)
	if err != nil {
		return Decision{}, err
	}
	resource := a.Resources[r.Resource]
	direct, err := resource.match(r, []string{r.Principal, "*"})
	if err != nil {
		return Decision{}, err
	}
	delegated, err := resource.match(r, []string{root(r.Principal)})
	if err != nil {
		return Decision{}, err
	}
	if denies := slices.Concat(own.denies, direct.denies, delegated.denies); len(denies) > 0 {
		return Decision{ExplicitlyDenied, denies}, nil
	}
	allows := slices.Concat(own.allows, direct.allows)
	if service(r.Resource) == "kms" {
		if allows = direct.allows; len(delegated.allows) > 0 {
			allows = slices.Concat(direct.allows, own.allows)
		}
	}
	if len(allows) == 0 {
		return Decision{ImplicitlyDenied, nil}, nil
	}
	return Decision{Allowed, allows}, nil
}

// matches are the names of the statements that apply.
type matches struct{ allows, denies []string }

// match finds the statements that apply to a request and, of a resource's policy,
// name one of the principals.
func (p Policy) match(r Request, principals []string) (m matches, err error) {
	for _, s := range p.Statements {
		if len(s.Principals) > 0 && !slices.ContainsFunc(s.Principals, func(one string) bool { return slices.Contains(principals, one) }) {
			continue
		}
		applies, err := s.applies(r)
		switch {
		case err != nil:
			return m, fmt.Errorf("iam: %s: %w", s.Sid, err)
		case applies && s.Deny:
			m.denies = append(m.denies, s.Sid)
		case applies:
			m.allows = append(m.allows, s.Sid)
		}
	}
	return m, nil
}

func (s Statement) applies(r Request) (bool, error) {
	action := func(pattern string) bool { return glob(strings.ToLower(pattern), strings.ToLower(r.Action)) }
	resource := func(pattern string) bool { return glob(pattern, r.Resource) }
	if !slices.ContainsFunc(s.Actions, action) || !slices.ContainsFunc(s.Resources, resource) {
		return false, nil
	}
	for _, c := range s.Conditions {
		if holds, err := c.holds(r.Keys); !holds || err != nil {
			return false, err
		}
	}
	return true, nil
}

func service(arn string) string {
	if parts := strings.SplitN(arn, ":", 4); len(parts) == 4 {
		return parts[2]
	}
	return ""
}

// root is the principal by which a policy leaves a matter to the account's IAM.
func root(principal string) string {
	parts := strings.SplitN(principal, ":", 6)
	if len(parts) != 6 {
		return ""
	}
	return strings.Join(parts[:5], ":") + ":root"
}
