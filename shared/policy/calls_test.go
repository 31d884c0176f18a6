package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func compiledCalls(t testing.TB, text string) *CallSet {
	t.Helper()
	s, err := CompileCalls([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// onCall is a policy for call_tool with this condition.
func onCall(id, condition string) string {
	return `@id("` + id + `") forbid (principal, action == Action::"call_tool", resource) when { ` + condition + " };\n"
}

// demandOnCall is one that demands an approval.
func demandOnCall(id, condition string) string {
	return strings.Replace(onCall(id, condition), "forbid", `@demand("approval") forbid`, 1)
}

// anyCall is a policy for every action.
func anyCall(id, condition string) string {
	return `@id("` + id + `") forbid (principal, action, resource) when { ` + condition + " };\n"
}

// question is a call of tool pay of server bank.
func question(arguments string) broker.Question {
	return broker.Question{
		Call: &broker.Call{
			Route: broker.Route{Environment: "prod", Server: "bank"},
			Principal: broker.Principal{
				ID: "p-ada", Kind: broker.User, Issuer: "https://idp.example", Subject: "ada", Email: "ada@example.com",
				Groups: []string{"finance", "eng"}, Attributes: map[string]string{"department": "finance"}, Agent: "idp:bot",
			},
			Action: broker.CallTool, Method: "tools/call", Target: "pay", Era: "2026-07-28", Arguments: []byte(arguments),
		},
		Server:  &broker.Server{Environment: "prod", Name: "bank", Owner: "team-bank"},
		Binding: &broker.Binding{Name: "bank-eng", Mode: broker.ServiceAccount, Owner: "team-bank", Version: 7},
		Agent:   &broker.Agent{ID: "idp:bot", Team: "team-bots", Ceiling: broker.High},
		Tool:    &broker.Tool{Name: "pay", State: broker.Active, Owner: "team-pay", Risk: broker.High},
	}
}

// said is a judgement in one line.
func said(j broker.Judgement) string {
	switch {
	case len(j.Forbidding) > 0:
		return "forbid " + strings.Join(j.Forbidding, " ")
	case len(j.Demanding) > 0:
		return "approval " + strings.Join(j.Demanding, " ")
	}
	return "allow"
}

// TestWhatPoliciesRead: each part of a question is found under its name.
func TestWhatPoliciesRead(t *testing.T) {
	all := map[string]string{
		"principal":   `principal == User::"p-ada" && principal is User`,
		"groups":      `principal.groups.contains("finance") && !principal.groups.contains("ops")`,
		"issuer":      `principal.issuer == "https://idp.example" && principal.subject == "ada"`,
		"email":       `principal has email && principal.email == "ada@example.com"`,
		"attribute":   `principal.hasTag("department") && principal.getTag("department") == "finance" && !principal.hasTag("title")`,
		"server":      `resource == Server::"bank" && resource.owner == "team-bank" && resource.environment == "prod"`,
		"tool":        `context.tool == "pay" && context.risk == "high" && context has tool_owner && context.tool_owner == "team-pay"`,
		"call":        `context.method == "tools/call" && context.era == "2026-07-28"`,
		"binding":     `context.binding.name == "bank-eng" && context.binding.mode == "service_account" && context.binding.version == 7`,
		"agent":       `context has agent && context.agent.id == "idp:bot" && context.agent.team == "team-bots" && context.agent.ceiling == "high"`,
		"arguments":   `context.arguments.to == "x" && context.arguments.amount == 5 && context.arguments has to`,
		"nested":      `context.arguments has where.city && context.arguments.where.city == "Ulm" && context.arguments["a b"].contains("c")`,
		"with others": `context.arguments.to == "x" && (if context has agent then context.agent.team == "team-bots" else false)`,
		"in a leaf":   `context has agent && [context.agent.team, context.arguments.to].contains("x")`,
		"address":     `ip(context.arguments.host).isInRange(ip("10.0.0.0/8"))`,
	}
	q := question(`{"to":"x","amount":5,"where":{"city":"Ulm"},"a b":["c"],"host":"10.1.2.3"}`)
	for name, condition := range all {
		if got := said(compiledCalls(t, onCall("no", condition)).Judge(q)); got != "forbid no" {
			t.Errorf("%s: %s, want it to match", name, got)
		}
		if got := said(compiledCalls(t, onCall("no", "!("+condition+")")).Judge(q)); got != "allow" {
			t.Errorf("not %s: %s", name, got)
		}
	}
	bare := question("")
	bare.Agent, bare.Tool, bare.Call.Principal.Email = nil, nil, ""
	condition := `context.risk == "critical" && !(context has agent) && !(context has tool_owner) && !(principal has email) && context.arguments == {}`
	if got := said(compiledCalls(t, onCall("no", condition)).Judge(bare)); got != "forbid no" {
		t.Errorf("without agent, tool record and e-mail: %s", got)
	}
}

// TestEveryActionIsAsked under its own name, and its target under the name that
// fits. The request has the schema's shape.
func TestEveryActionIsAsked(t *testing.T) {
	schema := schemaOf(t, string(callsSchema))
	for action, condition := range map[broker.Action]string{
		broker.CallTool:     `context.tool == "x"`,
		broker.GetPrompt:    `context.prompt == "x"`,
		broker.ReadResource: `context.resource == "x"`,
		broker.List:         `context.method == "m"`,
		broker.Initialize:   `context.method == "m"`,
		broker.Notify:       `context.method == "m"`,
		broker.Respond:      `context.method == "m"`,
		broker.Stream:       `context.method == "m"`,
	} {
		for _, kind := range []broker.Kind{broker.User, broker.Workload} {
			q := question("")
			q.Call.Action, q.Call.Method, q.Call.Target, q.Call.Principal.Kind = action, "m", "x", kind
			text := strings.Replace(onCall("no", condition), "call_tool", string(action), 1)
			if got := said(compiledCalls(t, text).Judge(q)); got != "forbid no" {
				t.Errorf("%s: %s", action, got)
			}
			if a, ok := ask(q); !ok || !schema.fits(a.request, a.entities) {
				t.Errorf("%s of a %s has not the schema's shape", action, kind)
			}
		}
	}
}

// TestJudgements: a forbid outweighs a demand, an error forbids, and a policy
// that demands forbids where it cannot be evaluated.
func TestJudgements(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no policy":            {"", "allow"},
		"none matches":         {onCall("a", "false") + demandOnCall("b", "false"), "allow"},
		"forbid":               {onCall("b", "true") + onCall("a", "true") + onCall("c", "false"), "forbid a b"},
		"demand":               {demandOnCall("b", "true") + demandOnCall("a", "context.arguments.n == 1"), "approval a b"},
		"both":                 {demandOnCall("a", "true") + onCall("b", "context.arguments.n == 1"), "forbid b"},
		"error":                {onCall("a", "context.arguments.missing == 1"), "forbid a"},
		"error of a demand":    {demandOnCall("a", "context.arguments.missing == 1") + demandOnCall("b", "true"), "forbid a"},
		"type":                 {onCall("a", `context.arguments.s > 1`), "forbid a"},
		"overflow":             {onCall("a", "context.binding.version + 9223372036854775807 > 0"), "forbid a"},
		"of another action":    {strings.Replace(onCall("a", "context.arguments.missing == 1"), "call_tool", "get_prompt", 1), "allow"},
		"of another server":    {strings.Replace(onCall("a", "context.arguments.missing == 1"), "resource)", `resource == Server::"other")`, 1), "allow"},
		"of another caller":    {strings.Replace(onCall("a", "context.arguments.missing == 1"), "principal,", `principal is Workload,`, 1), "allow"},
		"unless":               {strings.Replace(onCall("a", "context.arguments.n == 2"), "when", "unless", 1), "forbid a"},
		"unless with error":    {strings.Replace(onCall("a", "context.arguments.missing == 2"), "when", "unless", 1), "forbid a"},
		"asked for, not there": {onCall("a", "context.arguments has missing && context.arguments.missing == 1"), "allow"},
	} {
		j := compiledCalls(t, c.text).Judge(question(`{"n":1,"s":"x"}`))
		if got := said(j); got != c.want || len(j.Forbidding) > 0 && len(j.Demanding) > 0 {
			t.Errorf("%s: %s, and demanding %v, want %s", name, got, j.Demanding, c.want)
		}
	}
}

// TestQuestionsThatCannotBeToldAreForbiddenByAll policies of the set.
func TestQuestionsThatCannotBeToldAreForbiddenByAll(t *testing.T) {
	set := compiledCalls(t, demandOnCall("a", "false")+onCall("b", "context.arguments.n == 2")+anyCall("c", "false"))
	if got := said(set.Judge(question(`{"n":1}`))); got != "allow" {
		t.Fatalf("the good question: %s", got)
	}
	for name, change := range map[string]func(*broker.Question){
		"no call":           func(q *broker.Question) { q.Call = nil },
		"no server":         func(q *broker.Question) { q.Server = nil },
		"no binding":        func(q *broker.Question) { q.Binding = nil },
		"no kind":           func(q *broker.Question) { q.Call.Principal.Kind = "" },
		"kind":              func(q *broker.Question) { q.Call.Principal.Kind = "Server" },
		"no action":         func(q *broker.Question) { q.Call.Action = "" },
		"action":            func(q *broker.Question) { q.Call.Action = broker.Administer },
		"tool not in UTF-8": func(q *broker.Question) { q.Call.Target = "pay\xff" },
		"group":             func(q *broker.Question) { q.Call.Principal.Groups = []string{"\xff"} },
		"attribute":         func(q *broker.Question) { q.Call.Principal.Attributes = map[string]string{"\xff": ""} },
		"too many groups":   func(q *broker.Question) { q.Call.Principal.Groups = make([]string, MaxValues) },
	} {
		for _, listed := range []bool{false, true} {
			q := question(`{"n":1}`)
			q.Listed = listed
			change(&q)
			if got := said(set.Judge(q)); got != "forbid a b c" {
				t.Errorf("%s, listed %t: %s, want it forbidden", name, listed, got)
			}
		}
	}
}

// TestListsAskNothingOfArguments: an element is shown unless it is forbidden
// with any arguments.
func TestListsAskNothingOfArguments(t *testing.T) {
	set := compiledCalls(t, onCall("a", `context.arguments.n == 1`)+onCall("b", `context.tool == "drop"`)+demandOnCall("c", `context.tool == "ask"`))
	for target, want := range map[string]string{"pay": "allow", "drop": "forbid b", "ask": "approval c"} {
		q := question("not JSON")
		q.Listed, q.Call.Target = true, target
		if got := said(set.Judge(q)); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// TestClosedToolsCountAsUnknown: what a row says that is not in force says
// nothing.
func TestClosedToolsCountAsUnknown(t *testing.T) {
	set := compiledCalls(t, onCall("a", `context.risk == "critical" && !(context has tool_owner)`))
	for i, tool := range []*broker.Tool{
		nil, {Name: "pay", State: broker.Deleted, Owner: "x", Risk: broker.Low}, {Name: "pay", State: broker.Active}, {State: broker.Active, Risk: 99},
	} {
		q := question("")
		q.Tool = tool
		if got := said(set.Judge(q)); got != "forbid a" {
			t.Errorf("tool %d: %s", i, got)
		}
	}
}

// TestQuestionsAreLeftAsTheyAre, and judged the same each time.
func TestQuestionsAreLeftAsTheyAre(t *testing.T) {
	var text strings.Builder
	for i := range 20 {
		text.WriteString(onCall(fmt.Sprintf("p-%02d", 19-i), fmt.Sprintf("context.arguments.missing == %d", i)))
	}
	set, q := compiledCalls(t, text.String()), question(`{"n":1}`)
	first := set.Judge(q)
	if diff := cmp.Diff(first, set.Judge(q)); diff != "" || len(first.Forbidding) != 20 || first.Forbidding[0] != "p-00" {
		t.Errorf("%v (-first +second):\n%s", first.Forbidding, diff)
	}
	if diff := cmp.Diff(question(`{"n":1}`), q, cmp.AllowUnexported(broker.Reference{})); diff != "" {
		t.Error(diff)
	}
}
