package broker_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"bindery/shared/broker"
)

// limited is a world in which every subject has limits.
func limited(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", group("dev"))}
	w.snapshot.Agent = &broker.Agent{ID: "oidc:bot", State: broker.Active, Ceiling: broker.Critical, Limits: broker.Limits{CallsPerMinute: 7}}
	w.allowances = broker.Allowances{Principal: broker.Limits{CallsPerMinute: 10, Streams: 2}, Agent: broker.Limits{CallsPerMinute: 100, Streams: 3},
		Server: broker.Limits{Streams: 5, RequestBytes: 1000, AnswerBytes: 5000}}
	return w
}

// made takes a call through Decide and Obtain.
func made(t *testing.T, b *broker.Broker, c broker.Call) (*broker.Release, error) {
	t.Helper()
	d, err := b.Decide(t.Context(), c)
	if err != nil {
		return nil, err
	}
	return b.Obtain(t.Context(), d)
}

func TestACallCountsForPrincipalAgentAndServer(t *testing.T) {
	w := limited(t)
	w.allowances.Server.CallsPerMinute = 1000
	if _, err := made(t, w.broker(), call(viaAgent(alice, "oidc:bot", false))); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.counted)
	if want := []string{"agent/oidc:bot", "principal/p-alice", "server/github"}; !slices.Equal(w.counted, want) {
		t.Errorf("counted %v, want %v", w.counted, want)
	}
}

func TestNoLimitCostsNothing(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", group("dev"))}
	if _, err := made(t, w.broker(), call(alice)); err != nil || len(w.counted) != 0 {
		t.Errorf("counted %v, %v", w.counted, err)
	}
}

func TestOverTheLimitNothingIsReleasedAndTheTimeToWaitIsSaid(t *testing.T) {
	w := limited(t)
	w.spent = "principal/p-alice"
	w.now = start.Add(20 * time.Second)
	b := w.broker()
	r, err := made(t, b, call(alice))
	wantReason(t, err, broker.LimitReached)
	var refusal *broker.Refusal
	if r != nil || !errors.As(err, &refusal) || refusal.RetryAfter != 40*time.Second {
		t.Errorf("released %v, wait %v", r != nil, refusal)
	}
	if got := w.phases(); got != "intent: outcome:limit_reached " {
		t.Errorf("recorded %s", got)
	}
	// What this process knows by now costs no count, no secret, no intent.
	before := len(w.counted)
	w.obtain = func() (broker.Credential, error) {
		t.Error("a secret was read")
		return broker.Credential{}, nil
	}
	_, err = made(t, b, call(alice))
	wantReason(t, err, broker.LimitReached)
	if len(w.counted) != before || w.records[len(w.records)-1].Phase != broker.Refused {
		t.Errorf("counted %v, recorded %s", w.counted, w.phases())
	}
	// In the next window the tables are asked again.
	w.now, w.spent = start.Add(time.Minute), ""
	w.obtain = newWorld().obtain
	if _, err := made(t, b, call(alice)); err != nil {
		t.Error(err)
	}
}

func TestAQuotaThatCannotBeCountedReleasesNothing(t *testing.T) {
	w := limited(t)
	w.quotaErr = broker.ErrUnavailable
	_, err := made(t, w.broker(), call(alice))
	wantReason(t, err, broker.CatalogueUnread)
}

func TestAStreamHoldsPlacesUntilItIsSettled(t *testing.T) {
	w := limited(t)
	w.allowances.Principal.CallsPerMinute = 0
	c := call(alice)
	c.Action, c.Method, c.Target, c.Lasting = broker.Stream, "GET", "", true
	b := w.broker()
	r, err := made(t, b, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.freed) != 0 {
		t.Fatal("a place was freed while the stream is open")
	}
	if err := b.Settle(t.Context(), r, broker.Result{Status: 200}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.freed)
	if want := []string{"principal/p-alice", "server/github"}; !slices.Equal(w.freed, want) {
		t.Errorf("freed %v, want %v", w.freed, want)
	}
}

// A stream that gets one place and not the other gives back what it has.
func TestAStreamOverOneLimitGivesBackTheOtherPlace(t *testing.T) {
	w := limited(t)
	w.allowances.Principal.CallsPerMinute, w.spent = 0, "server/github"
	c := call(alice)
	c.Action, c.Method, c.Target, c.Lasting = broker.Stream, "GET", "", true
	_, err := made(t, w.broker(), c)
	wantReason(t, err, broker.LimitReached)
	if want := []string{"principal/p-alice"}; !slices.Equal(w.freed, want) {
		t.Errorf("freed %v, want %v", w.freed, want)
	}
}

// A caller over its own limit uses up nobody else's.
func TestTheCallersOwnLimitComesFirst(t *testing.T) {
	w := limited(t)
	w.allowances.Server.CallsPerMinute = 1000
	w.spent = "principal/p-alice"
	_, err := made(t, w.broker(), call(viaAgent(alice, "oidc:bot", false)))
	wantReason(t, err, broker.LimitReached)
	if want := []string{"principal/p-alice"}; !slices.Equal(w.counted, want) {
		t.Errorf("counted %v, want %v", w.counted, want)
	}
}

// A caller who loops for a place that is not there costs no secret and no
// record each time.
func TestARefusedPlaceIsRememberedForAWhile(t *testing.T) {
	w := limited(t)
	w.allowances.Principal.CallsPerMinute, w.spent = 0, "principal/p-alice"
	c := call(alice)
	c.Action, c.Method, c.Target, c.Lasting = broker.Stream, "GET", "", true
	b := w.broker()
	for range 50 {
		_, err := made(t, b, c)
		wantReason(t, err, broker.LimitReached)
	}
	if len(w.counted) != 1 || len(w.records) > 30 {
		t.Errorf("asked for %d places, stored %d records", len(w.counted), len(w.records))
	}
	if _, err := made(t, b, call(alice)); err != nil {
		t.Errorf("a call that is no stream: %v", err)
	}
	w.now, w.spent = w.now.Add(10*time.Second), ""
	if _, err := made(t, b, c); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestSizesAreTheSmallestOfAll(t *testing.T) {
	w := limited(t)
	w.snapshot.Server.Limits.AnswerBytes = 9000
	w.allowances.Principal.RequestBytes = 400
	b := w.broker()
	d, err := b.Decide(t.Context(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	if request, answer := b.Sizes(d); request != 400 || answer != 9000 {
		t.Errorf("%d, %d", request, answer)
	}
}

func TestRecheckEndsWhatIsNoLongerTheSamePermit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		want   broker.Reason
	}{
		"a revoked person": {func(w *world) {
			w.snapshot.Markers = []broker.Marker{{Kind: broker.PrincipalMarker, ID: alice.ID, Revoked: true}}
		}, broker.PrincipalRevoked},
		"a suspended card":    {func(w *world) { w.snapshot.Shared[0].State = broker.Suspended }, broker.BindingClosed},
		"a changed card":      {func(w *world) { w.snapshot.Shared[0].Version++ }, broker.DecisionOutdated},
		"a changed server":    {func(w *world) { w.snapshot.Server.Version++ }, broker.DecisionOutdated},
		"an unread table":     {func(w *world) { w.readErr = broker.ErrUnavailable }, broker.CatalogueUnread},
		"nothing has changed": {func(*world) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			b, d := decided(t, w)
			d.Call.Lists = true
			records := len(w.records)
			c.change(w)
			err := b.Recheck(t.Context(), d)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else {
				wantReason(t, err, c.want)
			}
			if len(w.records) != records {
				t.Error("a recheck was recorded as a call")
			}
			if w.lookup.Tools {
				t.Error("a recheck reads every tool")
			}
		})
	}
}
