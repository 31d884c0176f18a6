package handler

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/policy"
)

const (
	noUrgentIssues = `@id("no-urgent-issues") forbid (principal, action == Action::"call_tool", resource)
		when { context.arguments has title && context.arguments.title like "*URGENT*" };`
	noStreams = `@id("no-streams") forbid (principal, action == Action::"stream", resource);
		@id("ask-first") @demand("approval") forbid (principal, action == Action::"call_tool", resource);`
)

// govern puts a set of policies into force.
func (f *fixture) govern(tb testing.TB, text string) {
	tb.Helper()
	ctx := context.Background()
	id := policy.DocumentID(text, "")
	if err := f.tables.AddPolicySet(ctx, broker.PolicySet{Environment: "prod", ID: id, Text: text, At: time.Now(), By: "p-test"}); err != nil {
		tb.Fatal(err)
	}
	e, err := f.tables.Environment(ctx, "prod")
	if err != nil {
		tb.Fatal(err)
	}
	e.Policies = id
	if err := f.tables.PutEnvironment(ctx, e); err != nil {
		tb.Fatal(err)
	}
}

func TestWhatPoliciesSayReachesTheCallerAsARowOfTheTable(t *testing.T) {
	f := newFixture(t, respond(http.StatusOK, "application/json", smallAnswer), true)
	f.verifier = known{broker.Principal{ID: "p-alice", Kind: broker.User, Groups: []string{"dev"}, Expires: time.Now().Add(time.Hour)}}
	urgent := strings.Replace(callBody, "A bug", `\u0055RGENT`, 1)
	for _, step := range []struct {
		name, set, body string
		want            Problem
		reason          broker.Reason
	}{
		{"forbidden by its arguments", noUrgentIssues, urgent, forbidden, broker.PolicyForbids},
		{"an approval is needed", noStreams, callBody, needsApproval, broker.ApprovalRequired},
	} {
		f.govern(t, step.set)
		w := f.serve(http.MethodPost, step.body)
		if w.Code != step.want.Status || w.Header().Get(errorHeader) != step.want.Name || !strings.Contains(w.Body.String(), `"id":7`) {
			t.Errorf("%s: answered %d %s", step.name, w.Code, w.Body)
		}
		if r := f.lastRecord(t, w); r.Reason != step.reason || r.Status != step.want.Status {
			t.Errorf("%s: recorded %s %d", step.name, r.Reason, r.Status)
		}
		if strings.Contains(f.log.String(), "RGENT") || strings.Contains(f.log.String(), "ask-first") {
			t.Errorf("%s: the log says %s", step.name, f.log)
		}
	}
	f.govern(t, noUrgentIssues)
	if w := f.serve(http.MethodPost, callBody); w.Code != http.StatusOK {
		t.Errorf("what no policy forbids: %d %s", w.Code, w.Body)
	}
}

// TestUnreadablePoliciesAreUndecided: as a catalogue that cannot be read, they
// refuse, and the same call may be sent again.
func TestUnreadablePoliciesAreUndecided(t *testing.T) {
	f := newFixture(t, respond(http.StatusOK, "application/json", smallAnswer), true)
	f.verifier = known{broker.Principal{ID: "p-alice", Kind: broker.User, Groups: []string{"dev"}, Expires: time.Now().Add(time.Hour)}}
	f.govern(t, noUrgentIssues)
	f.tables.Inject(memory.ReadPolicySet, memory.Refuse())
	w := f.serve(http.MethodPost, callBody)
	if w.Code != undecided.Status || w.Header().Get(errorHeader) != undecided.Name || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if w := f.serve(http.MethodPost, callBody); w.Code != http.StatusOK {
		t.Errorf("sent again: %d %s", w.Code, w.Body)
	}
}

// TestAnActivationEndsWhatItForbids among the calls and streams that are open,
// and nothing else.
func TestAnActivationEndsWhatItForbids(t *testing.T) {
	for name, c := range map[string]struct {
		method, body, set string
		want              broker.Reason
	}{
		"a call that needs an approval now": {http.MethodPost, callBody, noStreams, broker.AccessEnded},
		"a stream":                          {http.MethodGet, "", noStreams, broker.AccessEnded},
		"a stream that stays allowed":       {http.MethodGet, "", noUrgentIssues, broker.StreamOver},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil, true)
			synctest.Test(t, func(t *testing.T) {
				h, began := heldStream(t, f, time.Hour), time.Now()
				go func() {
					time.Sleep(7 * time.Second)
					f.govern(t, c.set)
				}()
				w := f.serve(c.method, c.body)
				<-h.left
				if open := time.Since(began); open > 7*time.Second+recheckEvery && c.want == broker.AccessEnded {
					t.Errorf("it stayed open for %v", open)
				}
				if r := f.lastRecord(t, w); r.Reason != c.want {
					t.Errorf("recorded %s, want %s", r.Reason, c.want)
				}
			})
		})
	}
}

// TestPoliciesThatCannotBeReadEndAStreamAfterAWhile: failing closed, but not on
// one lost answer.
func TestPoliciesThatCannotBeReadEndAStreamAfterAWhile(t *testing.T) {
	for failures, want := range map[int]broker.Reason{unreadAllowed - 1: broker.StreamOver, unreadAllowed: broker.AccessEnded} {
		f := newFixture(t, nil, true)
		synctest.Test(t, func(t *testing.T) {
			heldStream(t, f, time.Hour)
			go func() {
				time.Sleep(time.Second)
				for range failures {
					f.tables.Inject(memory.ReadPolicySet, memory.Refuse())
				}
				f.govern(t, noUrgentIssues)
			}()
			w := f.serve(http.MethodGet, "")
			if r := f.lastRecord(t, w); r.Reason != want {
				t.Errorf("%d failures: recorded %s, want %s", failures, r.Reason, want)
			}
		})
	}
}
