package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"bindery/shared/broker"
)

// TestASecretIsReachedByOneNameOnly: a card of a time when ARNs were taken is
// refused, whatever paths its store was registered with, because a revocation of
// the secret by its name does not reach it.
func TestASecretIsReachedByOneNameOnly(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/github"
	for _, path := range []string{arn + "-AbCdEf", arn, arn[:len(arn)-len("hub")], "ARN" + arn[len("arn"):]} {
		stored, err := broker.StoredReference("aws-sm:" + path + "#token")
		if err != nil {
			t.Fatal(err)
		}
		for _, paths := range []broker.Scope{{"*"}, {"prod/*", path}, {arn[:len(arn)-len("github")] + "*"}} {
			w := newWorld()
			w.obtain = nil // no secret may be touched
			w.snapshot.Stores[0].Paths = paths
			w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Fields[0].Reference = stored })}
			_, err := w.broker().Decide(context.Background(), call(alice))
			wantReason(t, err, broker.ReferenceOutside)
		}
	}
}

// TestARevocationHoldsUnderEveryRegistrationOfThePlace: a secret that two stores
// read has two names.
func TestARevocationHoldsUnderEveryRegistrationOfThePlace(t *testing.T) {
	vault := func(name, address, namespace string) broker.Store {
		return broker.Store{Environment: "prod", Name: name, Kind: "vault", State: broker.Active, Paths: broker.Scope{"*"}, Address: address, Namespace: namespace}
	}
	aws := func(name string, state broker.State) broker.Store {
		return broker.Store{Environment: "prod", Name: name, Kind: "aws-sm", State: state, Paths: broker.Scope{"*"}}
	}
	const here = "https://vault.example.com"
	for name, c := range map[string]struct {
		own, other    broker.Store
		card, revoked string
		reached       bool
	}{
		"one Secrets Manager":         {aws("a", broker.Active), aws("b", broker.Active), "a:prod/x#token", "b:prod/x", true},
		"whichever of its versions":   {aws("a", broker.Active), aws("b", broker.Active), "a:prod/x?stage=AWSPREVIOUS#token", "b:prod/x", true},
		"a registration that is over": {aws("a", broker.Active), aws("b", broker.Deleted), "a:prod/x#token", "b:prod/x", true},
		"another secret":              {aws("a", broker.Active), aws("b", broker.Active), "a:prod/x#token", "b:prod/y", false},
		"one Vault":                   {vault("a", here, ""), vault("b", "https://VAULT.example.com:443/", ""), "a:kv/x#token", "b:kv/x", true},
		"another Vault":               {vault("a", here, ""), vault("b", "https://vault.example.com:8200", ""), "a:kv/x#token", "b:kv/x", false},
		"a Vault behind another path": {vault("a", here+"/one", ""), vault("b", here+"/two", ""), "a:kv/x#token", "b:kv/x", false},
		"a namespace in the path":     {vault("a", here, "team"), vault("b", here, ""), "a:kv/x#token", "b:team/kv/x", true},
		"a namespace out of the path": {vault("a", here, ""), vault("b", here, "/team/"), "a:team/kv/x#token", "b:kv/x", true},
		"a namespace below":           {vault("a", here, "team"), vault("b", here, "team/git"), "a:git/kv/x#token", "b:kv/x", true},
		"another namespace":           {vault("a", here, "team"), vault("b", here, "teams"), "a:kv/x#token", "b:kv/x", false},
		"another kind of store":       {aws("a", broker.Active), vault("b", here, ""), "a:kv/x#token", "b:kv/x", false},
	} {
		ask := broker.Ask{Binding: broker.Binding{Environment: "prod", Source: broker.Static, Fields: []broker.Field{{Name: "token", Reference: reference(t, c.card)}}},
			Stores: []broker.Store{c.own, c.other}}
		key := broker.MarkerKey{Kind: broker.ReferenceMarker, ID: c.revoked}
		if got := slices.Contains(broker.RestsOn(ask), key); got != c.reached {
			t.Errorf("%s: rests on %v", name, broker.RestsOn(ask))
		}
	}
}

// TestARevocationReachesEveryMemberAndVersion of a secret, also what is written
// no more because it says nothing: the label that is read anyway.
func TestARevocationReachesEveryMemberAndVersion(t *testing.T) {
	revoked := reference(t, "aws-sm:prod/github")
	for _, text := range []string{"aws-sm:prod/github", "aws-sm:prod/github#token", "aws-sm:prod/github?stage=AWSCURRENT#token", "aws-sm:prod/github?stage=AWSPREVIOUS"} {
		of, err := broker.StoredReference(text)
		if err != nil {
			t.Fatal(err)
		}
		if !revoked.Covers(of) {
			t.Errorf("%s is not reached", text)
		}
	}
	for _, other := range []string{"aws-sm:prod/github-2", "aws-sm:/prod/github", "aws-sm:Prod/github", "vault:prod/github", "aws-sm:prod/github/x"} {
		if revoked.Covers(reference(t, other)) {
			t.Errorf("%s is reached: it is another secret", other)
		}
	}
}

// TestWhatIsRevokedUnderAClosedStoreStays: that the other registration is revoked
// besides, or suspended, must not open what its name has stopped.
func TestWhatIsRevokedUnderAClosedStoreStays(t *testing.T) {
	for name, shut := range map[string]func(*world){
		"suspended": func(w *world) { w.snapshot.Stores[1].State = broker.Suspended },
		"deleted":   func(w *world) { w.snapshot.Stores[1].State = broker.Deleted },
		"revoked": func(w *world) {
			w.snapshot.Markers = []broker.Marker{{Environment: "prod", Kind: broker.StoreMarker, ID: "other", Epoch: 1, Revoked: true}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.snapshot.Stores = append(w.snapshot.Stores, broker.Store{Environment: "prod", Name: "other", Kind: "aws-sm", Paths: broker.Scope{"*"}, State: broker.Active})
			w.markers = []broker.Marker{{Environment: "prod", Kind: broker.ReferenceMarker, ID: "other:prod/github", Epoch: 1, Revoked: true}}
			shut(w)
			b, d := decided(t, w)
			_, err := b.Obtain(t.Context(), d)
			wantReason(t, err, broker.ReferenceRevoked)
		})
	}
}

// TestARevokedStoreIsReadByNobody, though what is said by its name still holds.
func TestARevokedStoreIsReadByNobody(t *testing.T) {
	w := newWorld()
	w.obtain = nil // no secret may be touched
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"))}
	w.snapshot.Markers = []broker.Marker{{Environment: "prod", Kind: broker.StoreMarker, ID: "aws-sm", Epoch: 1, Revoked: true}}
	_, err := w.broker().Decide(t.Context(), call(alice))
	wantReason(t, err, broker.StoreUnregistered)
	for _, s := range w.snapshot.OpenStores() {
		if s.State == broker.Active {
			t.Errorf("store %s is open", s.Name)
		}
	}
	if w.snapshot.Stores[0].State != broker.Active {
		t.Error("what was read is changed")
	}
}

// atMost refuses more keys than a reader of markers takes.
type atMost struct{ *world }

func (l atMost) Markers(ctx context.Context, environment string, keys []broker.MarkerKey) ([]broker.Marker, error) {
	if err := broker.CheckMarkers(environment, keys); err != nil {
		return nil, err
	}
	return l.world.Markers(ctx, environment, keys)
}

// TestManyRegistrationsOfOnePlaceStopNoCall: each is another name to ask about.
func TestManyRegistrationsOfOnePlaceStopNoCall(t *testing.T) {
	w := newWorld()
	b := card(t, "a", user("p-alice"))
	b.Fields = nil
	for i := range 90 {
		b.Fields = append(b.Fields, broker.Field{Name: fmt.Sprint("f", i), Reference: reference(t, fmt.Sprint("aws-sm:prod/s", i, "?stage=AWSPREVIOUS#token"))})
	}
	stores := w.snapshot.Stores
	for i := range 9 {
		stores = append(stores, broker.Store{Environment: "prod", Name: fmt.Sprint("again-", i), Kind: "aws-sm", Paths: broker.Scope{"*"}, State: broker.Active})
	}
	ask := &broker.Ask{Binding: b, Stores: stores}
	if err := broker.Withheld(t.Context(), atMost{w}, ask); err != nil {
		t.Errorf("nothing is revoked: %v", err)
	}
	w.markers = []broker.Marker{{Environment: "prod", Kind: broker.ReferenceMarker, ID: "again-8:prod/s89", Epoch: 1, Revoked: true}} // the last that is asked for
	wantReason(t, broker.Withheld(t.Context(), atMost{w}, ask), broker.ReferenceRevoked)
}

// TestStoresThatNoDecisionHasReadAreOpenOnlyIfNothingRevokesThem: as of the secret
// with which people log in.
func TestStoresThatNoDecisionHasReadAreOpenOnlyIfNothingRevokesThem(t *testing.T) {
	w := newWorld()
	provider := &broker.Provider{Environment: "prod", ClientSecret: reference(t, "aws-sm:prod/login#secret")}
	withheld := func() error {
		stores, err := broker.OpenStores(t.Context(), w, "prod", w.snapshot.Stores)
		if err != nil {
			return err
		}
		return broker.ClientWithheld(t.Context(), w, provider, stores)
	}
	if err := withheld(); err != nil {
		t.Errorf("nothing is revoked: %v", err)
	}
	w.markers = []broker.Marker{{Environment: "prod", Kind: broker.StoreMarker, ID: "aws-sm", Epoch: 1, Revoked: true}}
	wantReason(t, withheld(), broker.StoreUnregistered)
	w.markerErr = broker.ErrUnavailable
	if err := withheld(); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}
