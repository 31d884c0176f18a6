package identity

import (
	"os"
	"strings"
	"testing"

	"bindery/shared/brokertest/idp"

	"github.com/google/go-cmp/cmp"
)

// withRoles is a document whose issuer corp maps 00g1 to platform-team.
func withRoles(roles string) string {
	raw := strings.Replace(minimal, `"claims":{}`, `"claims":{"groups":"groups"},"groups":{"00g1":"platform-team"}`, 1)
	return strings.Replace(raw, `{"issuers"`, `{"roles":`+roles+`,"issuers"`, 1)
}

func parsed(t *testing.T, raw string) *Document {
	t.Helper()
	d, err := Parse([]byte(raw), false)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRolesOfGroups(t *testing.T) {
	d := parsed(t, withRoles(`{"super_admin":["platform-team"],"mcp_admin":["corp:mcp","platform-team"],"auditor":["corp:audit"],"approver":["corp:audit"]}`))
	for groups, want := range map[string]string{
		"":                            "",
		"platform-team":               "mcp_admin super_admin",
		"corp:mcp":                    "mcp_admin",
		"corp:audit corp:mcp":         "approver auditor mcp_admin",
		"everyone corp:audit":         "approver auditor",
		"corp:00g1":                   "", // the id of a mapped group is not its name
		"corp:platform-team":          "", // a group of that id is not the mapped one
		"super_admin corp:auditor":    "", // a role is not a group
		"corp: corp :mcp mcp audit":   "",
		"corp:mcp2 corp:mc ccorp:mcp": "",
	} {
		if got := strings.Join(d.Roles(strings.Fields(groups)), " "); got != want {
			t.Errorf("%q: %q, want %q", groups, got, want)
		}
	}
	if got := d.Roles(nil); len(got) != 0 {
		t.Errorf("without groups: %q", got)
	}
}

func TestDocumentWithoutRolesGivesNobodyARole(t *testing.T) {
	for _, raw := range []string{minimal, withRoles(`{}`), withRoles(`null`)} {
		if got := parsed(t, raw).Roles([]string{"", "super_admin", "platform-team", "corp:super_admin"}); len(got) != 0 {
			t.Errorf("roles %q", got)
		}
	}
}

func TestRoleByTheGroupOfAnotherIssuer(t *testing.T) {
	w, partner := newAdminWorld(t, nil, nil), idp.New(t)
	w.doc = document(t, entry(w.idp, map[string]any{"groups": map[string]string{"00g1": "platform-team"}, "agents": "ignored"}),
		entry(partner, map[string]any{"name": "partner", "agents": "ignored"}))
	w.doc.RoleGroups = map[string][]string{RoleSuperAdmin: {"corp:admins", "platform-team"}}
	w.Verifier = w.process(nil)
	groups := []string{"admins", "corp:admins", "platform-team", "00g1", ":admins", "super_admin"}
	p := w.admits(partner.Sign("k1", nil, w.claims(map[string]any{"iss": partner.Issuer(), "aud": adminURL, "groups": groups})))
	if got := w.doc.Roles(p.Groups); len(got) != 0 {
		t.Errorf("groups %q of the partner give the roles %q", p.Groups, got)
	}
	for _, group := range []string{"admins", "00g1"} {
		if got := w.doc.Roles(w.admits(w.adminToken(map[string]any{"groups": group})).Groups); len(got) != 1 {
			t.Errorf("group %s of corp gives the roles %q", group, got)
		}
	}
}

func TestRoleByAGroupThatDiffersByCaseOrUnicodeForm(t *testing.T) {
	d := parsed(t, withRoles(`{"super_admin":["corp:Caf\u00e9 Admins","platform-team"]}`))
	w := newAdminWorld(t, nil, nil)
	for _, raw := range []string{
		"caf\u00e9 admins", "CAF\u00c9 ADMINS", "Cafe\u0301 Admins", "Caf\u00e9\u00a0Admins", "Caf\u00e9 Admins ", " Caf\u00e9 Admins",
		"\uff23af\u00e9 Admins", "Caf\u00e9 Admin\u017f", "Caf\u00e9 \u0410dmins", "Caf\u00e9\u200b Admins", "Platform-Team", "platform-team",
	} {
		p := w.admits(w.adminToken(map[string]any{"groups": []string{raw}}))
		if got := d.Roles(p.Groups); len(got) != 0 {
			t.Errorf("%q gives the roles %q", raw, got)
		}
	}
	p := w.admits(w.adminToken(map[string]any{"groups": []string{"Caf\u00e9 Admins"}}))
	if got := d.Roles(p.Groups); len(got) != 1 {
		t.Errorf("the listed group gives the roles %q", got)
	}
}

func TestRolesInTheDocument(t *testing.T) {
	const unknown, form = "the roles are approver, auditor, mcp_admin, super_admin", "by case or Unicode form alone"
	for roles, want := range map[string]string{
		`{"root":["platform-team"]}`:                                  "roles.root: " + unknown,
		`{"Super_Admin":["platform-team"]}`:                           "roles.Super_Admin: " + unknown,
		`{"super_admin ":["platform-team"]}`:                          unknown,
		`{"":["platform-team"]}`:                                      unknown,
		`{"*":["platform-team"]}`:                                     unknown,
		`{"auditor":[]}`:                                              "roles.auditor: at least one group",
		`{"auditor":null}`:                                            "roles.auditor: at least one group",
		`{"auditor":["corp:a"],"auditor":["corp:b"]}`:                 "duplicate",
		`{"auditor":"corp:a"}`:                                        "JSON",
		`{"auditor":{"corp:a":true}}`:                                 "JSON",
		`["auditor"]`:                                                 "JSON",
		`{"auditor":["corp:a","corp:a"]}`:                             "roles.auditor[1]: the group is listed twice",
		`{"auditor":["corp:a","corp:A"]}`:                             "roles.auditor[1]: it differs",
		`{"auditor":["corp:a"],"super_admin":["corp:A"]}`:             "roles.super_admin[0]: it differs",
		`{"auditor":["corp:caf\u00e9","corp:cafe\u0301"]}`:            form,
		`{"auditor":["corp:caf\u00e9","corp:CAFE\u0301"]}`:            form,
		`{"auditor":["corp:\u212a","corp:k"]}`:                        form, // Kelvin
		`{"auditor":["corp:\u017f","corp:s"]}`:                        form, // long s
		`{"auditor":["corp:\u03c3","corp:\u03c2"]}`:                   form, // two lower-case sigmas
		`{"auditor":["corp:\uff41","corp:a"]}`:                        form, // full width
		`{"auditor":["corp:\u2102","corp:c"]}`:                        form, // a capital in a form that has no small letter
		`{"auditor":["corp:\u03aa\u0301","corp:\u0390"]}`:             form, // composed only in small letters
		`{"auditor":["platform-team","corp:a","other:a"]}`:            "roles.auditor[2]: no issuer gives this group",
		`{"auditor":["Platform-team"]}`:                               "no issuer gives",
		`{"auditor":["corp:00g1"]}`:                                   "no issuer gives", // it is mapped
		`{"auditor":["CORP:a"]}`:                                      "no issuer gives",
		`{"auditor":["corp:"]}`:                                       "no issuer gives",
		`{"auditor":[""]}`:                                            "no issuer gives",
		`{"auditor":["corp:a\nb"]}`:                                   "no issuer gives",
		`{"auditor":["corp:\ud800"]}`:                                 "no issuer gives",
		`{"auditor":["corp:` + strings.Repeat("a", maxText+1) + `"]}`: "no issuer gives",
	} {
		if _, err := Parse([]byte(withRoles(roles)), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v; want %q", roles, err, want)
		}
	}
	if _, err := Parse([]byte(strings.Replace(minimal, `{"issuers"`, `{"roles":{"auditor":["corp:a"]},"issuers"`, 1)), false); err == nil {
		t.Error("a role for a group of an issuer whose groups are not read")
	}
	if _, err := Parse([]byte(strings.Replace(withRoles(`{}`), `"roles"`, `"Roles"`, 1)), false); err == nil {
		t.Error("a field of another case was accepted")
	}
}

func TestAdminAudiencesInTheDocument(t *testing.T) {
	for edit, want := range map[string]string{
		`"admin_audiences":[""]`:  "issuers[0].admin_audiences: an audience is empty",
		`"admin_audiences":"a"`:   "JSON",
		`"Admin_audiences":["a"]`: "unknown field",
		`"admin_audiences":["b","a"],"audiences":[{"audience":"a","servers":["jira"]}]`: "issuers[0].audiences[0]: an audience of the admin API",
	} {
		if _, err := Parse([]byte(strings.Replace(minimal, `"claims":{}`, edit+`,"claims":{}`, 1)), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", edit, err, want)
		}
	}
}

func TestDigestCoversWhoAdministers(t *testing.T) {
	seen := map[string]string{}
	for name, raw := range map[string]string{
		"nobody": withRoles(`{}`), "a group": withRoles(`{"auditor":["corp:a"]}`), "another group": withRoles(`{"auditor":["corp:b"]}`),
		"another role": withRoles(`{"approver":["corp:a"]}`), "more groups": withRoles(`{"auditor":["corp:a","corp:b"]}`),
		"an agent":    strings.Replace(withRoles(`{}`), `{"roles"`, `{"admin_agents":["corp:cli"],"roles"`, 1),
		"an audience": strings.Replace(withRoles(`{}`), `"kind"`, `"admin_audiences":["a"],"kind"`, 1),
	} {
		digest := parsed(t, raw).Digest()
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[digest] = name
	}
	if parsed(t, withRoles(`{}`)).Digest() != parsed(t, withRoles(`null`)).Digest() {
		t.Error("two documents without roles differ")
	}
}

func TestDocumentedExampleGivesItsRoles(t *testing.T) {
	text, err := os.ReadFile("../../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Administrators\n")
	_, block, _ := strings.Cut(section, "```json\n")
	block, _, _ = strings.Cut(block, "```")
	d := parsed(t, block)
	if diff := cmp.Diff([]string{RoleMCPAdmin, RoleSuperAdmin}, d.Roles([]string{"platform-team"})); diff != "" {
		t.Error(diff)
	}
	for _, role := range roles {
		if !strings.Contains(section, "`"+role+"`") {
			t.Errorf("docs/issuers.md does not tell of the role %s", role)
		}
	}
}
