//go:build e2e && !nonode

package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"

	"bindery/shared/brokertest/enforce"
	"bindery/shared/brokertest/template"
)

// usedElsewhere are rights that nothing here needs, with who does.
var usedElsewhere = map[string]string{}

// rightsUnneeded are rights of the functions that calls pass through which no call
// of all these tests needed: each is wider than it has to be, or tested nowhere.
func rightsUnneeded() ([]string, error) {
	key := "arn:aws:kms:" + template.Region + ":" + template.AccountID + ":key/values"
	found, err := shared.tally.Unneeded(enforce.Deployment{Environment: "e2e", ValuesKey: key}, "proxy", "admin", "callback")
	return slices.DeleteFunc(found, func(right string) bool { return usedElsewhere[right] != "" }), err
}

// checkRights ends a run of all tests: one of a few says nothing about rights.
func checkRights(code int) int {
	if code != 0 || flag.Lookup("test.run").Value.String() != "" {
		return code
	}
	unneeded, err := rightsUnneeded()
	for _, right := range unneeded {
		fmt.Fprintln(os.Stderr, "--- FAIL: no call needed the right", right)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "--- FAIL:", err)
	}
	if err != nil || len(unneeded) > 0 {
		return 1
	}
	return code
}
