// Package checks says of a deployed stack whether it is what Bindery rests on:
// what API Gateway does with challenges and streams, what roles and keys and
// tables deny, what is kept and watched. Each check has a name, what it proves,
// and what to do if it fails; docs/not-verified.md says which assumption it settles.
//
// It deploys nothing, changes nothing and keeps nothing: a check that needs a
// right it does not have, a token or a server that it was not given is left out
// and says why. It never prints a token, a body, or what AWS says beside its code.
package checks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"bindery/shared/awsfault"
)

// Check is one thing that is looked at.
type Check struct {
	Name   string
	Proves string
	Next   string // what to do if it fails
	run    func(context.Context, *Subject) (string, error)
}

// State is how a check ended.
type State string

// How a check ends.
const (
	OK      State = "ok"
	Failed  State = "FAILED"
	LeftOut State = "left out"
)

// Result is what one check found.
type Result struct {
	Check
	State State
	Says  string
}

// leftOut is the reason for which a check could not be made.
type leftOut string

func (l leftOut) Error() string { return string(l) }

// All gives every check in the order in which they run.
func All() []Check {
	return slices.Concat(stackChecks(), frontChecks(), callChecks(), roleChecks(), dataChecks(), runChecks(), restoreChecks())
}

// Run runs checks, writes a line for each as it ends, and one at the end. An error
// means that one failed, or that none of them could say anything.
func Run(ctx context.Context, s *Subject, list []Check, out io.Writer) ([]Result, error) {
	counts := map[State]int{}
	var results []Result
	for _, c := range list {
		r := c.result(ctx, s)
		counts[r.State]++
		results = append(results, r)
		fmt.Fprintf(out, "%-8s  %-21s  %s\n", r.State, r.Name, r.Says)
		if r.State == Failed {
			fmt.Fprintf(out, "%-8s  %-21s  proves: %s\n%-8s  %-21s  next: %s\n", "", "", r.Proves, "", "", r.Next)
		}
	}
	fmt.Fprintf(out, "smoke: %d ok, %d failed, %d left out\n", counts[OK], counts[Failed], counts[LeftOut])
	switch {
	case counts[Failed] > 0:
		return results, fmt.Errorf("%d of %d checks failed", counts[Failed], len(list))
	case counts[OK] == 0:
		return results, errors.New("every check was left out: nothing was looked at")
	}
	return results, nil
}

func (c Check) result(ctx context.Context, s *Subject) Result {
	says, err := c.run(ctx, s)
	var reason leftOut
	switch {
	case errors.As(err, &reason):
		return Result{c, LeftOut, string(reason)}
	case err != nil:
		return Result{c, Failed, err.Error()}
	}
	return Result{c, OK, says}
}

// asked gives the error of a request to AWS: what was asked, and the code. What
// the operator may not ask is left out, because it says nothing about the stack.
func asked(doing string, err error) error {
	switch fault := awsfault.Of(err); {
	case err == nil:
		return nil
	case strings.HasPrefix(fault.Code, "AccessDenied"), fault.Code == "UnauthorizedOperation", fault.Code == "AuthorizationError":
		return leftOut("your own rights do not suffice to " + doing)
	case fault.Code != "":
		return fmt.Errorf("%s: AWS says %s", doing, fault.Code)
	default:
		return fmt.Errorf("%s: AWS did not answer, or there are no credentials to ask with", doing)
	}
}

// together joins findings into one error, or none.
func together(findings []string) error {
	if len(findings) == 0 {
		return nil
	}
	return errors.New(strings.Join(findings, "; "))
}
