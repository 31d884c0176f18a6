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
var usedElsewhere = map[string]string{
	"proxy WriteLog logs:CreateLogStream": lambdas, "proxy WriteLog logs:PutLogEvents": lambdas,
	"admin WriteLog logs:CreateLogStream": lambdas, "admin WriteLog logs:PutLogEvents": lambdas,
	"callback WriteLog logs:CreateLogStream": lambdas, "callback WriteLog logs:PutLogEvents": lambdas,
	"proxy WriteTrace xray:PutTelemetryRecords": lambdas, "proxy WriteTrace xray:PutTraceSegments": lambdas,
	"admin WriteTrace xray:PutTelemetryRecords": lambdas, "admin WriteTrace xray:PutTraceSegments": lambdas,
	"callback WriteTrace xray:PutTelemetryRecords": lambdas, "callback WriteTrace xray:PutTraceSegments": lambdas,

	"admin FindSessions dynamodb:Query":                        asked,
	"admin MoveBindings dynamodb:DeleteItem":                   asked,
	"admin OrderRotations dynamodb:GetItem":                    asked,
	"admin OrderRotations dynamodb:PutItem":                    asked,
	"admin OrderRotations dynamodb:Query":                      asked,
	"admin ReadCases dynamodb:Query":                           asked,
	"admin UseGrants dynamodb:Query":                           asked,
	"admin UseGrants dynamodb:UpdateItem":                      asked,
	"admin WakeRotation lambda:InvokeFunction":                 asked,
	"admin Revoke lambda:InvokeFunction":                       "tests/compiled: TestTheAdminFunctionInvokesTheRevocationFunction",
	"admin ReadRegistrations dynamodb:GetItem":                 "verifying a card whose provider Bindery has registered itself at",
	"callback ReadClientSecrets secretsmanager:GetSecretValue": "a login at an issuer, or tokens of a provider, that want a client's secret",
	"callback ShareIssuerKeys dynamodb:PutItem":                "the first login after the issuer's keys have changed; the proxy was there before",
}

const (
	lambdas = "Lambda writes them in the function's name"
	asked   = "tests/rights: TestTheFunctionsNeedTheirRights"
)

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
