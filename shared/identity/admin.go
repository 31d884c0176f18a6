package identity

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"bindery/shared/broker"

	"golang.org/x/text/unicode/norm"
)

// The roles of the admin API.
const (
	RoleSuperAdmin = "super_admin"
	RoleMCPAdmin   = "mcp_admin"
	RoleAuditor    = "auditor"
	RoleApprover   = "approver"
)

var roles = []string{RoleApprover, RoleAuditor, RoleMCPAdmin, RoleSuperAdmin}

// VerifyAdmin tells who sent a request to the admin API, by the rules and with
// the errors of Verify. It gives no role: see Document.Roles.
func (v *Verifier) VerifyAdmin(ctx context.Context, r *http.Request) (broker.Principal, error) {
	return v.verify(ctx, r, v.admin())
}

// mayAdminister refuses an agent that acts for somebody, unless the document
// lists it. An act claim counts here although the issuer may not be trusted
// for it: if it does not name the agent of the principal, nobody knows who
// acts. A chain of actors is refused, because only its outermost is known.
func (t *trusted) mayAdminister(c *claimSet, p broker.Principal, listed []string) error {
	delegated := c.lookup(path{"act"}) != nil
	if delegated {
		actor, err := c.first(t.actors)
		if err != nil || p.Agent != t.AgentID(actor) || c.lookup(path{"act", "act"}) != nil {
			return invalid(AgentRefused)
		}
	}
	forItself := p.Agent == "" || p.AgentOnly && !delegated
	if !forItself && !slices.Contains(listed, p.Agent) {
		return invalid(AgentRefused)
	}
	return nil
}

// Roles gives the roles of a principal with these groups, sorted. Names are
// compared byte by byte.
func (d *Document) Roles(groups []string) []string {
	var has []string
	for _, role := range roles {
		if slices.ContainsFunc(d.RoleGroups[role], func(g string) bool { return slices.Contains(groups, g) }) {
			has = append(has, role)
		}
	}
	return has
}

func (d *Document) checkRoles(f *faults) {
	forms := map[string]string{}
	for _, role := range slices.Sorted(maps.Keys(d.RoleGroups)) {
		at, groups := "roles."+role, d.RoleGroups[role]
		if !slices.Contains(roles, role) {
			f.add(at, "the roles are %s", strings.Join(roles, ", "))
		}
		if len(groups) == 0 {
			f.add(at, "at least one group is required")
		}
		for n, group := range groups {
			at := fmt.Sprintf("%s[%d]", at, n)
			if slices.Contains(groups[:n], group) {
				f.add(at, "the group is listed twice")
			}
			if !d.gives(group) {
				f.add(at, "no issuer gives this group; a group is a name from an issuer's table, or <issuer name>:<group id>")
			}
			checkForm(at, group, forms, f)
		}
	}
}

// gives reports whether a principal of some issuer can have the group.
func (d *Document) gives(group string) bool {
	name, id, unmapped := strings.Cut(group, ":") // no name has a colon
	return slices.ContainsFunc(d.Issuers, func(i Issuer) bool {
		if !unmapped {
			return slices.Contains(slices.Collect(maps.Values(i.Groups)), group)
		}
		_, mapped := i.Groups[id]
		return i.Name == name && i.Claims.Groups != "" && isText(id) && !mapped
	})
}

func (d *Document) checkAdminAgents(f *faults) {
	forms := map[string]string{}
	for n, agent := range d.AdminAgents {
		at := fmt.Sprintf("admin_agents[%d]", n)
		if slices.Contains(d.AdminAgents[:n], agent) {
			f.add(at, "the agent is listed twice")
		}
		name, client, _ := strings.Cut(agent, ":")
		registers := func(i Issuer) bool { return i.Name == name && i.Agents == AgentsRegistered }
		if !isText(client) || len(agent) > broker.MaxID || !slices.ContainsFunc(d.Issuers, registers) {
			f.add(at, "an agent is <issuer name>:<client id>, of an issuer whose agents are registered")
		}
		checkForm(at, agent, forms, f)
	}
}

// checkForm refuses a name that a reader could take for another listed one: it
// differs from that by case or by Unicode form alone.
func checkForm(at, name string, forms map[string]string, f *faults) {
	form := norm.NFKC.String(strings.Map(func(r rune) rune {
		return unicode.ToLower(unicode.ToUpper(r)) // both ways: some letters have two lower cases
	}, norm.NFKC.String(name)))
	if other, ok := forms[form]; ok && other != name {
		f.add(at, "it differs from another listed name by case or Unicode form alone")
	}
	forms[form] = name
}
