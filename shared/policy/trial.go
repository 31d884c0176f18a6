package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"bindery/shared/broker"
)

// Limits of the tests of a set.
const (
	MaxTests     = 200
	MaxTestsText = 64 << 10
	maxTestName  = 200 // bytes
)

// callTest is one test, as it is written. What it leaves out is empty, but for
// the action, which is call_tool then, and the principal's kind, which is user.
type callTest struct {
	Name      string          `json:"name"`
	Principal testPrincipal   `json:"principal"`
	Agent     *testAgent      `json:"agent"`
	Action    broker.Action   `json:"action"`
	Server    testServer      `json:"server"`
	Binding   testBinding     `json:"binding"`
	Method    string          `json:"method"`
	Era       string          `json:"era"`
	Tool      string          `json:"tool"`
	Risk      string          `json:"risk"` // none: the tool has no record
	ToolOwner string          `json:"tool_owner"`
	Prompt    string          `json:"prompt"`
	Resource  string          `json:"resource"`
	Arguments json.RawMessage `json:"arguments"`
	Expect    Effect          `json:"expect"`
	Policies  []string        `json:"policies"` // exactly these decide; none given: whichever
}

type testPrincipal struct {
	ID         string            `json:"id"`
	Kind       broker.Kind       `json:"kind"`
	Issuer     string            `json:"issuer"`
	Subject    string            `json:"subject"`
	Email      string            `json:"email"`
	Groups     []string          `json:"groups"`
	Attributes map[string]string `json:"attributes"`
}

type testAgent struct {
	ID      string `json:"id"`
	Team    string `json:"team"`
	Ceiling string `json:"ceiling"`
}

type testServer struct {
	Name        string `json:"name"`
	Owner       string `json:"owner"`
	Environment string `json:"environment"`
}

type testBinding struct {
	Name    string      `json:"name"`
	Mode    broker.Mode `json:"mode"`
	Owner   string      `json:"owner"`
	Version int64       `json:"version"`
}

func testFault(rule string) error { return fmt.Errorf("%w tests: %s", broker.ErrInvalid, rule) }

// parseTests reads a JSON list of tests; nothing is an empty one. Errors count
// tests from 1.
func parseTests(raw []byte) ([]callTest, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var each []json.RawMessage
	switch {
	case len(raw) > MaxTestsText:
		return nil, testFault(fmt.Sprintf("they are longer than %d KiB", MaxTestsText>>10))
	case !utf8.Valid(raw) || json.Unmarshal(raw, &each) != nil || each == nil:
		return nil, testFault("they are not one JSON list")
	case len(each) > MaxTests:
		return nil, testFault(fmt.Sprintf("there are more than %d", MaxTests))
	}
	tests, names := make([]callTest, len(each)), map[string]int{}
	for i, text := range each {
		t := callTest{Action: broker.CallTool, Principal: testPrincipal{Kind: broker.User}}
		rule := decodeTest(text, &t)
		if rule == "" {
			rule = t.broken()
		}
		if other := names[t.Name]; rule == "" && other > 0 {
			rule = fmt.Sprintf("test %d has this name too", other)
		}
		if rule != "" {
			return nil, testFault(fmt.Sprintf("test %d: %s", i+1, rule))
		}
		tests[i], names[t.Name] = t, i+1
	}
	return tests, nil
}

func decodeTest(text []byte, t *callTest) (broken string) {
	if bytes.HasPrefix(text, []byte("null")) || !exact(json.NewDecoder(bytes.NewReader(text)), false) {
		return "it is no object, or has a member twice or one of another name"
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(t) != nil {
		return "a member has the wrong type, or there is no member of this name"
	}
	return ""
}

// exact says whether no object has a name twice, and whether names have the
// case that they must have: encoding/json cares for neither. Where they are the
// writer's own, any case will do.
func exact(d *json.Decoder, own bool) bool {
	t, err := d.Token()
	if err != nil {
		return false
	}
	open, nested := t.(json.Delim)
	names := map[string]bool{}
	for nested && d.More() {
		below := own
		if open == '{' {
			t, err := d.Token()
			name, _ := t.(string)
			if err != nil || names[name] || !own && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
				return false
			}
			names[name] = true
			below = own || name == arguments || name == "attributes"
		}
		if !exact(d, below) {
			return false
		}
	}
	if nested {
		_, err = d.Token()
	}
	return err == nil
}

// broken gives the rule that a test breaks, or nothing.
func (t *callTest) broken() string {
	only := func(a broker.Action, texts ...string) bool {
		return t.Action == a || strings.Join(texts, "") == ""
	}
	_, kind := principalKinds(t.Principal.Kind)
	switch {
	case t.Name == "" || len(t.Name) > maxTestName:
		return fmt.Sprintf("its name must have 1 to %d bytes", maxTestName)
	case contextOf(broker.Question{Call: &broker.Call{Action: t.Action}, Binding: &broker.Binding{}}) == nil:
		return "there is no such action"
	case !kind:
		return "a principal is a user or a workload"
	case t.Expect != Allows && t.Expect != Forbids && t.Expect != Demands:
		return fmt.Sprintf("it must expect %s, %s or %s", Allows, Forbids, Demands)
	case !only(broker.CallTool, t.Tool, t.Risk, t.ToolOwner), !only(broker.GetPrompt, t.Prompt), !only(broker.ReadResource, t.Resource):
		return "its action has no such tool, prompt or resource"
	case t.Risk != "" && riskNamed(t.Risk) == 0, t.Agent != nil && t.Agent.Ceiling != "" && riskNamed(t.Agent.Ceiling) == 0:
		return "a risk or ceiling is low, medium, high or critical"
	case len(t.Arguments) > 0 && (!takesArguments(t.Action) || t.Arguments[0] != '{'):
		return "arguments are an object, of call_tool and get_prompt alone"
	}
	return ""
}

func riskNamed(name string) broker.Risk {
	for _, r := range []broker.Risk{broker.Low, broker.Medium, broker.High, broker.Critical} {
		if r.String() == name {
			return r
		}
	}
	return 0
}

// question is the call that a test tells of.
func (t *callTest) question() broker.Question {
	p := t.Principal
	call := &broker.Call{
		Route: broker.Route{Environment: t.Server.Environment, Server: t.Server.Name},
		Principal: broker.Principal{
			ID: p.ID, Kind: p.Kind, Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, Groups: p.Groups, Attributes: p.Attributes,
		},
		Action: t.Action, Method: t.Method, Era: t.Era, Arguments: t.Arguments,
		Target: t.Tool + t.Prompt + t.Resource, // no test has two of them
	}
	q := broker.Question{
		Call:    call,
		Server:  &broker.Server{Environment: t.Server.Environment, Name: t.Server.Name, Owner: t.Server.Owner},
		Binding: &broker.Binding{Name: t.Binding.Name, Mode: t.Binding.Mode, Owner: t.Binding.Owner, Version: t.Binding.Version},
	}
	if t.Agent != nil {
		call.Principal.Agent = t.Agent.ID
		q.Agent = &broker.Agent{ID: t.Agent.ID, Team: t.Agent.Team, Ceiling: riskNamed(t.Agent.Ceiling)}
	}
	if t.Risk != "" || t.ToolOwner != "" {
		q.Tool = &broker.Tool{Name: t.Tool, State: broker.Active, Owner: t.ToolOwner, Risk: riskNamed(t.Risk)}
	}
	return q
}

// run judges the call as any other, and compares.
func (t *callTest) run(set *CallSet) TestLine {
	j := set.Judge(t.question())
	line := TestLine{Name: t.Name, Expected: t.Expect, Got: Allows, Policies: []string{}}
	switch {
	case len(j.Forbidding) > 0:
		line.Got, line.Policies = Forbids, j.Forbidding
	case len(j.Demanding) > 0:
		line.Got, line.Policies = Demands, j.Demanding
	}
	want := slices.Sorted(slices.Values(t.Policies))
	line.Passed = line.Got == line.Expected && (t.Policies == nil || slices.Equal(want, line.Policies))
	return line
}
