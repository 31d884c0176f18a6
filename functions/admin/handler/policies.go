package handler

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// PolicySetBody is a set of policies on calls, with the tests that must hold
// before it is put into force.
type PolicySetBody struct {
	Text  string `json:"text" maxLength:"262144" doc:"Policies in Cedar, at most 256 KiB"`
	Tests string `json:"tests,omitempty" maxLength:"65536" doc:"A JSON list of tests, as text, at most 64 KiB"`
}

// PolicyReport says what a set holds and how its tests went just now.
type PolicyReport struct {
	Passed   bool         `json:"passed" doc:"Whether all tests pass; a set whose tests do not can be stored, and not be put into force"`
	Policies []PolicyLine `json:"policies"`
	Tests    []PolicyTest `json:"tests"`
}

// PolicyLine is one policy of a set.
type PolicyLine struct {
	ID        string `json:"id"`
	Effect    string `json:"effect" enum:"forbid,approval"`
	Arguments bool   `json:"arguments" doc:"It reads arguments of calls"`
}

// PolicyTest is how one test went.
type PolicyTest struct {
	Name     string   `json:"name"`
	Expected string   `json:"expected" enum:"allow,forbid,approval"`
	Got      string   `json:"got" enum:"allow,forbid,approval"`
	Policies []string `json:"policies,omitempty" doc:"Which decided"`
	Passed   bool     `json:"passed"`
}

// StoredPolicySet answers who stores a set.
type StoredPolicySet struct {
	ID string `json:"id" doc:"SHA-256 of text and tests: the same again is the same set"`
	PolicyReport
}

// PolicySetName names a set in a list.
type PolicySetName struct {
	ID string    `json:"id"`
	At time.Time `json:"at" doc:"When it was stored first"`
	By string    `json:"by" doc:"Principal who stored it first"`
}

// PolicySetView is a set as it is read.
type PolicySetView struct {
	PolicySetName
	PolicySetBody
	Report *PolicyReport `json:"report,omitempty" doc:"Absent where the set is not valid any more"`
}

type PolicySetPath struct {
	Set string `path:"set" pattern:"^[0-9a-f]{64}$"`
}

func (h *Handler) policySets() {
	huma.Register(h.api, operation("list-policy-sets", http.MethodGet, "/policy-sets", "List sets of policies on calls"), h.listPolicySets)
	huma.Register(h.api, operation("get-policy-set", http.MethodGet, "/policy-sets/{set}", "Read a set of policies, and run its tests", 404), h.getPolicySet)
	huma.Register(h.api, operation("post-policy-set", http.MethodPost, "/policy-sets", "Check and store a set of policies; put-environment puts it into force", 413, 415), h.postPolicySet)
}

func policyObject(id string) admin.Object { return admin.Object{Kind: policyKind, Name: id} }

func (h *Handler) listPolicySets(ctx context.Context, in *struct{ Page }) (*listing[PolicySetName], error) {
	if err := h.askList(ctx, "list-policy-sets", policyObject("")); err != nil {
		return nil, err
	}
	return listed(in.Page, h.policySetList(ctx),
		func(s broker.PolicySet) (PolicySetName, bool) {
			return PolicySetName{s.ID, s.At, s.By}, h.shows(ctx, broker.Active, policyObject(s.ID))
		})
}

func (h *Handler) getPolicySet(ctx context.Context, in *PolicySetPath) (*struct{ Body PolicySetView }, error) {
	s, err := h.policySet(ctx, in.Set)
	if asked := h.ask(ctx, "get-policy-set", policyObject(in.Set)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	view := PolicySetView{PolicySetName: PolicySetName{s.ID, s.At, s.By}, PolicySetBody: PolicySetBody{s.Text, s.Tests}}
	if report, err := policy.CheckDocument(s.Text, s.Tests); err == nil {
		view.Report = viewReport(report)
	}
	return &struct{ Body PolicySetView }{view}, nil
}

// policySet reads a set and sees that it is what its id says.
func (h *Handler) policySet(ctx context.Context, id string) (broker.PolicySet, error) {
	s, err := h.sets.PolicySet(ctx, h.environment, id)
	if err == nil && policy.DocumentID(s.Text, s.Tests) != id {
		return broker.PolicySet{}, fmt.Errorf("%w policy set: what is stored is not what its id says", broker.ErrInvalid)
	}
	return s, err
}

type postPolicySetInput struct {
	DryRun bool `query:"dry_run" doc:"Check and record, store nothing"`
	Body   PolicySetBody
}

func (h *Handler) postPolicySet(ctx context.Context, in *postPolicySetInput) (*struct{ Body StoredPolicySet }, error) {
	c := callerOf(ctx)
	set := broker.PolicySet{Environment: h.environment, ID: policy.DocumentID(in.Body.Text, in.Body.Tests), Text: in.Body.Text, Tests: in.Body.Tests,
		At: h.now().UTC(), By: c.Principal.ID}
	needs := []admin.Need{need(policy.Create, policyObject(set.ID))}
	out := &struct{ Body StoredPolicySet }{StoredPolicySet{ID: set.ID}}
	wrong := set.Check()
	if wrong == nil && h.permits(ctx, needs) { // nobody else has policies compiled
		var report policy.Report
		if report, wrong = policy.CheckDocument(set.Text, set.Tests); wrong == nil {
			out.Body.PolicyReport = *viewReport(report)
		}
	}
	err := h.desk.Change(ctx, c, admin.Operation{ID: "post-policy-set", Needs: needs}, admin.Change{After: out.Body, Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error { return h.sets.AddPolicySet(ctx, set) },
	})
	if err != nil {
		return nil, fault(err)
	}
	return out, nil
}

func viewReport(r policy.Report) *PolicyReport {
	v := &PolicyReport{Passed: r.Passed(), Policies: []PolicyLine{}, Tests: []PolicyTest{}}
	for _, p := range r.Policies {
		v.Policies = append(v.Policies, PolicyLine{p.ID, string(p.Effect), p.Arguments})
	}
	for _, t := range r.Tests {
		v.Tests = append(v.Tests, PolicyTest{t.Name, string(t.Expected), string(t.Got), t.Policies, t.Passed})
	}
	return v
}

// errTests: a set that is to be put into force does not do what it says it does.
var errTests = fmt.Errorf("%w policy set", broker.ErrInvalid)

// activatable refuses to put into force, or to try out, what is not there, is
// not what its id says, or fails a test now.
func (h *Handler) activatable(ctx context.Context, current, next broker.Environment) error {
	for _, change := range []struct{ what, before, after string }{{"policies", current.Policies, next.Policies}, {"shadow", current.Shadow, next.Shadow}} {
		if change.after == "" || change.after == change.before {
			continue
		}
		if err := h.passes(ctx, change.what, change.after); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) passes(ctx context.Context, what, id string) error {
	s, err := h.policySet(ctx, id)
	if isMissing(err) {
		return fmt.Errorf("%w %s: there is no such policy set", broker.ErrInvalid, what)
	}
	if err != nil {
		return err
	}
	report, err := policy.CheckDocument(s.Text, s.Tests)
	if err == nil && !report.Passed() {
		err = fmt.Errorf("%w of %s: %d of %d tests do not pass", errTests, what, failures(report), len(report.Tests))
	}
	return err
}

func failures(r policy.Report) (n int) {
	for _, t := range r.Tests {
		if !t.Passed {
			n++
		}
	}
	return n
}
