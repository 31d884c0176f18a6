package main

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestClientIsJudged(t *testing.T) {
	r := revision{name: "2026-07-28", authorized: 2}
	fine := []check{{"auth/a", "x", success, ""}, {"auth/b", "y", success, ""}, {"auth/b", "known", failure, ""}}
	list := map[string]bool{"auth/b:known": true}
	for name, c := range map[string]struct {
		scenarios int
		checks    []check
		want      []string
	}{
		"as listed":          {2, fine, nil},
		"a scenario is lost": {1, fine, []string{"1 scenarios have results, and 2 should", "a scenario passed nothing"}},
		"a failure is not listed": {2, append([]check{{"auth/a", "z", failure, "no"}}, fine...),
			[]string{"auth/a:z: FAILURE and not in the list: no"}},
		"a warning is not listed": {2, append([]check{{"auth/a", "z", "WARNING", ""}}, fine...),
			[]string{"auth/a:z: WARNING and not in the list: "}},
		"an entry is stale":     {2, fine[:2], []string{`"auth/b:known" is stale: it does not fail; take it from the list`}},
		"nothing passed in one": {2, []check{fine[0], fine[2]}, []string{"a scenario passed nothing"}},
	} {
		if diff := cmp.Diff(c.want, judgeClient(r, c.scenarios, c.checks, list)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestResultsOfTheClientAreRead(t *testing.T) {
	folder := fstest.MapFS{
		"auth/iss-supported-2026-07-28T10-00-00-000Z/checks.json": {Data: []byte(`[{"id":"a","status":"SUCCESS"}]`)},
		"tools_call-2026-07-28T10-00-00-000Z/checks.json":         {Data: []byte(`[{"id":"b","status":"FAILURE"}]`)},
	}
	scenarios, checks, err := readAuthorization(folder)
	if err != nil || scenarios != 1 || len(checks) != 1 || checks[0].name() != "auth/iss-supported:a" {
		t.Errorf("%d scenarios, %v, %v", scenarios, checks, err)
	}
	folder["auth/odd/checks.json"] = &fstest.MapFile{Data: []byte(`[]`)}
	if _, _, err := readAuthorization(folder); err == nil {
		t.Error("a folder without a date is taken")
	}
}
