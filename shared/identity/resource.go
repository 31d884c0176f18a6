package identity

import (
	"slices"
	"strings"

	"bindery/shared/broker"
)

// Where the resources are, below the public URL. A resource's URL is its name
// (RFC 8707) and the default audience of its tokens.
const (
	serverPath = "/mcp/"
	adminPath  = "/admin/v1"
)

// resource is what a token opens: a server on its route, or the admin API.
type resource struct {
	broker.Route // of the admin API: the deployment's environment and no server
	admin        bool
}

// admin is the deployment's admin API.
func (v *Verifier) admin() resource {
	return resource{Route: broker.Route{Environment: v.environment}, admin: true}
}

func (r resource) path() string {
	if r.admin {
		return adminPath
	}
	return serverPath + r.String()
}

// accepts lists the audiences that open a resource.
func (t *trusted) accepts(to resource) []string {
	switch {
	case to.admin && len(t.AdminAudiences) > 0:
		return t.AdminAudiences
	case to.admin, len(t.Audiences) == 0:
		return []string{t.publicURL + to.path()}
	}
	var accepted []string
	for _, a := range t.Audiences {
		if slices.Contains(a.Servers, to.Server) || slices.Contains(a.Servers, "*") {
			accepted = append(accepted, a.Audience)
		}
	}
	return accepted
}

// serves reports whether the issuer's tokens can open a resource at all.
func (t *trusted) serves(to resource) bool { return len(t.accepts(to)) > 0 }

// opens reports whether a token's audience opens a resource. aud is a text or a
// list of texts (RFC 7519, 4.1.3). A token for servers and for the admin API at
// once opens neither: issuers that put every audience into every token would
// hand the admin API to whatever calls a server.
func (t *trusted) opens(c *claimSet, to resource) bool {
	audiences, err := c.texts(path{"aud"}, maxScopes)
	if err != nil {
		return false
	}
	accepted, other := t.accepts(to), t.forAdmin
	if to.admin {
		other = t.forServers
	}
	return slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(accepted, a) }) &&
		!slices.ContainsFunc(audiences, other)
}

func (t *trusted) forAdmin(audience string) bool {
	below, ours := strings.CutPrefix(audience, t.publicURL)
	return ours && below == adminPath || slices.Contains(t.AdminAudiences, audience)
}

func (t *trusted) forServers(audience string) bool {
	below, ours := strings.CutPrefix(audience, t.publicURL)
	return ours && strings.HasPrefix(below, serverPath) ||
		slices.ContainsFunc(t.Audiences, func(a Audience) bool { return a.Audience == audience })
}
