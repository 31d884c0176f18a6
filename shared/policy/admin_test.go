package policy

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite golden files")

var (
	operations = []Operation{
		ListNames, Read, ListOwn, Create, Put, Delete, SetOwner, SetOrigin, OpenNetworks, Suspend, Resume, Approve,
		Verify, Explain, Bind, Sync, PutValue, DeleteValue, ReadAudit, BreakGlass,
		Revoke, Lift, Acknowledge,
	}
	kinds = []Kind{
		ServerKind, BindingKind, AgentKind, ToolKind, StoreKind, ReferenceKind, ValueKind, PolicyKind, AssignmentKind,
		ProviderKind, EnvironmentKind, AuditKind,
		PrincipalKind, GroupKind, SessionKind, GrantKind, IssuerKind, RevocationKind, NoticeKind,
	}
	roles = []string{SuperAdmin, MCPAdmin, Auditor, Approver}
)

func administration(t testing.TB, environment string, production bool) *Administration {
	t.Helper()
	a, err := NewAdministration(environment, production)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// object is one of another administrator's proposing, owned by team-a.
func object(kind Kind) Object {
	return Object{Kind: kind, Name: "x", Owner: "team-a", Environment: "prod", Proposer: "other"}
}

// TestEveryRoleOperationAndOwnership holds the whole matrix: who may do what to
// what is read in testdata/matrix.txtar. What is not listed is refused.
func TestEveryRoleOperationAndOwnership(t *testing.T) {
	var got txtar.Archive
	used := map[string]bool{}
	for _, role := range append([]string{""}, roles...) {
		for _, group := range []string{"", "team-a"} {
			for _, production := range []bool{false, true} {
				text := matrix(administration(t, "prod", production), role, group, used)
				name := fmt.Sprintf("%s, %s, %s", or(role, "no role"),
					or(strings.Replace(group, "team-a", "owner", 1), "not owner"), map[bool]string{false: "test", true: "production"}[production])
				got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(text)})
			}
		}
	}
	const golden = "testdata/matrix.txtar"
	if *update {
		if err := os.WriteFile(golden, txtar.Format(&got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(txtar.Format(&got))); diff != "" {
		t.Errorf("the matrix changed (-want +got):\n%s", diff)
	}
	set, err := AdminSet()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range set.policies {
		if !used[p.id] && !set.forbids(p.id) {
			t.Errorf("policy %s never decides", p.id)
		}
	}
}

func matrix(a *Administration, role, group string, used map[string]bool) string {
	var text strings.Builder
	for _, kind := range kinds {
		line := fmt.Sprintf("%-12s", kind)
		for _, do := range operations {
			v := a.Judge(Administrator{ID: "me", Roles: []string{role}, Groups: []string{group}}, do, object(kind))
			for _, id := range v.Determining {
				used[id] = true
			}
			if v.Allowed {
				line += " " + string(do)
			}
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return text.String()
}

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

// TestRolesAddUp: two roles may exactly what either may.
func TestRolesAddUp(t *testing.T) {
	a := administration(t, "prod", true)
	for _, one := range roles {
		for _, two := range roles {
			for _, kind := range kinds {
				for _, do := range operations {
					may := func(roles ...string) bool {
						return a.Judge(Administrator{ID: "me", Roles: roles}, do, object(kind)).Allowed
					}
					if may(one, two) != (may(one) || may(two)) {
						t.Errorf("%s with %s: %s of %s is not the sum", one, two, do, kind)
					}
				}
			}
		}
	}
}

// TestOperationsAndRulesAgree: no operation or kind is misspelt in the schema.
func TestOperationsAndRulesAgree(t *testing.T) {
	a := administration(t, "prod", true)
	super := Administrator{ID: "me", Roles: []string{SuperAdmin}}
	for _, do := range operations {
		if !slices.ContainsFunc(kinds, func(k Kind) bool { return a.Judge(super, do, object(k)).Allowed }) {
			t.Errorf("super_admin cannot %s anything", do)
		}
	}
	for _, k := range kinds {
		if !slices.ContainsFunc(operations, func(do Operation) bool { return a.Judge(super, do, object(k)).Allowed }) {
			t.Errorf("super_admin can do nothing with a %s", k)
		}
	}
}
