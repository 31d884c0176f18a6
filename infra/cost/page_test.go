package cost_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/infra/cost"
	"bindery/shared/telemetry"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/cost.md and the figure in README.md")

const root = "../../"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func world(t *testing.T) (cost.Prices, cost.Measured, cost.Stack) {
	t.Helper()
	p, err := cost.ReadPrices([]byte(read(t, "../prices.json")))
	if err != nil {
		t.Fatal(err)
	}
	m, err := cost.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readStack(root + "template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.Metrics = len(telemetry.Metrics())
	return p, m, s
}

// TestThePageSaysWhatCallsCost: every table of docs/cost.md and the line in
// README.md follow from prices, measurements and template.
func TestThePageSaysWhatCallsCost(t *testing.T) {
	p, m, s := world(t)
	for file, tables := range map[string]map[string]string{"docs/cost.md": cost.Tables(p, m, s), "README.md": {"cost": cost.Line(p, m, s)}} {
		page := read(t, root+file)
		want := page
		for name, table := range tables {
			place := regexp.MustCompile(fmt.Sprintf(`(?s)(<!-- cost: %s -->\n?).*?(<!-- /cost -->)`, name))
			if !place.MatchString(want) {
				t.Errorf("%s has no place for %s", file, name)
			}
			want = place.ReplaceAllStringFunc(want, func(old string) string {
				at := place.FindStringSubmatch(old)
				return at[1] + table + at[2]
			})
		}
		if diff := cmp.Diff(page, want); diff != "" && *update {
			if err := os.WriteFile(root+file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff != "" {
			t.Errorf("%s is no longer true: go test ./infra/cost -update (-page +true):\n%s", file, diff)
		}
	}
}

// TestEveryModeHasBeenMeasured, and what was measured is what is asserted.
func TestEveryModeHasBeenMeasured(t *testing.T) {
	_, m, s := world(t)
	notMeasured := map[cost.Mode]bool{cost.SessionCold: true, cost.SessionFirst: true, cost.PolicyCold: true}
	for mode, trip := range cost.Trips() {
		use, measured := m.Modes[mode]
		if measured == notMeasured[mode] {
			t.Errorf("%s: measured is %v", mode, measured)
		}
		if !measured {
			continue
		}
		if diff := cmp.Diff(trip.Requests, use.Requests); diff != "" || trip.Rounds != use.Rounds {
			t.Errorf("%s: %d rounds, want %d; requests (-asserted +measured):\n%s", mode, use.Rounds, trip.Rounds, diff)
		}
	}
	if s.AccessLog < 200 || s.Methods < 10 || s.Runs < 2*43800 {
		t.Errorf("the template was read as %+v", s)
	}
}

// TestAPriceWithoutASourceIsNone.
func TestAPriceWithoutASourceIsNone(t *testing.T) {
	text := read(t, "../prices.json")
	for what, change := range map[string][2]string{
		"no source":    {`"source": "wring.co/blog/aws-lambda-pricing-guide"`, `"source": ""`},
		"no number":    {`"usd": 3.50`, `"usd": 0`},
		"another name": {`"rest_api_request"`, `"rest_api_requests"`},
		"a new member": {`"region"`, `"zone": "a", "region"`},
	} {
		if _, err := cost.ReadPrices([]byte(strings.Replace(text, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: it was read", what)
		}
	}
	if _, err := cost.ReadPrices([]byte(text)); err != nil {
		t.Error(err)
	}
}
