package policy

import (
	"slices"
	"testing"
)

const (
	composed   = "caf\u00e9"
	decomposed = "cafe\u0301"
)

// TestEscalationIsRefused: each attempt is refused, and the same without what
// makes it an attempt is allowed, so that it is refused for its reason.
func TestEscalationIsRefused(t *testing.T) {
	team := Administrator{ID: "me", Groups: []string{"team-a"}}
	role := func(roles ...string) Administrator { return Administrator{ID: "me", Roles: roles} }
	group := func(name string) Administrator { return Administrator{ID: "me", Groups: []string{name}} }
	owned := func(kind Kind, owner string) Object {
		o := object(kind)
		o.Owner = owner
		return o
	}
	proposed := func(kind Kind, by string) Object {
		o := object(kind)
		o.Proposer = by
		return o
	}
	elsewhere := object(ServerKind)
	elsewhere.Environment = "dev"
	for name, c := range map[string]struct {
		who, fineWho Administrator
		do           Operation
		on, fineOn   Object
		rule         string // the forbid that decides; empty: nothing permits
	}{
		"owner edits another team's server":       {team, team, Put, owned(ServerKind, "team-b"), owned(ServerKind, "team-a"), ""},
		"owner binds another team's reference":    {team, team, Bind, owned(ReferenceKind, "team-b"), owned(ReferenceKind, "team-a"), ""},
		"owner writes another team's value":       {team, team, PutValue, owned(ValueKind, "team-b"), owned(ValueKind, "team-a"), ""},
		"owner makes a binding at another server": {team, team, Create, owned(BindingKind, "team-b"), owned(BindingKind, "team-a"), ""},
		"group differs by case":                   {group("Team-A"), team, Put, object(ServerKind), object(ServerKind), ""},
		"group differs by Unicode form":           {group(decomposed), group(composed), Put, owned(ServerKind, composed), owned(ServerKind, composed), ""},
		"owner differs by Unicode form":           {group(composed), group(decomposed), Put, owned(ServerKind, decomposed), owned(ServerKind, decomposed), ""},
		"group with a blank":                      {group("team-a "), team, Put, object(ServerKind), object(ServerKind), ""},
		"group with a NUL":                        {group("team-a\x00"), team, Put, object(ServerKind), object(ServerKind), ""},
		"group is a pattern":                      {group("*"), team, Put, object(ServerKind), object(ServerKind), ""},
		"group without a name owns what nobody owns": {
			group(""), team, Put, owned(ServerKind, ""), object(ServerKind), ""},
		"group called like a role":        {group(SuperAdmin), role(SuperAdmin), Delete, object(ServerKind), object(ServerKind), ""},
		"role called like the owner":      {role("team-a"), team, Put, object(ServerKind), object(ServerKind), ""},
		"role in another case":            {role("Super_Admin"), role(SuperAdmin), Put, object(ServerKind), object(ServerKind), ""},
		"administrator without the role":  {role(), role(MCPAdmin), Put, object(ServerKind), object(ServerKind), ""},
		"owner gives the server away":     {team, role(MCPAdmin), SetOwner, object(ServerKind), object(ServerKind), ""},
		"owner opens a private network":   {team, role(SuperAdmin), OpenNetworks, object(ServerKind), object(ServerKind), ""},
		"mcp_admin opens one":             {role(MCPAdmin), role(SuperAdmin), OpenNetworks, object(ServerKind), object(ServerKind), ""},
		"owner moves the origin":          {team, role(MCPAdmin), SetOrigin, object(ServerKind), object(ServerKind), ""},
		"mcp_admin moves a store":         {role(MCPAdmin), role(SuperAdmin), SetOrigin, object(StoreKind), object(StoreKind), ""},
		"owner resumes in production":     {team, role(MCPAdmin), Resume, object(ServerKind), object(ServerKind), ""},
		"owner approves":                  {team, role(Approver), Approve, object(ServerKind), object(ServerKind), ""},
		"mcp_admin edits a policy":        {role(MCPAdmin), role(SuperAdmin), Put, object(PolicyKind), object(PolicyKind), ""},
		"mcp_admin deletes a policy":      {role(MCPAdmin), role(SuperAdmin), Delete, object(PolicyKind), object(PolicyKind), ""},
		"mcp_admin approves a policy":     {role(MCPAdmin), role(Approver), Approve, object(PolicyKind), object(PolicyKind), ""},
		"mcp_admin reads the audit":       {role(MCPAdmin), role(Auditor), ReadAudit, object(AuditKind), object(AuditKind), ""},
		"mcp_admin breaks the glass":      {role(MCPAdmin), role(SuperAdmin), BreakGlass, object(EnvironmentKind), object(EnvironmentKind), ""},
		"auditor writes":                  {role(Auditor), role(MCPAdmin), Put, object(BindingKind), object(BindingKind), ""},
		"auditor takes a secret upstream": {role(Auditor), role(MCPAdmin), Verify, object(BindingKind), object(BindingKind), ""},
		"approver writes":                 {role(Approver), role(MCPAdmin), Put, object(BindingKind), object(BindingKind), ""},
		"owner lifts a revocation":        {team, role(MCPAdmin), Lift, object(BindingKind), object(BindingKind), ""},
		"owner revokes another's card":    {team, team, Revoke, owned(BindingKind, "team-b"), owned(BindingKind, "team-a"), ""},
		"owner revokes a person":          {team, role(MCPAdmin), Revoke, object(PrincipalKind), object(PrincipalKind), ""},
		"owner revokes the server":        {team, role(MCPAdmin), Revoke, object(ServerKind), object(ServerKind), ""},
		"mcp_admin revokes an issuer":     {role(MCPAdmin), role(SuperAdmin), Revoke, object(IssuerKind), object(IssuerKind), ""},
		"mcp_admin revokes all there is":  {role(MCPAdmin), role(SuperAdmin), Revoke, object(EnvironmentKind), object(EnvironmentKind), ""},
		"auditor revokes":                 {role(Auditor), role(MCPAdmin), Revoke, object(PrincipalKind), object(PrincipalKind), ""},
		"somebody without id":             {Administrator{Roles: []string{SuperAdmin}}, role(SuperAdmin), Put, object(ServerKind), object(ServerKind), "nameless"},
		"own change, super_admin":         {role(SuperAdmin), role(SuperAdmin), Approve, proposed(ServerKind, "me"), object(ServerKind), "own-change"},
		"own change, with a second role":  {role(MCPAdmin, Approver), role(MCPAdmin, Approver), Approve, proposed(BindingKind, "me"), object(BindingKind), "own-change"},
		"own policy":                      {role(SuperAdmin), role(SuperAdmin), Approve, proposed(PolicyKind, "me"), object(PolicyKind), "own-change"},
		"change of an unknown":            {role(Approver), role(Approver), Approve, proposed(ServerKind, ""), object(ServerKind), "own-change"},
		"row of another environment":      {role(SuperAdmin), role(SuperAdmin), Read, elsewhere, object(ServerKind), "other-environment"},
	} {
		t.Run(name, func(t *testing.T) {
			a := administration(t, "prod", true)
			v := a.Judge(c.who, c.do, c.on)
			if v.Allowed || v.Malformed || slices.Contains(v.Determining, c.rule) != (c.rule != "") {
				t.Errorf("it gave %+v, want it refused by %q", v, c.rule)
			}
			if v := a.Judge(c.fineWho, c.do, c.fineOn); !v.Allowed {
				t.Errorf("without the attempt it gave %+v, want it allowed", v)
			}
		})
	}
}

// TestSenselessRequestsAreRefused, to super_admin too.
func TestSenselessRequestsAreRefused(t *testing.T) {
	a := administration(t, "prod", true)
	super := Administrator{ID: "me", Roles: []string{SuperAdmin}}
	for name, c := range map[string]struct {
		who Administrator
		do  Operation
		on  Object
	}{
		"unknown operation":         {super, "launch", object(ServerKind)},
		"no operation":              {super, "", object(ServerKind)},
		"operation of another case": {super, "Put", object(ServerKind)},
		"unknown kind":              {super, Put, object("Castle")},
		"an administrator":          {super, Read, object("AdminUser")},
		"value at a server":         {super, PutValue, object(ServerKind)},
		"group that is no text":     {Administrator{"me", []string{SuperAdmin}, []string{"\xff"}}, Put, object(ServerKind)},
		"too many groups":           {Administrator{"me", []string{SuperAdmin}, make([]string, MaxValues)}, Put, object(ServerKind)},
	} {
		if v := a.Judge(c.who, c.do, c.on); v.Allowed || !v.Malformed {
			t.Errorf("%s: %+v, want it malformed", name, v)
		}
	}
}

func TestAdministrationNeedsAnEnvironment(t *testing.T) {
	if _, err := NewAdministration("", false); err == nil {
		t.Error("it serves an environment without a name")
	}
}

// TestGroupsThatOnlyLookAlikeOwnNothing, of any kind, by any operation.
func TestGroupsThatOnlyLookAlikeOwnNothing(t *testing.T) {
	for _, production := range []bool{false, true} {
		a := administration(t, "prod", production)
		for _, c := range []struct{ group, owner string }{
			{"", ""}, {"Team-A", "team-a"}, {"team-a", "team-a "}, {composed, decomposed}, {decomposed, composed}, {"team-a", ""}, {"", "team-a"},
		} {
			for _, kind := range kinds {
				for _, do := range operations {
					on := object(kind)
					on.Owner = c.owner
					if a.Judge(Administrator{ID: "me", Groups: []string{c.group}}, do, on).Allowed && do != ListOwn {
						t.Errorf("group %q may %s a %s of %q", c.group, do, kind, c.owner)
					}
				}
			}
		}
	}
}
