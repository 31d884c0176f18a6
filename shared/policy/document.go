package policy

import (
	"slices"
	"strings"
)

// Allows is what a call gets that no policy objects to.
const Allows Effect = "allow"

// Report says what a text of policies on calls holds, and how its tests went.
type Report struct {
	Policies []PolicyLine `json:"policies"`
	Tests    []TestLine   `json:"tests"`
}

// PolicyLine is one policy.
type PolicyLine struct {
	ID        string `json:"id"`
	Effect    Effect `json:"effect"`    // Forbids or Demands
	Arguments bool   `json:"arguments"` // whether it reads arguments
}

// TestLine is one test.
type TestLine struct {
	Name     string   `json:"name"`
	Expected Effect   `json:"expected"`
	Got      Effect   `json:"got"`
	Policies []string `json:"policies"` // that decided, in order
	Passed   bool     `json:"passed"`
}

// Passed says whether all tests passed.
func (r Report) Passed() bool {
	return !slices.ContainsFunc(r.Tests, func(t TestLine) bool { return !t.Passed })
}

// CheckDocument compiles policies on calls and runs the tests that belong to
// them, by the code that judges calls. A test that fails is no error: the
// report says it. Errors wrap broker.ErrInvalid, and repeat neither text nor
// tests.
func CheckDocument(text, tests string) (Report, error) {
	set, err := CompileCalls([]byte(text))
	if err != nil {
		return Report{}, err
	}
	all, err := parseTests([]byte(tests))
	if err != nil {
		return Report{}, err
	}
	report := Report{Policies: set.lines(), Tests: make([]TestLine, len(all))}
	for i, t := range all {
		report.Tests[i] = t.run(set)
	}
	return report, nil
}

func (s *CallSet) lines() []PolicyLine {
	lines := make([]PolicyLine, 0, len(s.plain)+len(s.arguing))
	for _, list := range []inOrder{s.plain, s.arguing} {
		for _, p := range list {
			line := PolicyLine{ID: p.id, Effect: Forbids, Arguments: len(lines) >= len(s.plain)}
			if s.demands[p.id] {
				line.Effect = Demands
			}
			lines = append(lines, line)
		}
	}
	slices.SortFunc(lines, func(a, b PolicyLine) int { return strings.Compare(a.ID, b.ID) })
	return lines
}
