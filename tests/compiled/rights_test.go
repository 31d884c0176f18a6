//go:build e2e

package compiled

import (
	"testing"

	"bindery/shared/brokertest/enforce"
)

// as gives settings with which a function asks under its own name, and gets what
// its role in the template allows. What is denied fails the test.
func (w *world) as(t *testing.T, function string, settings []string, parameters ...string) []string {
	t.Helper()
	rights := enforce.New(t, *w.AWS.BaseEndpoint, w.deployed(parameters...), nil)
	rights.Hold(t)
	return append(settings, "AWS_ENDPOINT_URL="+rights.URL, "AWS_ACCESS_KEY_ID="+function)
}

// deployed is what a stack with parameters (name, value, and so on) would be.
func (w *world) deployed(parameters ...string) enforce.Deployment {
	d := enforce.Deployment{Environment: environment, ValuesKey: w.Config.ValuesKey, Parameters: map[string]any{}}
	for i := 0; i+1 < len(parameters); i += 2 {
		d.Parameters[parameters[i]] = parameters[i+1]
	}
	return d
}
