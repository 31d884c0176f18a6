package handler

import (
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

const (
	assignmentBody = `{"store":"aws-sm","paths":["prod/*"],"groups":["team-notes"],"servers":["notes"],"state":"active"}`
	composed       = "caf\u00e9"
	decomposed     = "cafe\u0301"
)

func assignmentOf(paths, groups, servers string) string {
	return `{"store":"aws-sm","paths":[` + paths + `],"groups":[` + groups + `],"servers":[` + servers + `],"state":"active"}`
}

// assigns makes a new assignment as an administrator.
func (f *fixture) assigns(t *testing.T, name, body string) {
	t.Helper()
	f.call(t, "admin", "PUT", "/assignments/"+name, body, "If-None-Match", "*").want(t, 200, "")
}

// TestATeamBindsWhatIsAssignedToIt, and nothing else: by a group of its own, or
// at the very server.
func TestATeamBindsWhatIsAssignedToIt(t *testing.T) {
	for name, c := range map[string]struct {
		assignment string
		status     int
	}{
		"to the team":                           {assignmentOf(`"prod/*"`, `"team-notes"`, ``), 200},
		"to the server":                         {assignmentOf(`"prod/notes"`, ``, `"notes"`), 200},
		"to another team":                       {assignmentOf(`"prod/notes"`, `"team-other"`, ``), 403},
		"to another server of the team":         {assignmentOf(`"prod/notes"`, ``, `"theirs"`), 403},
		"to a group of another case":            {assignmentOf(`"prod/notes"`, `"Team-Notes"`, ``), 403},
		"to a group with a blank":               {assignmentOf(`"prod/notes"`, `"team-notes "`, ``), 403},
		"another path":                          {assignmentOf(`"prod/other/*"`, `"team-notes"`, `"notes"`), 403},
		"nothing":                               {"", 403},
		"withdrawn":                             {"withdrawn", 403},
		"no more: suspended":                    {strings.Replace(assignmentBody, `"active"`, `"suspended"`, 1), 403},
		"of another store":                      {strings.Replace(assignmentBody, `"aws-sm"`, `"sealed"`, 1), 403},
		"wider than the store, which decides":   {assignmentOf(`"*"`, `"team-notes"`, ``), 200},
		"a group called as the server is":       {assignmentOf(`"prod/notes"`, `"notes"`, ``), 403},
		"a server called as the team is called": {assignmentOf(`"prod/notes"`, ``, `"team-notes"`), 403},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.seed(t)
			f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
			f.call(t, "root", "PUT", "/servers/theirs", serverBody, "If-None-Match", "*").want(t, 200, "")
			switch c.assignment {
			case "":
			case "withdrawn":
				f.assigns(t, "one", assignmentBody)
				f.call(t, "admin", "DELETE", "/assignments/one", nil, "If-Match", `"v1"`).want(t, 204, "")
			default:
				f.assigns(t, "one", c.assignment)
			}
			a := f.call(t, "owner", "PUT", "/servers/notes/bindings/ours", bindingBody, "If-None-Match", "*").want(t, c.status, "")
			f.call(t, "other", "PUT", "/servers/notes/bindings/hers", bindingBody, "If-None-Match", "*").want(t, 403, "forbidden")
			if r := f.records(a); c.status == 403 && (len(r) != 1 || r[0].Target != "bind") {
				t.Errorf("recorded %+v", r)
			}
		})
	}
}

// TestAnAssignmentDoesNotWidenAStore: what the store may not read stays out.
func TestAnAssignmentDoesNotWidenAStore(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.assigns(t, "all", assignmentOf(`"*"`, `"team-notes"`, ``))
	f.call(t, "owner", "PUT", "/servers/notes/bindings/ours", strings.Replace(bindingBody, "prod/notes", "staging/notes", 1), "If-None-Match", "*").want(t, 422, "invalid")
	f.call(t, "owner", "PUT", "/servers/notes/bindings/ours", strings.Replace(bindingBody, "aws-sm:", "vault:", 1), "If-None-Match", "*").want(t, 403, "forbidden")
}

// TestGroupsThatLookAlikeAreAssignedNothing: one form of a name is not the other.
func TestGroupsThatLookAlikeAreAssignedNothing(t *testing.T) {
	row := broker.Assignment{State: broker.Active, Store: "aws-sm", Paths: broker.Scope{"*"}, Groups: []string{composed, ""}, Servers: []string{"notes", ""}}
	r, err := broker.ParseReference("aws-sm:prod/notes#token")
	if err != nil {
		t.Fatal(err)
	}
	for _, groups := range [][]string{{decomposed}, {"CAF\u00c9"}, {""}, nil} {
		if got := assignee(row, r, groups, broker.Server{}); got != "" {
			t.Errorf("%q are given what is assigned to %q", groups, got)
		}
		if got := assignee(row, r, groups, broker.Server{Name: "notes", Owner: composed}); got != "" {
			t.Errorf("%q are given what is assigned to a server of %q", groups, got)
		}
	}
	if got := assignee(row, r, []string{composed}, broker.Server{}); got != composed {
		t.Errorf("the group itself is given %q", got)
	}
}

// TestAnOwnerEntersTheValuesThatAreAssigned, for the server they are assigned to.
func TestAnOwnerEntersTheValuesThatAreAssigned(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/theirs", strings.Replace(serverBody, "team-notes", "team-other", 1), "If-None-Match", "*").want(t, 200, "")
	f.assigns(t, "one", `{"store":"sealed","paths":["notes-token"],"servers":["notes"],"state":"active"}`)
	const value = `{"server":"notes","value":"` + canary + `"}`
	f.call(t, "owner", "PUT", "/values/notes-token", value).want(t, 200, "")
	f.call(t, "owner", "PUT", "/values/wiki-token", value).want(t, 403, "forbidden")
	f.call(t, "other", "PUT", "/values/notes-token", value).want(t, 403, "forbidden")
	for _, who := range []string{"owner", "other"} {
		f.call(t, who, "PUT", "/values/notes-token", strings.Replace(value, "notes", "theirs", 1)).want(t, 403, "forbidden")
	}
	f.clean(t)
}

// TestOnlyAdministratorsAssign; a team reads what is assigned to it.
func TestOnlyAdministratorsAssign(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.assigns(t, "ours", assignmentBody)
	for _, who := range []string{"owner", "other", "auditor", "second", "nobody"} {
		f.call(t, who, "PUT", "/assignments/new", assignmentBody, "If-None-Match", "*").want(t, 403, "forbidden")
		f.call(t, who, "PUT", "/assignments/ours", assignmentBody, "If-Match", `"v1"`).want(t, 403, "forbidden")
		f.call(t, who, "DELETE", "/assignments/ours", nil, "If-Match", `"v1"`).want(t, 403, "forbidden")
	}
	for who, sees := range map[string]int{"owner": 1, "auditor": 1, "other": 0, "nobody": 0} {
		if items := f.call(t, who, "GET", "/assignments", nil).want(t, 200, "").body["items"].([]any); len(items) != sees {
			t.Errorf("%s sees %v", who, items)
		}
		f.call(t, who, "GET", "/assignments/ours", nil).want(t, map[int]int{1: 200, 0: 403}[sees], "")
		f.call(t, who, "GET", "/assignments/none", nil).want(t, map[bool]int{true: 404, false: 403}[who == "auditor"], "")
	}
	for _, body := range []string{assignmentOf(`"*"`, ``, ``), strings.Replace(assignmentBody, "aws-sm", "vault", 1), assignmentOf(`""`, `"a"`, ``)} {
		f.call(t, "admin", "PUT", "/assignments/bad?dry_run=true", body, "If-None-Match", "*").want(t, 422, "invalid")
	}
	f.call(t, "admin", "PUT", "/assignments/ours", assignmentBody, "If-Match", `"v7"`).want(t, 412, "version_conflict")
	f.call(t, "admin", "DELETE", "/assignments/ours", nil, "If-Match", `"v1"`).want(t, 204, "")
	f.call(t, "admin", "PUT", "/assignments/ours", assignmentBody, "If-None-Match", "*").want(t, 412, "version_conflict")
	f.call(t, "admin", "GET", "/assignments/ours", nil).want(t, 404, "not_found")
}

// TestNothingIsBoundOnAssignmentsThatCannotBeRead, and administrators need none.
func TestNothingIsBoundOnAssignmentsThatCannotBeRead(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.assigns(t, "ours", assignmentBody)
	const card = "/servers/notes/bindings/ours"
	f.tables.Inject(memory.ListAssignments, memory.Refuse())
	f.call(t, "owner", "PUT", card, bindingBody, "If-None-Match", "*").want(t, 503, "unavailable")
	f.call(t, "auditor", "GET", card, nil).want(t, 404, "not_found")
	f.tables.Inject(memory.ListAssignments, memory.Refuse())
	f.call(t, "admin", "PUT", card, bindingBody, "If-None-Match", "*").want(t, 200, "")
}

// TestWhatCannotBeToldIsNotMade: a card whose overlaps cannot be read is refused
// before it is stored.
func TestWhatCannotBeToldIsNotMade(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.tables.Inject(memory.ListBindings, memory.Refuse())
	f.call(t, "admin", "PUT", "/servers/notes/bindings/another", bindingBody, "If-None-Match", "*").want(t, 503, "unavailable")
	f.call(t, "auditor", "GET", "/servers/notes/bindings/another", nil).want(t, 404, "not_found")
}
