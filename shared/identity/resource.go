package identity

import (
	"slices"
	"strings"

	"bindery/shared/broker"
)

// Where the resources are, below the public URL. A resource's URL is its name
// (RFC 8707) and the default audience of its tokens.
const (
	serverPath      = "/mcp/"
	adminPath       = "/admin/v1"
	connectionsPath = "/connections"
)

// resource is what a token opens: a server on its route, the admin API, or the
// API of a person's own connections.
type resource struct {
	broker.Route // of the APIs: the deployment's environment and no server
	admin        bool
	connections  bool
}

// admin is the deployment's admin API.
func (v *Verifier) admin() resource {
	return resource{Route: broker.Route{Environment: v.environment}, admin: true}
}

// connections is the deployment's API of a person's own connections.
func (v *Verifier) connections() resource {
	return resource{Route: broker.Route{Environment: v.environment}, connections: true}
}

func (r resource) path() string {
	switch {
	case r.admin:
		return adminPath
	case r.connections:
		return connectionsPath
	}
	return serverPath + r.String()
}

// accepts lists the audiences that open a resource.
func (t *trusted) accepts(to resource) []string {
	switch {
	case to.admin && len(t.AdminAudiences) > 0:
		return t.AdminAudiences
	case to.connections && len(t.ConnectionsAudiences) > 0:
		return t.ConnectionsAudiences
	case to.admin, to.connections, len(t.Audiences) == 0:
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
// list of texts (RFC 7519, 4.1.3). A token for servers and for one of the APIs at
// once, or for both APIs, opens nothing: issuers that put every audience into
// every token would hand the APIs to whatever calls a server.
func (t *trusted) opens(c *claimSet, to resource) bool {
	audiences, err := c.texts(path{"aud"}, maxScopes)
	if err != nil {
		return false
	}
	accepted := t.accepts(to)
	other := func(a string) bool {
		return !to.admin && t.forAdmin(a) || !to.connections && t.forConnections(a) || (to.admin || to.connections) && t.forServers(a)
	}
	return slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(accepted, a) }) &&
		!slices.ContainsFunc(audiences, other)
}

func (t *trusted) forAdmin(audience string) bool {
	below, ours := strings.CutPrefix(audience, t.publicURL)
	return ours && below == adminPath || slices.Contains(t.AdminAudiences, audience)
}

func (t *trusted) forConnections(audience string) bool {
	below, ours := strings.CutPrefix(audience, t.publicURL)
	return ours && below == connectionsPath || slices.Contains(t.ConnectionsAudiences, audience)
}

func (t *trusted) forServers(audience string) bool {
	below, ours := strings.CutPrefix(audience, t.publicURL)
	return ours && strings.HasPrefix(below, serverPath) ||
		slices.ContainsFunc(t.Audiences, func(a Audience) bool { return a.Audience == audience })
}
