package credential

import (
	"context"
	"errors"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// catalogued has the grant's environment and server in the catalogue.
func catalogued(t *testing.T, life time.Duration) *granted {
	t.Helper()
	f := newGranted(t, life)
	if err := f.db.PutEnvironment(t.Context(), broker.Environment{Name: "prod", State: broker.Active}); err != nil {
		t.Fatal(err)
	}
	s := f.ask.Server
	s.Owner = "platform"
	if err := f.db.PutServer(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	b := f.ask.Binding
	b.Version, b.State, b.Owner, b.Actor = 0, broker.Active, "platform", broker.Actor{Anyone: true}
	if err := f.db.PutBinding(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return f
}

// rebind changes the one binding.
func (f *granted) rebind(t *testing.T, change func(*broker.Binding)) error {
	t.Helper()
	b, err := f.db.BindingVersion(t.Context(), broker.Route{Environment: "prod", Server: "files"}, "mine", 1)
	if err != nil {
		return err
	}
	change(&b)
	return f.db.PutBinding(t.Context(), b)
}

// marked revokes something.
func marked(kind broker.MarkerKind, id string) func(*testing.T, *granted) error {
	return func(t *testing.T, f *granted) error {
		return f.db.PutMarker(t.Context(), broker.Marker{Environment: "prod", Kind: kind, ID: id, Epoch: 1, Revoked: true, At: f.now})
	}
}

func (f *granted) refreshDue(t *testing.T, want Prefetched) {
	t.Helper()
	done, err := NewGrants(f.parts).RefreshDue(t.Context(), "prod", f.now.Add(15*time.Minute), 10)
	if err != nil || done != want {
		t.Errorf("did %+v, want %+v, %v", done, want, err)
	}
}

func TestDueGrantsAreRefreshedAheadOfTime(t *testing.T) {
	f := catalogued(t, 10*time.Minute)
	f.refreshDue(t, Prefetched{Refreshed: 1})
	f.refreshDue(t, Prefetched{})
	if row := f.row(t).Grant; row.Version != 2 || f.provider.n != 1 || f.provider.asks[0].Server.URL != grantServerURL {
		t.Errorf("version %d, asked %d times", row.Version, f.provider.n)
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 1)
}

func TestDueGrantsThatMayNotBeUsedAreLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *granted) error{
		"the server is closed": func(t *testing.T, f *granted) error {
			s := f.ask.Server
			s.Version, s.State, s.Owner = 1, broker.Suspended, "platform"
			return f.db.PutServer(t.Context(), s)
		},
		"the server moved": func(t *testing.T, f *granted) error {
			s := f.ask.Server
			s.Version, s.URL, s.Owner = 1, "https://elsewhere.example.com/mcp", "platform"
			return f.db.PutServer(t.Context(), s)
		},
		"the environment is closed": func(t *testing.T, f *granted) error {
			return f.db.PutEnvironment(t.Context(), broker.Environment{Name: "prod", Version: 1, State: broker.Suspended})
		},
		"the person is revoked":      marked(broker.PrincipalMarker, "p-alice"),
		"the server is revoked":      marked(broker.ServerMarker, "files"),
		"its only card is revoked":   marked(broker.BindingMarker, "files/mine"),
		"the environment is revoked": marked(broker.EverythingMarker, "prod"),
		"the grant is revoked":       marked(broker.GrantMarker, "p-alice/files"),
		"no binding uses it": func(t *testing.T, f *granted) error {
			return f.rebind(t, func(b *broker.Binding) { b.State = broker.Suspended })
		},
		"the binding has expired": func(t *testing.T, f *granted) error {
			return f.rebind(t, func(b *broker.Binding) { b.Expires = epoch })
		},
		"the bindings ask another provider": func(t *testing.T, f *granted) error {
			return f.rebind(t, func(b *broker.Binding) { b.Provider = "other" })
		},
		"the bindings are of another kind": func(t *testing.T, f *granted) error {
			return f.rebind(t, func(b *broker.Binding) { b.Source = broker.TokenExchange })
		},
		"somebody else refreshes": func(t *testing.T, f *granted) error {
			_, err := f.db.LeaseGrant(t.Context(), f.row(t).Grant, "somebody", f.now, f.now.Add(leaseTime))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := catalogued(t, 10*time.Minute)
			if err := change(t, f); err != nil {
				t.Fatal(err)
			}
			f.refreshDue(t, Prefetched{Left: 1})
			if f.provider.n != 0 || len(f.pauses) != 0 || f.sealer.opens != 0 {
				t.Error("asked, opened, or waited for")
			}
		})
	}
}

func TestDueListThatCannotBeReadIsAFault(t *testing.T) {
	for _, op := range []memory.Op{memory.ListDue, memory.Snapshot, memory.ReadMarkers} {
		f := catalogued(t, 10*time.Minute)
		f.db.Inject(op, memory.Refuse())
		if done, err := NewGrants(f.parts).RefreshDue(t.Context(), "prod", f.now.Add(15*time.Minute), 10); err == nil || done != (Prefetched{}) {
			t.Errorf("%s: %+v, %v", op, done, err)
		}
	}
}

// holed is a list in which a row does not decode.
type holed struct{ broker.Grants }

func (h holed) DueGrants(ctx context.Context, environment string, before time.Time, limit int) ([]broker.Grant, error) {
	due, err := h.Grants.DueGrants(ctx, environment, before, limit)
	if err == nil {
		err = &broker.PassedOver{Rows: 1, Err: errors.New("made-up: the row does not decode")}
	}
	return due, err
}

func TestAGrantThatDoesNotDecodeKeepsNoOtherFromBeingRefreshed(t *testing.T) {
	f := catalogued(t, 10*time.Minute)
	f.parts.Grants = holed{f.parts.Grants}
	f.refreshDue(t, Prefetched{Refreshed: 1, Unread: 1})
}
