package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

var (
	revokedReference = broker.Marker{Environment: "prod", Kind: broker.ReferenceMarker, ID: "aws-sm:prod/github", Epoch: 1, Revoked: true}
	revokedGrant     = broker.Marker{Environment: "prod", Kind: broker.GrantMarker, ID: alice.ID + "/github", Epoch: 1, Revoked: true}
)

// own is a card of a person's own grant.
func own(t testing.TB) broker.Binding {
	return card(t, "a", user("p-alice"), delegated(broker.UserDelegated, broker.AuthorizationCode, "acme"))
}

func TestARevokedReferenceDropsWhatWasRead(t *testing.T) {
	w := newWorld()
	w.markers = []broker.Marker{revokedReference}
	b, d := decided(t, w)
	r, err := b.Obtain(t.Context(), d)
	wantReason(t, err, broker.ReferenceRevoked)
	if r != nil || w.phases() != "intent: outcome:reference_revoked " || len(w.records[1].Accesses) != 1 {
		t.Errorf("released %v, recorded %s", r, w.phases())
	}
	w.markers[0].Revoked = false
	if _, err := b.Obtain(t.Context(), d); err != nil {
		t.Error(err)
	}
}

// TestMarkersThatCannotBeReadRefuse at each read of them.
func TestMarkersThatCannotBeReadRefuse(t *testing.T) {
	w := newWorld()
	b, d := decided(t, w)
	r, err := b.Obtain(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	w.markerErr = broker.ErrUnavailable
	_, err = b.Obtain(t.Context(), d)
	wantReason(t, err, broker.CatalogueUnread)
	wantReason(t, b.Recheck(t.Context(), d), broker.CatalogueUnread)
	_, err = b.Explain(t.Context(), d.Call)
	wantReason(t, err, broker.CatalogueUnread)
	wantReason(t, broker.Withheld(t.Context(), w, &broker.Ask{Binding: d.Binding, Stores: d.Stores}), broker.CatalogueUnread)
	wantReason(t, broker.Withheld(t.Context(), nil, &broker.Ask{Binding: d.Binding, Stores: d.Stores}), broker.CatalogueUnread)
	if err := b.Again(t.Context(), r); !errors.Is(err, broker.ErrNothingBetter) {
		t.Errorf("a source that cannot do better: %v", err)
	}
	better := w.with(broker.Static, refusable{w})
	wantReason(t, better.Again(t.Context(), r), broker.CatalogueUnread)
}

// refusable is a source that has something else each time.
type refusable struct{ *world }

func (refusable) Refused(context.Context, broker.Ask, []broker.Access) (broker.Credential, error) {
	return broker.Credential{Fields: map[string]secret.Value{"token": secret.New("another-value-0123456789")}}, nil
}

func TestWhatIsRevokedDuringACallIsSeenByItsOtherDoors(t *testing.T) {
	w := newWorld()
	_, d := decided(t, w)
	b := w.with(broker.Static, refusable{w})
	r, err := b.Obtain(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	w.markers = []broker.Marker{revokedReference}
	wantReason(t, b.Recheck(t.Context(), d), broker.ReferenceRevoked)
	wantReason(t, b.Again(t.Context(), r), broker.ReferenceRevoked)
	_, err = b.Explain(t.Context(), d.Call)
	wantReason(t, err, broker.ReferenceRevoked)
}

// TestNobodyIsAskedForAConsentThatWouldNotHelp: a revoked grant is no missing one.
func TestNobodyIsAskedForAConsentThatWouldNotHelp(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared, w.markers = []broker.Binding{own(t)}, []broker.Marker{revokedGrant}
	b := w.with(broker.AuthorizationCode, &asked{err: &broker.ConsentNeeded{Why: broker.ConsentNone}})
	d, err := b.Decide(t.Context(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Obtain(t.Context(), d)
	wantReason(t, err, broker.GrantRevoked)
	if errors.Is(err, broker.ErrConsentRequired) {
		t.Error("a consent is asked for")
	}
}

// TestNothingChangesOutsideForWhatIsRevoked: a source that would ask a provider
// waits for the markers as it does for the intent, and is told.
func TestNothingChangesOutsideForWhatIsRevoked(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		want  broker.Reason
	}{
		"revoked":    {func(w *world) { w.markers = []broker.Marker{revokedGrant} }, broker.GrantRevoked},
		"unreadable": {func(w *world) { w.markerErr = broker.ErrUnavailable }, broker.CatalogueUnread},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.snapshot.Shared = []broker.Binding{own(t)}
			c.spoil(w)
			var told error
			b := w.with(broker.AuthorizationCode, sourceFunc(func(ctx context.Context, a broker.Ask) (broker.Credential, error) {
				told = a.Recorded(ctx)
				return broker.Credential{}, told
			}))
			d, err := b.Decide(t.Context(), call(alice))
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Obtain(t.Context(), d)
			wantReason(t, err, c.want)
			wantReason(t, told, c.want)
		})
	}
}

type sourceFunc func(context.Context, broker.Ask) (broker.Credential, error)

func (f sourceFunc) Obtain(ctx context.Context, a broker.Ask) (broker.Credential, error) {
	return f(ctx, a)
}

// TestMarkersAreReadBesideIntentAndSecret: none of the three ends before all have
// begun.
func TestMarkersAreReadBesideIntentAndSecret(t *testing.T) {
	w := newWorld()
	b, d := decided(t, w)
	var begun sync.WaitGroup
	begun.Add(3)
	meet := func() { begun.Done(); begun.Wait() }
	obtain := w.obtain
	w.beforeMarkers = meet
	w.auditErr = func(r broker.Record) error {
		if r.Phase == broker.Intent {
			w.mu.Unlock()
			meet()
			w.mu.Lock()
		}
		return nil
	}
	w.obtain = func() (broker.Credential, error) { meet(); return obtain() }
	if _, err := b.Obtain(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// TestChangesAreReadForCardsThatKeepValues, and for no other.
func TestChangesAreReadForCardsThatKeepValues(t *testing.T) {
	w := newWorld()
	w.markers = []broker.Marker{{Environment: "prod", Kind: broker.ChangeMarker, ID: "aws-sm:prod/github", Epoch: 7},
		{Environment: "prod", Kind: broker.ChangeMarker, ID: "aws-sm:prod/github?stage=AWSPREVIOUS", Epoch: 2}}
	var counts []int64
	b := w.with(broker.Static, sourceFunc(func(ctx context.Context, a broker.Ask) (broker.Credential, error) {
		changes, err := a.Changes(ctx)
		for _, f := range a.Binding.Fields {
			counts = append(counts, f.Reference.Changes(changes))
		}
		return broker.Credential{}, err
	}))
	for want, change := range map[int64]func(*broker.Binding){
		0: func(*broker.Binding) {},
		7: func(b *broker.Binding) { b.MaxAge = broker.MaxMaxAge },
		9: func(b *broker.Binding) {
			b.MaxAge, b.Fields[0].Reference = 1, reference(t, "aws-sm:prod/github?stage=AWSPREVIOUS#token")
		},
	} {
		counts, w.snapshot.Shared = nil, []broker.Binding{card(t, "a", user("p-alice"), change)}
		d, err := b.Decide(t.Context(), call(alice))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Obtain(t.Context(), d); err != nil || len(counts) != 1 || counts[0] != want {
			t.Errorf("%v, counts %v, want %d", err, counts, want)
		}
	}
}

// TestARevokedCardStandsAboveWiderOnes, for the caller and for the person behind
// an agent, and nothing that only it serves is listed.
func TestARevokedCardStandsAboveWiderOnes(t *testing.T) {
	bot := viaAgent(alice, "okta:bot", false)
	w := newWorld()
	w.snapshot.Agent = &broker.Agent{Environment: "prod", ID: "okta:bot", State: broker.Active, Ceiling: broker.Critical}
	w.snapshot.Markers = []broker.Marker{{Kind: broker.BindingMarker, ID: "github/person", Revoked: true}}
	w.snapshot.Shared = []broker.Binding{card(t, "agent", broker.Actor{Agent: "okta:bot"}), card(t, "everybody", broker.Actor{Anyone: true})}
	w.snapshot.Personal = []broker.Binding{card(t, "person", user("p-alice"))}
	b := w.broker()
	for name, c := range map[string]broker.Call{"the best": call(alice), "a wider one, by its name": call(alice), "the agent's": call(bot)} {
		switch name {
		case "the agent's":
			c.BindingName = "agent"
		case "a wider one, by its name":
			c.BindingName = "everybody"
		}
		d, err := b.Explain(t.Context(), c)
		if wantReason(t, err, broker.BindingClosed); d.Candidates[0].State != broker.Revoked {
			t.Errorf("%s: the record says %+v", name, d.Candidates)
		}
	}
	if w.snapshot.Personal[0].State != broker.Active {
		t.Error("what was read was changed")
	}
}

func TestNothingIsListedThatARevokedCardServes(t *testing.T) {
	w := newWorld()
	only := func(tool string) func(*broker.Binding) {
		return func(b *broker.Binding) { b.Allow.Tools = []string{tool} }
	}
	w.snapshot.Shared = []broker.Binding{card(t, "one", user("p-alice"), only("one")), card(t, "two", broker.Actor{Anyone: true}, only("two"))}
	w.snapshot.Markers = []broker.Marker{{Kind: broker.BindingMarker, ID: "github/two", Revoked: true}}
	c := call(alice)
	c.Action, c.Target, c.Lists = broker.List, "", true
	d, err := w.broker().Explain(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Sees(broker.CallTool, "one") || d.Sees(broker.CallTool, "two") {
		t.Error("a list shows what a call is refused")
	}
}

// TestNoMarkerIsReadTwice: fields of one secret ask for it once.
func TestNoMarkerIsReadTwice(t *testing.T) {
	w := newWorld()
	w.snapshot.Server.Attach = []broker.Attachment{{In: broker.InBasic, Template: "{user}:{token}"}}
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) {
		b.Fields = append(b.Fields, broker.Field{Name: "user", Reference: reference(t, "aws-sm:prod/github#user")})
	})}
	if _, err := w.broker().Explain(t.Context(), call(alice)); err != nil {
		t.Fatal(err)
	}
	if len(w.marked) != 1 || w.marked[0] != revokedReference.Key() {
		t.Errorf("read: %+v", w.marked)
	}
}
