package identity

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"bindery/shared/broker"
)

// Metadata is the protected resource metadata of a route (RFC 9728, 2). It
// names the issuers where people log in, never workload issuers: a client
// cannot ask those for anything. It says nothing about whether the server
// exists.
func (v *Verifier) Metadata(r broker.Route) []byte { return v.metadata(resource{Route: r}) }

// AdminMetadata is the protected resource metadata of the admin API.
func (v *Verifier) AdminMetadata() []byte { return v.metadata(v.admin()) }

func (v *Verifier) metadata(of resource) []byte {
	m := struct {
		Resource string   `json:"resource"`
		Issuers  []string `json:"authorization_servers,omitempty"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported"`
	}{Resource: v.publicURL + of.path(), Scopes: v.scopes(of), Methods: []string{"header"}}
	for _, t := range v.issuers {
		if t.Kind == broker.User && t.serves(of) {
			m.Issuers = append(m.Issuers, t.Issuer.Issuer)
		}
	}
	body, _ := json.Marshal(m) // texts always marshal
	return body
}

// scopes is every scope that some login issuer of the resource requires.
func (v *Verifier) scopes(of resource) []string {
	var all []string
	for _, t := range v.issuers {
		if t.Kind == broker.User && t.serves(of) {
			all = append(all, t.Scopes...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Challenge is the WWW-Authenticate value for an error of Verify (RFC 6750, 3;
// RFC 9728, 5.1), or "" where logging in again would not help. It tells the
// caller no reason.
func (v *Verifier) Challenge(r broker.Route, err error) string {
	return v.challenge(resource{Route: r}, err)
}

// AdminChallenge is Challenge for an error of VerifyAdmin.
func (v *Verifier) AdminChallenge(err error) string { return v.challenge(v.admin(), err) }

func (v *Verifier) challenge(of resource, err error) string {
	var parts []string
	switch {
	case errors.Is(err, ErrMissingToken):
	case errors.Is(err, ErrInvalidToken):
		parts = append(parts, `error="invalid_token"`)
	case errors.Is(err, ErrInsufficientScope):
		parts = append(parts, `error="insufficient_scope"`)
	default:
		return ""
	}
	if scopes := v.scopes(of); len(scopes) > 0 {
		parts = append(parts, `scope="`+strings.Join(scopes, " ")+`"`)
	}
	parts = append(parts, `resource_metadata="`+v.publicURL+`/.well-known/oauth-protected-resource`+of.path()+`"`)
	return "Bearer " + strings.Join(parts, ", ")
}
