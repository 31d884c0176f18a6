package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// inForce and tried are the ids of the environment's two sets.
var inForce, tried = strings.Repeat("a", 64), strings.Repeat("b", 64)

// rule is a set whose judgement a test writes.
type rule func(broker.Question) broker.Judgement

func (r rule) Judge(q broker.Question) broker.Judgement { return r(q) }

// sets gives sets by id, and remembers what was asked of them.
type sets struct {
	by    map[string]broker.RuleSet
	err   map[string]error
	read  []string
	asked []broker.Question
}

func (s *sets) RuleSet(_ context.Context, environment, id string) (broker.RuleSet, error) {
	s.read = append(s.read, environment+"/"+id[:1])
	if err := s.err[id]; err != nil {
		return nil, err
	}
	set, ok := s.by[id]
	if !ok {
		return nil, broker.ErrNotFound
	}
	return rule(func(q broker.Question) broker.Judgement {
		s.asked = append(s.asked, q)
		return set.Judge(q)
	}), nil
}

func silent(broker.Question) broker.Judgement { return broker.Judgement{} }

func forbids(ids ...string) rule {
	return func(broker.Question) broker.Judgement { return broker.Judgement{Forbidding: ids} }
}

func demands(ids ...string) rule {
	return func(broker.Question) broker.Judgement { return broker.Judgement{Demanding: ids} }
}

// governed is a world with a set in force, and one in shadow unless it is nil.
func governed(t *testing.T, set, shadow broker.RuleSet) (*world, *sets) {
	t.Helper()
	w, s := newWorld(), &sets{by: map[string]broker.RuleSet{inForce: set}, err: map[string]error{}}
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"))}
	w.snapshot.Environment.Policies = inForce
	if shadow != nil {
		s.by[tried], w.snapshot.Environment.Shadow = shadow, tried
	}
	w.rules = s
	return w, s
}

// TestASetThatCannotBeReadRefuses every call, and nothing is obtained.
func TestASetThatCannotBeReadRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*world, *sets){
		"unavailable":           func(_ *world, s *sets) { s.err[inForce] = broker.ErrUnavailable },
		"not what its id says":  func(_ *world, s *sets) { s.err[inForce] = broker.ErrInvalid },
		"not there":             func(_ *world, s *sets) { delete(s.by, inForce) },
		"nobody who reads sets": func(w *world, _ *sets) { w.rules = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w, s := governed(t, rule(silent), nil)
			w.obtain = nil // no secret may be touched
			spoil(w, s)
			d, err := w.broker().Decide(t.Context(), call(alice))
			wantReason(t, err, broker.PoliciesUnread)
			if d != nil || len(w.counted) > 0 || w.phases() != "refusal:policies_unreadable " || w.records[0].Policy != inForce {
				t.Errorf("%v, counted %v, recorded %+v", d, w.counted, w.records)
			}
		})
	}
}

func TestWhatPoliciesSay(t *testing.T) {
	both := rule(func(broker.Question) broker.Judgement {
		return broker.Judgement{Forbidding: []string{"no-deletes"}, Demanding: []string{"ask-first"}}
	})
	for name, c := range map[string]struct {
		set      broker.RuleSet
		reason   broker.Reason
		policies []string
	}{
		"nothing":                {rule(silent), "", nil},
		"it is forbidden":        {forbids("one", "two"), broker.PolicyForbids, []string{"one", "two"}},
		"an approval is needed":  {demands("ask-first"), broker.ApprovalRequired, []string{"ask-first"}},
		"forbidden beats demand": {both, broker.PolicyForbids, []string{"no-deletes"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := governed(t, c.set, nil)
			b := w.broker()
			d, err := b.Explain(t.Context(), call(alice))
			if d.Policy != inForce || !slices.Equal(d.Policies, c.policies) || d.Shadow != nil || d.Binding.Name != "a" {
				t.Errorf("explained as %q %v %v", d.Policy, d.Policies, d.Shadow)
			}
			if c.reason == "" && err != nil || c.reason != "" && !strings.HasSuffix(fmt.Sprint(err), string(c.reason)) {
				t.Errorf("explained as %v", err)
			}
			if _, err := b.Decide(t.Context(), call(alice)); (err != nil) != (c.reason != "") {
				t.Errorf("decided: %v", err)
			}
			if c.reason == "" {
				return
			}
			if r := w.records[0]; r.Reason != c.reason || r.Policy != inForce || !slices.Equal(r.Policies, c.policies) || r.Binding != "a" {
				t.Errorf("recorded %+v", r)
			}
		})
	}
}

// TestAPolicysRefusalTriesNoOtherBinding, nor does naming one help when the set
// forbids that too.
func TestAPolicysRefusalTriesNoOtherBinding(t *testing.T) {
	w, s := governed(t, rule(func(q broker.Question) broker.Judgement {
		if q.Binding.Name == "a" {
			return broker.Judgement{Forbidding: []string{"not-by-a"}}
		}
		return broker.Judgement{}
	}), nil)
	w.snapshot.Shared = append(w.snapshot.Shared, card(t, "b", group("dev")))
	_, err := w.broker().Decide(t.Context(), call(alice))
	wantReason(t, err, broker.PolicyForbids)
	if len(s.asked) != 1 || s.asked[0].Binding.Name != "a" {
		t.Errorf("asked %d times", len(s.asked))
	}
}

// TestOnlyWhoHasAUsableBindingIsJudged: nobody else costs a read of policies.
func TestOnlyWhoHasAUsableBindingIsJudged(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"no binding":  func(w *world) { w.snapshot.Shared = nil },
		"a dead one":  func(w *world) { suspended(&w.snapshot.Shared[0]) },
		"an odd one":  func(w *world) { w.snapshot.Shared[0].Mode = "borrowed" },
		"dead server": func(w *world) { w.snapshot.Server.State = broker.Suspended },
	} {
		w, s := governed(t, forbids("all"), rule(silent))
		spoil(w)
		_, err := w.broker().Decide(t.Context(), call(alice))
		var refusal *broker.Refusal
		if !errors.As(err, &refusal) || refusal.Reason == broker.PolicyForbids || len(s.read) != 0 || w.records[0].Policies != nil {
			t.Errorf("%s: %v after reading %v", name, err, s.read)
		}
	}
	// And only who is allowed learns that a session has ended.
	w, _ := governed(t, forbids("all"), nil)
	w.snapshot.Markers = []broker.Marker{{Kind: broker.SessionMarker, ID: "s-1", Revoked: true}}
	_, err := w.broker().Decide(t.Context(), call(alice))
	wantReason(t, err, broker.PolicyForbids)
}

func TestPoliciesAreToldTheCall(t *testing.T) {
	w, s := governed(t, rule(silent), nil)
	w.snapshot.Agent = &broker.Agent{ID: "corp:bot", State: broker.Active, Ceiling: broker.Critical}
	w.snapshot.Tool = &broker.Tool{Name: "create_issue", State: broker.Active, Risk: broker.Low}
	for _, caller := range []broker.Principal{alice, viaAgent(alice, "corp:bot", false)} {
		c := call(caller)
		c.Arguments = []byte(`{"title":"a"}`)
		if _, err := w.broker().Decide(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		q := s.asked[len(s.asked)-1]
		if q.Listed || string(q.Call.Arguments) != `{"title":"a"}` || q.Call.Target != "create_issue" || q.Call.Principal.ID != "p-alice" ||
			q.Server.Name != "github" || q.Binding.Name != "a" || q.Tool.Risk != broker.Low || (q.Agent != nil) != (caller.Agent != "") {
			t.Errorf("asked %+v", q)
		}
	}
	w.snapshot.Tool.State = broker.Deleted // a tombstone is no record
	if _, err := w.broker().Decide(t.Context(), call(alice)); err != nil || s.asked[len(s.asked)-1].Tool != nil {
		t.Errorf("%v, asked about %+v", err, s.asked[len(s.asked)-1].Tool)
	}
}

// TestAShadowSetIsRecordedAndNeverHeard, whatever becomes of it.
func TestAShadowSetIsRecordedAndNeverHeard(t *testing.T) {
	for name, c := range map[string]struct {
		shadow broker.RuleSet
		spoil  func(*sets)
		want   *broker.Shadowed
	}{
		"none":             {nil, nil, nil},
		"it says nothing":  {rule(silent), nil, &broker.Shadowed{Set: tried}},
		"it forbids":       {forbids("one"), nil, &broker.Shadowed{Set: tried, Effect: "forbid", Policies: []string{"one"}}},
		"it demands":       {demands("two"), nil, &broker.Shadowed{Set: tried, Effect: "approval", Policies: []string{"two"}}},
		"it is not there":  {rule(silent), func(s *sets) { delete(s.by, tried) }, &broker.Shadowed{Set: tried, Effect: "unreadable"}},
		"it is not itself": {rule(silent), func(s *sets) { s.err[tried] = broker.ErrInvalid }, &broker.Shadowed{Set: tried, Effect: "unreadable"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := governed(t, rule(silent), c.shadow)
			if c.spoil != nil {
				c.spoil(s)
			}
			b := w.broker()
			d, err := b.Decide(t.Context(), call(alice))
			if err != nil {
				t.Fatal(err)
			}
			release, err := b.Obtain(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Settle(t.Context(), release, broker.Result{Status: 200}); err != nil {
				t.Fatal(err)
			}
			for _, r := range w.records {
				if diff := cmp.Diff(c.want, r.Shadow); diff != "" || r.Policy != inForce || r.Policies != nil {
					t.Errorf("%s: %q %v (-want +got):\n%s", r.Phase, r.Policy, r.Policies, diff)
				}
			}
			s.by[inForce] = forbids("all") // a refusal says it too
			if _, err := b.Decide(t.Context(), call(alice)); err == nil || len(w.records) != 3 || !cmp.Equal(w.records[2].Shadow, c.want) {
				t.Errorf("%v: recorded %+v", err, w.records[len(w.records)-1].Shadow)
			}
		})
	}
}

// stuck never gives a set before its time is over.
type stuck struct{ sets }

func (s *stuck) RuleSet(ctx context.Context, environment, id string) (broker.RuleSet, error) {
	if id == tried {
		<-ctx.Done()
		return nil, broker.ErrUnavailable
	}
	return s.sets.RuleSet(ctx, environment, id)
}

// TestASlowShadowSetOutlivesNoDecision: it is given up before the decision is
// too old to be acted on.
func TestASlowShadowSetOutlivesNoDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := governed(t, rule(silent), rule(silent))
		w.rules = &stuck{*s}
		began := time.Now()
		d, err := w.broker().Decide(t.Context(), call(alice))
		if err != nil || d.Shadow.Effect != broker.WouldBeUnread || time.Since(began) > broker.DecisionLife/4 {
			t.Errorf("%v after %v: %+v", err, time.Since(began), d)
		}
	})
}
