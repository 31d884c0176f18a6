package policy

import (
	"errors"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestFaultyPoliciesOnCallsAreRefused by line, column and rule; CANARY is never
// repeated.
func TestFaultyPoliciesOnCallsAreRefused(t *testing.T) {
	const first = `@id("first") forbid (principal, action, resource) when { principal.subject == "" };` + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"permit":                       {`@id("second") permit (principal, action, resource);`, "can only forbid"},
		"permit that demands":          {`@id("second") @demand("approval") permit (principal, action, resource);`, "can only forbid"},
		"no id":                        {`forbid (principal, action, resource);`, "no @id"},
		"same id":                      {first, "this id too"},
		"other demand":                 {`@id("second") @demand("CANARY") forbid (principal, action, resource);`, "all that can be demanded"},
		"demand of nothing":            {`@id("second") @demand forbid (principal, action, resource);`, "all that can be demanded"},
		"demand in capitals":           {`@id("second") @demand("Approval") forbid (principal, action, resource);`, "all that can be demanded"},
		"other annotation":             {`@id("second") @CANARY("x") forbid (principal, action, resource);`, "the only annotations"},
		"annotation of another case":   {`@id("second") @Demand("approval") forbid (principal, action, resource);`, "the only annotations"},
		"third annotation":             {`@id("second") @demand("approval") @CANARY("x") forbid (principal, action, resource);`, "the only annotations"},
		"context compared":             {onCall("second", `context == {}`), "by name only"},
		"context in a record":          {onCall("second", `{a: context}.a.arguments.x == 1`), "by name only"},
		"context chosen":               {onCall("second", `(if true then context else context).tool == "x"`), "by name only"},
		"context in a set":             {onCall("second", `[context].contains({})`), "by name only"},
		"arguments of any action":      {anyCall("second", `context.arguments.x == 1`), "says so in its head"},
		"arguments asked of any":       {anyCall("second", `context has arguments && context.arguments.x == 1`), "says so in its head"},
		"arguments by brackets":        {anyCall("second", `context["arguments"].x == 1`), "says so in its head"},
		"arguments of a list":          {strings.Replace(onCall("second", `context.arguments.x == 1`), `"call_tool"`, `"list"`, 1), "says so in its head"},
		"arguments of a list too":      {strings.Replace(onCall("second", `context.arguments.x == 1`), `== Action::"call_tool"`, `in [Action::"call_tool", Action::"list"]`, 1), "says so in its head"},
		"arguments of no action":       {strings.Replace(onCall("second", `context.arguments.x == 1`), `== Action::"call_tool"`, `in []`, 1), "says so in its head"},
		"actions of another type":      {strings.Replace(onCall("second", `context.arguments.x == 1`), `Action::"call`, `CANARY::"call`, 1), "says so in its head"},
		"unknown action":               {strings.Replace(onCall("second", "true"), "call_tool", "CANARY", 1), "no such action"},
		"administer":                   {strings.Replace(onCall("second", "true"), "call_tool", "administer", 1), "no such action"},
		"unknown type":                 {`@id("second") forbid (principal is CANARY, action, resource);`, "no such entity type"},
		"tool of any action":           {anyCall("second", `context.tool == "x"`), "no such attribute"},
		"optional":                     {onCall("second", `principal.email == "x"`), "an optional attribute is read"},
		"tag":                          {onCall("second", `principal.getTag("CANARY") == "x"`), "a tag is read"},
		"tag of a server":              {onCall("second", `resource.getTag("CANARY") == "x"`), "a tag is read"},
		"group of a string":            {onCall("second", `principal.groups == "CANARY"`), "does not agree"},
		"beside arguments, attribute":  {onCall("second", `context.arguments.x == 1 && principal.CANARY == "x"`), "no such attribute"},
		"beside arguments, context":    {onCall("second", `context.arguments.x == 1 && context.CANARY == "x"`), "no such attribute"},
		"beside arguments, binding":    {onCall("second", `context.arguments.x == 1 && context.binding.CANARY == "x"`), "no such attribute"},
		"beside arguments, agent":      {onCall("second", `context.arguments.x == 1 && context.agent.team == "x"`), "an optional attribute is read"},
		"beside arguments, other has":  {onCall("second", `context.arguments has agent && context.agent.team == "x"`), "an optional attribute is read"},
		"beside arguments, type":       {onCall("second", `context.arguments.x == 1 && context.tool > 1`), "wrong type"},
		"beside arguments, is":         {onCall("second", `context.arguments.x == 1 && principal is CANARY`), "no such entity type"},
		"is":                           {onCall("second", `principal is CANARY`), "no such entity type"},
		"is of arguments":              {onCall("second", `context.arguments.x is CANARY`), "no such entity type"},
		"action asked for":             {anyCall("second", `action == Action::"CANARY"`), "no such action"},
		"is in":                        {onCall("second", `principal is CANARY in Server::"x"`), "no such entity type"},
		"beside arguments, entity":     {onCall("second", `context.arguments.x == 1 && principal == CANARY::"x"`), "no such entity type"},
		"compared with arguments":      {onCall("second", `context.arguments.x == principal.CANARY`), "no such attribute"},
		"compared optional":            {onCall("second", `context.arguments.x == principal.email`), "an optional attribute is read"},
		"within a set with arguments":  {onCall("second", `[context.arguments.x, context.CANARY].contains("x")`), "no such attribute"},
		"within an if with arguments":  {onCall("second", `(if context.arguments.x then context.tool else context.CANARY) == "x"`), "no such attribute"},
		"if of arguments":              {onCall("second", `if context.arguments.x == 1 then principal.CANARY == "x" else true`), "no such attribute"},
		"not of arguments":             {onCall("second", `!(context.arguments.x == 1 || principal.CANARY == "x")`), "no such attribute"},
		"name by arguments":            {onCall("second", `principal.hasTag(context.arguments.x) && principal.CANARY == "x"`), "no such attribute"},
		"extension beside arguments":   {onCall("second", `context.arguments.x.lessThan(decimal("CANARY"))`), "an extension function"},
		"unless":                       {strings.Replace(onCall("second", `context.arguments.x == principal.CANARY`), "when", "unless", 1), "no such attribute"},
		"second condition":             {strings.Replace(onCall("second", `context.arguments.x == 1`), "};", `} when { principal.CANARY == "x" };`, 1), "no such attribute"},
		"arguments that are no record": {onCall("second", `context.arguments == principal.CANARY`), "no such attribute"},
	} {
		set, err := CompileCalls([]byte(first + c.text))
		if set != nil || !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "line 2, column 1: ") {
			t.Errorf("%s: error %v repeats the text or says no line", name, err)
		}
	}
}
