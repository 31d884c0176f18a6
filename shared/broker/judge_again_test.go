package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// byArgument forbids what says "prod" in its arguments, and every call of
// delete_repo.
func byArgument(q broker.Question) broker.Judgement {
	var j broker.Judgement
	if q.Call.Target == "delete_repo" && q.Call.Method == "tools/call" {
		j.Forbidding = append(j.Forbidding, "no-deletes")
	}
	if !q.Listed && strings.Contains(string(q.Call.Arguments), "prod") {
		j.Forbidding = append(j.Forbidding, "not-in-prod")
	}
	if q.Call.Target == "merge" {
		j.Demanding = append(j.Demanding, "four-eyes")
	}
	return j
}

func TestArgumentsDecide(t *testing.T) {
	w, _ := governed(t, rule(byArgument), nil)
	for arguments, policies := range map[string][]string{`{"to":"test"}`: nil, `{"to":"prod"}`: {"not-in-prod"}, "": nil} {
		c := call(alice)
		c.Arguments = []byte(arguments)
		d, err := w.broker().Explain(t.Context(), c)
		if !slices.Equal(d.Policies, policies) || (err != nil) != (policies != nil) {
			t.Errorf("%s: %v, %v", arguments, err, d.Policies)
		}
	}
}

// TestAListHidesWhatIsForbiddenWithAnyArguments and shows what some arguments
// allow, or an approval would.
func TestAListHidesWhatIsForbiddenWithAnyArguments(t *testing.T) {
	w, s := governed(t, rule(byArgument), forbids("shadow"))
	w.snapshot.Tools = []broker.Tool{{Name: "create_issue", State: broker.Active, Risk: broker.Low}}
	w.snapshot.Agent = &broker.Agent{ID: "corp:bot", State: broker.Active, Ceiling: broker.Critical}
	d := listed(t, w, viaAgent(alice, "corp:bot", false))
	s.asked = nil
	for tool, want := range map[string]bool{"create_issue": true, "delete_repo": false, "merge": true} {
		if got := d.Sees(broker.CallTool, tool); got != want {
			t.Errorf("%s: seen %v", tool, got)
		}
	}
	if len(s.asked) != 3 {
		t.Errorf("%d questions for three elements: the shadow set is asked too", len(s.asked))
	}
	for _, q := range s.asked {
		if !q.Listed || q.Call.Arguments != nil || q.Call.Action != broker.CallTool || q.Agent == nil || (q.Tool != nil) != (q.Call.Target == "create_issue") {
			t.Errorf("asked %+v of %+v", q, q.Call)
		}
	}
	if d.Call.Action != broker.List || d.Call.Method != "tools/list" {
		t.Errorf("the decision's own call became %+v", d.Call)
	}
}

// TestNothingIsShownByPoliciesThatCannotBeRead, not even to whoever explains.
func TestNothingIsShownByPoliciesThatCannotBeRead(t *testing.T) {
	w, s := governed(t, rule(silent), nil)
	c := call(alice)
	c.Action, c.Method, c.Target, c.Lists = broker.List, "tools/list", "", true
	for err, want := range map[error]bool{nil: true, broker.ErrUnavailable: false} {
		s.err[inForce] = err
		if d, _ := w.broker().Explain(t.Context(), c); d.Sees(broker.CallTool, "create_issue") != want {
			t.Errorf("%v: seen %v", err, !want)
		}
	}
}

// TestATemplateIsJudgedAsItIsWritten, and resources and prompts as their use
// would be.
func TestATemplateIsJudgedAsItIsWritten(t *testing.T) {
	w, s := governed(t, rule(func(q broker.Question) broker.Judgement {
		if strings.HasPrefix(q.Call.Target, "file:///private/") {
			return broker.Judgement{Forbidding: []string{"private"}}
		}
		return broker.Judgement{}
	}), nil)
	w.snapshot.Shared[0].Allow = broker.Allow{Prompts: []string{"*"}, Resources: []string{"*"}}
	d := listed(t, w, alice)
	s.asked = nil
	for _, c := range []struct {
		template, want bool
		action         broker.Action
		target, method string
	}{
		{false, true, broker.ReadResource, "file:///public/a", "resources/read"},
		{false, false, broker.ReadResource, "file:///private/a", "resources/read"},
		{true, false, broker.ReadResource, "file:///private/{name}", "resources/read"},
		{true, true, broker.ReadResource, "file:///{+path}", "resources/read"},
		{false, true, broker.GetPrompt, "review", "prompts/get"},
	} {
		sees := d.Sees
		if c.template {
			sees = func(_ broker.Action, target string) bool { return d.SeesTemplate(target) }
		}
		if got := sees(c.action, c.target); got != c.want {
			t.Errorf("%s: seen %v", c.target, got)
		}
		if q := s.asked[len(s.asked)-1]; q.Call.Action != c.action || q.Call.Method != c.method || q.Call.Target != c.target {
			t.Errorf("%s: asked %+v", c.target, q.Call)
		}
	}
}

// TestACallUnderWayIsJudgedAgain by the set that is in force by then.
func TestACallUnderWayIsJudgedAgain(t *testing.T) {
	w, s := governed(t, rule(silent), nil)
	b := w.broker()
	d, err := b.Decide(t.Context(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("c", 64)
	w.snapshot.Environment = &broker.Environment{Name: "prod", State: broker.Active, Policies: other}
	wantReason(t, b.Recheck(t.Context(), d), broker.PoliciesUnread)
	s.by[other] = rule(silent)
	if err := b.Recheck(t.Context(), d); err != nil {
		t.Errorf("another set that allows: %v", err)
	}
	s.by[other] = demands("one")
	wantReason(t, b.Recheck(t.Context(), d), broker.ApprovalRequired)
	s.by[other] = forbids("one")
	wantReason(t, b.Recheck(t.Context(), d), broker.PolicyForbids)
}

// TestASetActivatedDuringASlowObtainRefuses what was decided before it.
func TestASetActivatedDuringASlowObtainRefuses(t *testing.T) {
	w, s := governed(t, rule(silent), nil)
	b := w.broker()
	d, err := b.Decide(t.Context(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	obtain := w.obtain
	w.obtain = func() (broker.Credential, error) {
		s.by[inForce], w.now = forbids("late"), w.now.Add(broker.DecisionLife+time.Millisecond)
		return obtain()
	}
	release, err := b.Obtain(t.Context(), d)
	if wantReason(t, err, broker.PolicyForbids); release != nil || w.phases() != "intent: outcome:policy_forbids " {
		t.Errorf("released %v, recorded %q", release, w.phases())
	}
}

// TestNoSetMakesARecordTooLargeToBeStored: a call that a thousand policies
// forbid is recorded, and a shadow set of that kind refuses nothing.
func TestNoSetMakesARecordTooLargeToBeStored(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprint(i, strings.Repeat("x", 5000))
	}
	for _, set := range []broker.RuleSet{rule(silent), forbids(many...)} {
		w, _ := governed(t, set, forbids(many...))
		w.auditErr = func(r broker.Record) error { return r.Check() }
		b := w.broker()
		if d, err := b.Decide(t.Context(), call(alice)); err == nil {
			if _, err := b.Obtain(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.records) != 1 || len(w.records[0].Shadow.Policies) == 0 || w.records[0].Reason != "" && len(w.records[0].Policies) == 0 {
			t.Errorf("recorded %d", len(w.records))
		}
	}
}
