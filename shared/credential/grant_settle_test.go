package credential

import (
	"context"
	"slices"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

func TestRotatedTokenSurvivesAStoreThatDoesNotAnswer(t *testing.T) {
	down := slices.Repeat([]memory.Fault{memory.Refuse()}, 20)
	for name, c := range map[string]struct {
		store, spare []memory.Fault
		version      int64
		spared       bool
		lost         int
	}{
		"one answer lost":         {store: []memory.Fault{memory.Lose()}, version: 2},
		"one write refused":       {store: []memory.Fault{memory.Refuse()}, spare: []memory.Fault{memory.Refuse()}, version: 2},
		"the grant is stuck":      {store: down, version: 1, spared: true},
		"the spare's answer lost": {store: down, spare: []memory.Fault{memory.Lose()}, version: 1, spared: true},
		"nothing can be written":  {store: down, spare: down, version: 1, lost: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newGranted(t, -time.Minute)
			f.db.Inject(memory.StoreTokens, c.store...)
			f.db.Inject(memory.KeepSpare, c.spare...)
			got, err := f.obtain(t)
			wantToken(t, got, err, 1)
			row := f.row(t)
			if row.Grant.Version != c.version || (row.Spare != nil) != c.spared || len(f.events.unknown()) != c.lost {
				t.Errorf("version %d, spare %t, counted %d", row.Grant.Version, row.Spare != nil, len(f.events.unknown()))
			}
			f.db.Clear()
			if f.now = f.now.Add(leaseTime + 2*broker.ClockSkew); c.lost == 0 {
				got, err = f.obtain(t) // from the grant, or the spare is adopted
				wantToken(t, got, err, 1)
				if f.provider.n != 1 || f.row(t).Spare != nil {
					t.Errorf("the provider was asked %d times", f.provider.n)
				}
			}
		})
	}
}

func TestTokenOfAGrantThatEndedMeanwhileIsRevoked(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.after = func() error {
		_, err := f.db.EndGrant(t.Context(), grantKey(), broker.Revoked, f.now)
		return err
	}
	c, err := f.obtain(t)
	wantWhy(t, c, err, broker.ConsentNone)
	if row := f.row(t).Grant; !slices.Equal(f.provider.revoked, []string{refreshToken(1)}) || len(row.Sealed) > 0 || row.State != broker.Revoked {
		t.Errorf("revoked %v, stored %+v", f.provider.revoked, row)
	}
}

func TestNewConsentMeanwhileIsNotHarmed(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.after = func() error {
		f.begin(t, TokenSet{Access: secret.New(accessToken(77)), Refresh: secret.New(refreshToken(77)), Expires: f.now.Add(time.Hour)})
		return nil
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 77)
	if len(f.provider.revoked) > 0 {
		t.Error("a token was revoked, which ends the new consent at some providers")
	}
}

func TestRefreshNeverWidens(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.scopes = []string{"read", "write", "admin"}
	c, err := f.obtain(t)
	wantWhy(t, c, err, broker.ConsentDead)
	if !slices.Equal(f.provider.revoked, []string{refreshToken(1)}) || !slices.Equal(f.events.died(), []string{"wider_scope"}) {
		t.Errorf("revoked %v, told %v", f.provider.revoked, f.events.died())
	}
	f = newGranted(t, -time.Minute, func(g *broker.Grant) { g.Until = epoch.Add(3 * time.Hour) })
	f.provider.scopes = []string{"read"}
	c, err = f.obtain(t)
	wantToken(t, c, err, 1)
	if row := f.row(t).Grant; !slices.Equal(row.Scopes, []string{"read"}) || !row.Until.Equal(epoch.Add(3*time.Hour)) {
		t.Errorf("stored %v until %s", row.Scopes, row.Until)
	}
	f = newGranted(t, -time.Minute)
	f.provider.scopes = []string{"write"}
	for range 2 {
		c, err = f.obtain(t)
		wantWhy(t, c, err, broker.ConsentScopes)
	}
	if f.provider.n != 1 {
		t.Errorf("asked %d times", f.provider.n)
	}
}

func TestWhatIsBegunIsEndedAlthoughTheCallerIsGone(t *testing.T) {
	f := newGranted(t, -time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	f.provider.before = func(ctx context.Context) error { cancel(); return ctx.Err() }
	c, err := NewGrants(f.parts).Obtain(ctx, f.ask)
	wantToken(t, c, err, 1)
	if f.row(t).Grant.Version != 2 {
		t.Error("the token is lost")
	}
}

func TestNothingIsBegunAtTheEndOfAnInvocation(t *testing.T) {
	f := newGranted(t, -time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), leastTime-time.Second)
	defer cancel()
	c, err := NewGrants(f.parts).Obtain(ctx, f.ask)
	wantNone(t, c, err, broker.ErrProviderUnavailable)
	if f.row(t).Grant.Lease != "" || f.provider.n != 0 {
		t.Error("a lease was taken, or the provider asked")
	}
}

func TestProviderThatIsNotOpenIsNotAsked(t *testing.T) {
	for _, a := range []*acme{{state: broker.Suspended}, {state: broker.Deleted}, {err: broker.ErrNotFound}} {
		f := newGranted(t, -time.Minute)
		f.parts.Providers = a
		c, err := f.obtain(t)
		wantNone(t, c, err, broker.ErrProviderRefused)
		if f.provider.n != 0 || f.row(t).Grant.Lease != "" {
			t.Errorf("%s: asked", a.state)
		}
	}
}

func TestKeyThatDoesNotOpenFreesTheLease(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.sealer.faults = 1
	c, err := f.obtain(t)
	wantNone(t, c, err, broker.ErrUnavailable)
	f.now = f.now.Add(2 * time.Second)
	c, err = f.obtain(t)
	wantToken(t, c, err, 1)
}

func TestGrantWithoutARefreshTokenEndsWithItsToken(t *testing.T) {
	f := newGranted(t, 50*time.Second, func(g *broker.Grant) { g.Refreshes = false })
	c, err := f.obtain(t)
	wantToken(t, c, err, 0)
	f.now = f.now.Add(time.Minute)
	c, err = f.obtain(t)
	wantWhy(t, c, err, broker.ConsentDead)
	if f.provider.n != 0 {
		t.Error("asked")
	}
}

// A process that was stopped for longer than its lease lasts has lost it, and
// what it got is still the grant's.
func TestTokenOfALostLeaseIsKeptForItsNextHolder(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.after = func() error {
		f.now = f.now.Add(leaseTime + broker.ClockSkew + time.Second)
		_, err := f.db.LeaseGrant(t.Context(), f.row(t).Grant, "somebody", f.now, f.now.Add(leaseTime))
		return err
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 1)
	if row := f.row(t); row.Grant.Version != 1 || row.Spare == nil || !holds(row.Spare.Sealed, refreshToken(1)) {
		t.Errorf("version %d, spare %t", row.Grant.Version, row.Spare != nil)
	}
}

// The provider's no may come from somebody else's use of the token: if they left
// what they got for it, the grant lives.
func TestSpareThatComesUpMeanwhileIsTriedBeforeTheGrantIsCalledDead(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.before = func(ctx context.Context) error {
		set, err := f.provider.redeem(refreshToken(0))
		if err != nil {
			return err
		}
		row := f.row(t).Grant
		sealed, err := SealTokens(ctx, f.sealer, grantKey(), set, row.Scopes)
		if err == nil {
			err = f.db.KeepSpare(ctx, row, sealed)
		}
		return err
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 1)
	if row := f.row(t); row.Grant.Version != 2 || row.Spare != nil || len(f.events.died()) != 0 {
		t.Errorf("version %d, told %v", row.Grant.Version, f.events.died())
	}
}

// toldBefore is a store where somebody else has latched the death.
type toldBefore struct{ broker.Grants }

func (toldBefore) KillGrant(context.Context, broker.Grant, time.Time, string, broker.Record) (bool, error) {
	return false, nil
}

func TestDeathThatSomebodyElseLatchedIsNotToldAgain(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.ended, f.parts.Grants = true, toldBefore{f.db}
	c, err := f.obtain(t)
	wantWhy(t, c, err, broker.ConsentDead)
	if len(f.events.died()) != 0 {
		t.Errorf("told %v", f.events.died())
	}
}

func TestConsentOfAnotherGenerationCountsForNothing(t *testing.T) {
	f := newGranted(t, time.Hour)
	view := f.row(t)
	view.Consents[0].Generation++
	if err := wantOf(&f.ask).permits(&view, f.now); broker.ReasonOf(err) != broker.AgentNotConsented {
		t.Error(err)
	}
}
