package handler

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/revoke"
)

const leakedReference = "aws-sm:prod/notes"

func leaks(f *fixture, t *testing.T, who, query string) answer {
	t.Helper()
	return f.call(t, who, "POST", "/incidents"+query, `{"reference":"aws-sm:prod/notes#token","reason":"pushed to a public repository"}`)
}

// used records that alice used the secret through an agent with a name that
// would be more than a word.
func used(f *fixture, t *testing.T) {
	t.Helper()
	now := time.Now().UTC()
	r := broker.Record{Schema: broker.RecordSchema, Receipt: broker.FirstReceipt(now) + strings.Repeat("0", 16), Phase: broker.Outcome, Nonce: "n", At: now,
		Environment: "prod", Server: "notes", Principal: "p-alice", Kind: broker.User, Agent: "corp:<b>|x", Method: "tools/call", Action: broker.CallTool,
		Binding: "dev-notes", BindingVersion: 1, References: []string{"token=" + leakedReference + "#token"},
		Accesses: []broker.Access{{Reference: leakedReference, Version: "v1"}}, Status: 200}
	if err := f.tables.IndexRecords(t.Context(), []broker.Record{r}); err != nil {
		t.Fatal(err)
	}
}

func stoppedNow(f *fixture, t *testing.T) bool {
	t.Helper()
	found, err := f.tables.Markers(t.Context(), "prod", []broker.MarkerKey{{Kind: broker.ReferenceMarker, ID: leakedReference}})
	if err != nil {
		t.Fatal(err)
	}
	return len(found) == 1 && found[0].Revoked
}

func TestALeakedSecretIsStoppedAndItsStoryTold(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	used(f, t)
	opened := leaks(f, t, "root", "").want(t, 201, "")
	if !stoppedNow(f, t) {
		t.Error("the secret may still be used")
	}
	exposure := opened.body["exposure"].(map[string]any)
	if len(exposure["bindings"].([]any)) != 1 || len(exposure["people"].([]any)) != 1 || opened.body["stopped"] == nil || opened.body["no_rotation"] != noPlan {
		t.Errorf("opened %s", opened.Body)
	}
	if revocation, ok := opened.body["revocation"].(map[string]any); !ok || revocation["subject"] != leakedReference {
		t.Errorf("revocation %v", opened.body["revocation"])
	}
	if !strings.Contains(f.recorded.String(), `"incident.opened"`) {
		t.Error("no event tells of it")
	}
	id := opened.body["id"].(string)
	f.call(t, "auditor", "GET", "/incidents/"+id, nil).want(t, 200, "")
	listed := f.call(t, "auditor", "GET", "/incidents", nil).want(t, 200, "")
	if rows := listed.body["items"].([]any); len(rows) != 1 || rows[0].(map[string]any)["id"] != id {
		t.Errorf("listed %s", listed.Body)
	}
	f.call(t, "auditor", "GET", "/incidents/01KJMMA2G10000000000000009", nil).want(t, 404, "not_found")
}

func TestAnIncidentReportIsOnlyText(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	used(f, t)
	id := leaks(f, t, "root", "").want(t, 201, "").body["id"].(string)
	report := f.call(t, "auditor", "GET", "/incidents/"+id+"/report", nil)
	text := report.Body.String()
	if report.Code != 200 || report.Header().Get("Content-Type") != mediaMarkdown {
		t.Fatalf("answered %d %s", report.Code, text)
	}
	for _, wanted := range []string{"# Incident " + id, `aws-sm\:prod/notes`, "dev-notes", "p-alice", "&lt;b\\>\\|x", "pushed to a public repository", noPlan} {
		if !strings.Contains(text, wanted) {
			t.Errorf("the report lacks %q:\n%s", wanted, text)
		}
	}
	if strings.Contains(text, "<b>") || strings.Contains(text, canary) {
		t.Errorf("the report holds more than words:\n%s", text)
	}
}

func TestADryRunOfAnIncidentStopsNothing(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	would := leaks(f, t, "root", "?dry_run=true").want(t, 200, "")
	if _, there := would.body["id"]; there || stoppedNow(f, t) || len(would.body["exposure"].(map[string]any)["bindings"].([]any)) != 1 {
		t.Errorf("answered %s", would.Body)
	}
	if rows, err := f.tables.Incidents(t.Context(), "prod", broker.Page{Limit: 1}); err != nil || len(rows) != 0 {
		t.Errorf("opened %v, %v", rows, err)
	}
}

func TestALeakedSecretIsRotatedWhereAPlanIs(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	reference, err := broker.ParseReference(leakedReference + "#token")
	if err != nil {
		t.Fatal(err)
	}
	plan := broker.RotationPlan{Environment: "prod", Name: "notes", State: broker.Active, Owner: "team-notes", Reference: reference, Maker: broker.MakeRandom, Random: broker.Random{Length: 40}}
	if err := f.tables.PutRotationPlan(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if would := leaks(f, t, "root", "?dry_run=true").want(t, 200, ""); would.body["no_rotation"] != onlyDry || strings.Contains(would.Body.String(), "Make a new value") {
		t.Errorf("a dry run, where a plan makes the new value, says %s", would.Body)
	}
	first, again := leaks(f, t, "root", "").want(t, 201, ""), leaks(f, t, "root", "").want(t, 201, "")
	run := func(a answer) any { return a.body["rotation"].(map[string]any)["id"] }
	if run(first) != run(again) || f.woken != 1 {
		t.Errorf("two runs for one leak: %v, %v; woken %d times", run(first), run(again), f.woken)
	}
	if first.body["stopped"] != again.body["stopped"] {
		t.Error("the second incident says that it stopped what the first one had")
	}
}

func TestWhatIsLeftToDoFollowsTheRotation(t *testing.T) {
	for step, want := range map[broker.RotationStep]string{
		broker.RotationOrdered: "Wait for the rotation", broker.RotationInUse: "Wait for the rotation",
		broker.RotationUndone: "The rotation has ended", broker.RotationAbandoned: "The rotation has ended", broker.RotationOver: "Ask the upstream",
	} {
		stopped := time.Now()
		got := nextSteps(IncidentView{Stopped: &stopped, Rotation: &RotationView{Step: string(step)}})
		if !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %q", step, got[0])
		}
	}
}

// TestALeakIsNotMetByARotationThatLeavesTheLeakedValue: one whose new value is in
// use already, and one that is being taken back. The value before loses its grace.
func TestALeakIsNotMetByARotationThatLeavesTheLeakedValue(t *testing.T) {
	for _, step := range []broker.RotationStep{broker.RotationInUse, broker.RotationUndoing} {
		f := planned(t)
		f.call(t, "owner", "POST", "/rotations", rotationBody).want(t, 202, "")
		r, err := f.tables.Rotation(t.Context(), "prod", "reference/aws-sm:prod/notes")
		if err != nil {
			t.Fatal(err)
		}
		r.Step, r.Next = step, time.Now().Add(time.Hour).UTC()
		if r.Until = r.Next; step == broker.RotationUndoing {
			r.Until = time.Time{}
		}
		if err := f.tables.PutRotation(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		opened := leaks(f, t, "root", "").want(t, 201, "")
		if opened.body["no_rotation"] != notThisOne || !strings.Contains(opened.Body.String(), notThisOne+`"]`) && !strings.Contains(opened.Body.String(), notThisOne+`",`) {
			t.Errorf("%s: answered %s", step, opened.Body)
		}
		now, err := f.tables.Rotation(t.Context(), "prod", "reference/aws-sm:prod/notes")
		if err != nil || step == broker.RotationInUse && now.Until.After(time.Now()) || now.ID != r.ID {
			t.Errorf("%s: the value before goes on until %s, %v", step, now.Until, err)
		}
	}
}

// TestAnExposureTooLargeForItsTimeIsCut, and not refused: whoever opened the
// incident must hear that the secret is stopped. Pages may be empty for ever.
func TestAnExposureTooLargeForItsTimeIsCut(t *testing.T) {
	for name, late := range map[string]error{"a read that fails when the time is over": context.DeadlineExceeded, "a read that does not": nil} {
		synctest.Test(t, func(t *testing.T) {
			pages := 0
			rows, more, err := gather(t.Context(), 10, func(ctx context.Context, after string, _ int) ([]int, string, error) {
				time.Sleep(time.Second)
				if pages++; ctx.Err() != nil && late != nil {
					return nil, "", late
				}
				if pages == 1 {
					return []int{1}, after + ".", nil
				}
				return nil, after + ".", nil
			})
			if err != nil || !more || len(rows) != 1 {
				t.Errorf("%s: %v, more %t, %v", name, rows, more, err)
			}
		})
	}
	if _, _, err := gather(t.Context(), 10, func(context.Context, string, int) ([]int, string, error) { return nil, "", broker.ErrUnavailable }); err == nil {
		t.Error("a table that cannot be read gives a list")
	}
}

func TestWhoMayOpenAnIncident(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	used(f, t)
	for _, who := range []string{"auditor", "second", "owner", "other", "nobody"} {
		leaks(f, t, who, "").want(t, 403, "forbidden")
	}
	if stoppedNow(f, t) {
		t.Fatal("somebody who may not has stopped the secret")
	}
	hidden := leaks(f, t, "admin", "").want(t, 201, "").body["exposure"].(map[string]any)
	if hidden["people_hidden"] != true || len(hidden["people"].([]any)) != 0 {
		t.Errorf("whoever may not read the audit reads %v", hidden)
	}
	f.call(t, "admin", "GET", "/incidents", nil).want(t, 403, "forbidden")
	f.call(t, "root", "POST", "/incidents", `{"reference":"no reference","reason":"pushed"}`).want(t, 422, "invalid")
}

// TestAReportMakesNoLinksAndHidesNothing of what others wrote.
func TestAReportMakesNoLinksAndHidesNothing(t *testing.T) {
	for text, want := range map[string]string{
		"see WWW.evil.example":     "see WWW\\.evil.example",
		"https://evil.example":     "https\\://evil.example",
		"a\u202eb\u200bc\u2066d":   "a b c d",
		"one\r\n# two":             "one  \\# two",
		"a@evil.example | <b>&lt;": "a\\@evil.example \\| &lt;b\\>&amp;lt;",
	} {
		if got := plainText(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// deaf is a revocation function that does not answer.
type deaf struct{}

func (deaf) Revoke(context.Context, revoke.Order) (revoke.Acknowledgement, error) {
	return revoke.Acknowledgement{}, broker.ErrUnavailable
}
func (deaf) Lift(context.Context, revoke.Lifting) (revoke.Acknowledgement, error) {
	return revoke.Acknowledgement{}, broker.ErrUnavailable
}

func TestAnIncidentThatStopsNothingSaysSo(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	real := f.revoker
	f.RevokeThrough(deaf{})
	leaks(f, t, "root", "").want(t, 503, "unavailable")
	f.RevokeThrough(real)
	leaks(f, t, "root", "").want(t, 201, "")
	rows, err := f.tables.Incidents(t.Context(), "prod", broker.Page{Limit: 9})
	if err != nil || len(rows) != 2 || (rows[0].Revocation == "") == (rows[1].Revocation == "") || !stoppedNow(f, t) { // of one millisecond: in any order
		t.Errorf("incidents %+v, %v", rows, err)
	}
}
