package checks

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestAlarmsThatTellNobody: one that nobody hears is none.
func TestAlarmsThatTellNobody(t *testing.T) {
	const fire = stackName + "-Denials"
	for name, c := range map[string]struct {
		breaks func(*account)
		says   string
	}{
		"fine":         {func(*account) {}, ""},
		"switched off": {func(a *account) { a.alarms[fire].ActionsEnabled = aws.Bool(false) }, fire + " is switched off"},
		"no action":    {func(a *account) { a.alarms[fire].AlarmActions = nil }, fire + " tells nobody"},
		"gone":         {func(a *account) { delete(a.alarms, fire) }, fire + " does not exist"},
		"unconfirmed":  {func(a *account) { a.confirmed = "0" }, "nobody has confirmed"},
	} {
		a := deployed(t, "https://mcp.example.com")
		c.breaks(a)
		r := result(t, a.subject(t, Given{}), "alarms")
		if want := map[bool]State{true: OK, false: Failed}[c.says == ""]; r.State != want || !strings.Contains(r.Says, c.says) {
			t.Errorf("%s: %s: %s", name, r.State, r.Says)
		}
	}
}

// TestAlarmsWithoutATopic are a choice, unless there are none.
func TestAlarmsWithoutATopic(t *testing.T) {
	a := deployed(t, "https://mcp.example.com")
	s := a.subject(t, Given{})
	delete(s.Parameters, "AlarmTopicArn")
	for _, alarm := range a.alarms {
		alarm.AlarmActions = nil
	}
	if r := result(t, s, "alarms"); r.State != LeftOut || !strings.Contains(r.Says, "tell nobody") {
		t.Errorf("%s: %s", r.State, r.Says)
	}
	delete(a.alarms, stackName+"-Denials")
	if r := result(t, s, "alarms"); r.State != Failed {
		t.Errorf("%s: %s", r.State, r.Says)
	}
}
