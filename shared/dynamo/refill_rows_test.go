package dynamo

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// nothingHappened is a history without a word.
type nothingHappened struct{}

func (nothingHappened) Changed(_ string, version int64) (int64, bool) { return version, false }
func (nothingHappened) GrantMoved(string, string) bool                { return false }
func (nothingHappened) ValueMoved(string) (int64, bool)               { return 0, false }

func TestARotationThatWasUnderWayDoesNotComeBack(t *testing.T) {
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	for _, step := range []broker.RotationStep{broker.RotationOrdered, broker.RotationMade, broker.RotationTried, broker.RotationInUse, broker.RotationOver,
		broker.RotationUndoing, broker.RotationUndone, broker.RotationAbandoned, "unheard-of", ""} {
		for _, pk := range []string{"rotation/prod/reference%2Faws-sm:prod%2Fa", "rotations/prod"} {
			p := granted(attributes{"pk": text(pk), "sk": text("run/01K"), "subject": text("reference/aws-sm:prod/a"), "step": text(string(step))}, nothingHappened{})
			if back := p.leftOut == ""; back != step.Ended() {
				t.Errorf("%s at step %q comes back: %v", pk, step, back)
			}
		}
	}
}

func TestRowsOfOtherEnvironmentsAndReleasesAreLeftAlone(t *testing.T) {
	row := func(pk, environment, schema string) attributes {
		a := attributes{"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: "x"}, "schema": &types.AttributeValueMemberN{Value: schema}}
		if environment != "" {
			a["environment"] = &types.AttributeValueMemberS{Value: environment}
		}
		return a
	}
	for name, c := range map[string]struct {
		row         attributes
		mine, known bool
	}{
		"by its attribute":            {row("agent/prod", "prod", "1"), true, true},
		"an entry, by its key":        {row("servers/prod", "", "1"), true, true},
		"a copy":                      {row("env/prod#3", "", "1"), true, true},
		"of another":                  {row("agent/dev", "dev", "1"), false, true},
		"of another, by its key":      {row("servers/dev", "", "1"), false, true},
		"of one whose name begins so": {row("servers/prod-2", "", "1"), false, true},
		"of a later release":          {row("agent/prod", "prod", "2"), true, false},
		"of none":                     {attributes{"pk": &types.AttributeValueMemberS{Value: "agent/prod"}}, false, false},
	} {
		if belongs(c.row, "prod") != c.mine || known(c.row) != c.known {
			t.Errorf("%s: belongs %v, known %v", name, belongs(c.row, "prod"), known(c.row))
		}
	}
	if strings.Join(partsOf("tool/a%2Fb/c#1"), "|") != "tool|a/b|c" {
		t.Error("keys are not taken apart as they were put together")
	}
}
