package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Statuses of a check that count. Others are "WARNING", "SKIPPED" and "INFO".
const (
	success = "SUCCESS"
	failure = "FAILURE"
)

// check is one finding of the suite.
type check struct {
	Scenario string `json:"-"`
	ID       string `json:"id"`
	Status   string `json:"status"`
	Error    string `json:"errorMessage"`
}

// name is how the list of expected failures names a check. A scenario may
// report one name more than once.
func (c check) name() string { return c.Scenario + ":" + c.ID }

func count(checks []check, status string) (n int) {
	for _, c := range checks {
		if c.Status == status {
			n++
		}
	}
	return n
}

var (
	resultFolder = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)
	totals       = regexp.MustCompile(`(?m)^Total: (\d+) passed, (\d+) failed$`)
	crashed      = regexp.MustCompile(`(?m)^Failed to run scenario ([\w.-]+):`)
)

var errNoCounts = errors.New("the suite gave no counts")

// readResults reads what one run of the suite left in a folder, and holds it
// against the totals at the end of what the suite said: a scenario whose results
// were lost is no success.
func readResults(folder fs.FS, said string) ([]check, error) {
	total := totals.FindStringSubmatch(said)
	if total == nil {
		return nil, errNoCounts
	}
	files, err := fs.Glob(folder, "*/checks.json")
	if err != nil {
		return nil, err
	}
	var all []check
	for _, file := range files {
		named := resultFolder.FindStringSubmatch(path.Dir(file))
		if named == nil {
			return nil, fmt.Errorf("%s is no folder of the suite's results", path.Dir(file))
		}
		checks, err := readChecks(folder, file, named[1])
		if err != nil {
			return nil, err
		}
		all = append(all, checks...)
	}
	for _, m := range crashed.FindAllStringSubmatch(said, -1) {
		all = append(all, check{m[1], m[1], failure, "the scenario crashed: see the log"})
	}
	passed, _ := strconv.Atoi(total[1])
	failed, _ := strconv.Atoi(total[2])
	if passed != count(all, success) || failed != count(all, failure) {
		return nil, fmt.Errorf("the suite counts %d passed and %d failed, its results hold %d and %d",
			passed, failed, count(all, success), count(all, failure))
	}
	if passed+failed == 0 {
		return nil, errNoCounts
	}
	return all, nil
}

func readChecks(folder fs.FS, file, scenario string) ([]check, error) {
	text, err := fs.ReadFile(folder, file)
	if err != nil {
		return nil, err
	}
	var checks []check
	if err := json.Unmarshal(text, &checks); err != nil {
		return nil, fmt.Errorf("the results of %s: %w", scenario, err)
	}
	for i := range checks {
		if checks[i].Scenario = scenario; checks[i].ID == "" || checks[i].Status == "" {
			return nil, fmt.Errorf("the results of %s: a check without id or status", scenario)
		}
	}
	return checks, nil
}

// parseExpected reads the list of known failures: a revision and
// scenario:check on each line. The suite's own form of such a list cannot be
// used: where the suite runs by revision, it overlooks entries of scenarios that
// it does not score, and entries that name nothing.
func parseExpected(text string) (map[string]bool, error) {
	known := revisions()
	list := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, what, _ := strings.Cut(line, " ")
		scenario, id, _ := strings.Cut(what, ":")
		if scenario == "" || id == "" || strings.ContainsAny(what, " \t") {
			return nil, fmt.Errorf("expected failures: %q is no REVISION SCENARIO:CHECK", line)
		}
		if !slices.ContainsFunc(known, func(r revision) bool { return r.name == name }) {
			return nil, fmt.Errorf("expected failures: %q: no such revision is tested", line)
		}
		if list[line] {
			return nil, fmt.Errorf("expected failures: %q is listed twice", line)
		}
		list[line] = true
	}
	return list, nil
}

// judge holds the direct run to what is known of the everything-server: how
// many checks it passes, and which it fails. An entry of the list that does not
// fail any more is as wrong as a failure that is not listed.
func judge(r revision, direct []check, expected map[string]bool) (wrong []string) {
	if passed := count(direct, success); passed != r.passed {
		wrong = append(wrong, fmt.Sprintf("direct: %d checks passed, and %d should", passed, r.passed))
	}
	failed := map[string]bool{}
	for _, c := range direct {
		entry := r.name + " " + c.name()
		if c.Status == failure && !expected[entry] && !failed[entry] {
			wrong = append(wrong, fmt.Sprintf("direct: %s fails and is not in the list of expected failures: %s", c.name(), c.Error))
		}
		failed[entry] = failed[entry] || c.Status == failure
	}
	for _, entry := range slices.Sorted(maps.Keys(expected)) {
		if strings.HasPrefix(entry, r.name+" ") && !failed[entry] {
			wrong = append(wrong, fmt.Sprintf("direct: %q is stale: it does not fail; take it from the list of expected failures", entry))
		}
	}
	return wrong
}

// differences lists each check that does not end through Bindery as it ends
// directly. One that passes only through Bindery is told too: something other
// than the everything-server answered.
func differences(direct, through []check) (list []string) {
	was, is := byName(direct), byName(through)
	names := slices.Sorted(maps.Keys(was))
	for name := range is {
		if was[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		before, now := statuses(was[name]), statuses(is[name])
		if before == now {
			continue
		}
		line := fmt.Sprintf("%s: %s, directly %s", name, now, before)
		for _, c := range is[name] {
			if c.Error != "" {
				line += "; " + c.Error
			}
		}
		list = append(list, line)
	}
	return list
}

func byName(checks []check) map[string][]check {
	named := map[string][]check{}
	for _, c := range checks {
		named[c.name()] = append(named[c.name()], c)
	}
	return named
}

// statuses is how the checks of one name ended, in an order that two runs share.
func statuses(checks []check) string {
	if len(checks) == 0 {
		return "not reported"
	}
	var list []string
	for _, c := range checks {
		list = append(list, c.Status)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
