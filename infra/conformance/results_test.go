package main

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// resultsOf is a folder as the suite leaves it, from a folder's name to the
// text of its checks.
func resultsOf(scenarios map[string]string) fstest.MapFS {
	folder := fstest.MapFS{}
	for name, text := range scenarios {
		folder[name+"/checks.json"] = &fstest.MapFile{Data: []byte(text)}
	}
	return folder
}

const (
	stamp   = "-2026-11-21T15-35-08-595Z"
	passing = `[{"id":"a","status":"SUCCESS"},{"id":"b","status":"INFO"}]`
	failing = `[{"id":"a","status":"SUCCESS"},{"id":"c","status":"FAILURE","errorMessage":"got 500"}]`
)

func TestResultsAreReadByScenario(t *testing.T) {
	said := "=== Running scenario: ping ===\nFailed to run scenario caching: Error: timed out\n\nTotal: 2 passed, 2 failed\n\nNot scored\n"
	got, err := readResults(resultsOf(map[string]string{"server-ping" + stamp: passing, "server-sep-2164-not-found" + stamp: failing}), said)
	if err != nil {
		t.Fatal(err)
	}
	want := []check{
		{"ping", "a", success, ""}, {"ping", "b", "INFO", ""},
		{"sep-2164-not-found", "a", success, ""}, {"sep-2164-not-found", "c", failure, "got 500"},
		{"caching", "caching", failure, "the scenario crashed: see the log"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestResultsThatCannotBeTrustedAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		folder, text, said, want string
	}{
		"no totals":              {"server-ping" + stamp, passing, "Cannot find module\n", errNoCounts.Error()},
		"totals in another text": {"server-ping" + stamp, passing, "x Total: 1 passed, 0 failed\n", errNoCounts.Error()},
		"nothing ran":            {"server-ping" + stamp, `[]`, "Total: 0 passed, 0 failed\n", errNoCounts.Error()},
		"lost results":           {"server-ping" + stamp, passing, "Total: 2 passed, 0 failed\n", "counts 2 passed"},
		"lost failure":           {"server-ping" + stamp, passing, "Total: 1 passed, 1 failed\n", "counts 1 passed and 1 failed"},
		"broken file":            {"server-ping" + stamp, `[{"id":`, "Total: 1 passed, 0 failed\n", "results of ping"},
		"check without id":       {"server-ping" + stamp, `[{"status":"SUCCESS"}]`, "Total: 1 passed, 0 failed\n", "without id"},
		"check without status":   {"server-ping" + stamp, `[{"id":"a"}]`, "Total: 1 passed, 0 failed\n", "without id or status"},
		"unknown folder":         {"ping", passing, "Total: 1 passed, 0 failed\n", "no folder of the suite's results"},
	} {
		got, err := readResults(resultsOf(map[string]string{c.folder: c.text}), c.said)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: %v, %v; want an error about %q", name, got, err, c.want)
		}
	}
	if _, err := readResults(fstest.MapFS{}, ""); !errors.Is(err, errNoCounts) {
		t.Errorf("an empty folder: %v, want errNoCounts", err)
	}
}

func TestTheListOfExpectedFailuresIsWellFormed(t *testing.T) {
	if _, err := parseExpected(expectedFailures); err != nil {
		t.Error(err)
	}
	got, err := parseExpected("# why\n\n2026-07-28 tasks:a\n  2025-11-25 tasks:a\r\n")
	if diff := cmp.Diff(map[string]bool{"2026-07-28 tasks:a": true, "2025-11-25 tasks:a": true}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for text, want := range map[string]string{
		"2026-07-28 tasks\n":                          "no REVISION",
		"2026-07-28 :a\n":                             "no REVISION",
		"2026-07-28 tasks:\n":                         "no REVISION",
		"tasks:a\n":                                   "no REVISION",
		"2026-07-28 tasks:a b\n":                      "no REVISION",
		"2024-11-05 tasks:a\n":                        "no such revision",
		"2026-07-28 tasks:a\n2026-07-28 tasks:a\n":    "twice",
		"2026-07-28 tasks:a\n2026-07-28  tasks:a#x\n": "no REVISION",
	} {
		if _, err := parseExpected(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error about %q", text, err, want)
		}
	}
}

func TestTheDirectRunMustBeAsKnown(t *testing.T) {
	r := revision{name: "2026-07-28", passed: 1}
	listed := map[string]bool{"2026-07-28 s:bad": true, "2025-11-25 s:other": true}
	for name, c := range map[string]struct {
		direct []check
		want   []string // a word of each finding
	}{
		"as known":           {[]check{{"s", "good", success, ""}, {"s", "bad", failure, "e"}}, nil},
		"listed and partly":  {[]check{{"s", "bad", success, ""}, {"s", "bad", failure, "e"}}, nil},
		"new failure":        {[]check{{"s", "good", success, ""}, {"s", "bad", failure, "e"}, {"s", "new", failure, "boom"}}, []string{"s:new fails and is not in the list of expected failures: boom"}},
		"stale":              {[]check{{"s", "bad", success, ""}}, []string{"stale"}},
		"listed, never ran":  {[]check{{"s", "good", success, ""}}, []string{"stale"}},
		"fewer than usual":   {[]check{{"s", "bad", failure, "e"}}, []string{"0 checks passed, and 1 should"}},
		"more than expected": {[]check{{"s", "good", success, ""}, {"s", "more", success, ""}, {"s", "bad", failure, "e"}}, []string{"2 checks passed"}},
	} {
		got := judge(r, c.direct, listed)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %d findings", name, got, len(c.want))
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q, want %q in it", name, got[i], want)
			}
		}
	}
}

func TestEveryDifferenceIsTold(t *testing.T) {
	direct := []check{{"s", "same", success, ""}, {"s", "worse", success, ""}, {"s", "lost", success, ""},
		{"s", "twice", success, ""}, {"s", "twice", success, ""}, {"s", "known", failure, "x"}, {"s", "order", failure, "x"}, {"s", "order", success, ""}}
	through := []check{{"s", "order", success, ""}, {"s", "order", failure, "y"}, {"s", "same", success, ""}, {"s", "worse", failure, "got 502"},
		{"s", "twice", success, ""}, {"s", "known", success, ""}, {"s", "more", failure, "only here"}}
	want := []string{
		"s:known: SUCCESS, directly FAILURE",
		"s:lost: not reported, directly SUCCESS",
		"s:more: FAILURE, directly not reported; only here",
		"s:twice: SUCCESS, directly SUCCESS SUCCESS",
		"s:worse: FAILURE, directly SUCCESS; got 502",
	}
	if diff := cmp.Diff(want, differences(direct, through)); diff != "" {
		t.Error(diff)
	}
	if got := differences(direct, direct); got != nil {
		t.Errorf("a run differs from itself: %q", got)
	}
}
