package credential

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

func TestTokenIsReplacedBeforeItsEnd(t *testing.T) {
	f := newGranted(t, 50*time.Second)
	c, err := f.obtain(t)
	wantToken(t, c, err, 1)
	if c.Access[0].Version != "1.2" || len(c.Previous) != 1 || c.Previous[0].Reveal() != accessToken(0) {
		t.Errorf("access %+v, %d earlier tokens to mask", c.Access, len(c.Previous))
	}
	if row := f.row(t).Grant; row.Version != 2 || row.Lease != "" || !row.Attempted.IsZero() || f.recorded != 1 || f.provider.n != 1 {
		t.Errorf("stored %+v, recorded %d, asked %d", row, f.recorded, f.provider.n)
	}
	c, err = f.obtain(t)
	wantToken(t, c, err, 1)
	if f.provider.n != 1 || len(c.Previous) != 1 {
		t.Errorf("asked %d times", f.provider.n)
	}
}

// Whoever refreshes does so at one moment for one grant, whatever process it is
// in, and at another for another grant.
func TestMarginIsScatteredOverGrants(t *testing.T) {
	early := map[time.Duration]int{}
	for _, person := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		w := &wanted{key: broker.GrantKey{Principal: person, Server: "files"}}
		for left := 2 * time.Minute; ; left -= time.Second {
			g := &broker.Grant{Version: 1, Expires: epoch.Add(left)}
			if left < refreshMargin {
				t.Fatalf("%s: a token with %s left counts as fresh", person, left)
			}
			if !w.fresh(g, epoch) {
				early[left]++
				break
			}
		}
	}
	if len(early) < 4 {
		t.Errorf("eight grants are refreshed at %d moments", len(early))
	}
}

func TestNothingIsAskedWithoutAStoredIntent(t *testing.T) {
	for name, recorded := range map[string]func(context.Context) error{
		"it was not stored":  func(context.Context) error { return broker.ErrUnrecorded },
		"nobody asks for it": nil,
	} {
		f := newGranted(t, -time.Minute)
		f.ask.Recorded = recorded
		c, err := f.obtain(t)
		wantNone(t, c, err, broker.ErrUnrecorded)
		if f.provider.n != 0 || f.row(t).Grant.Lease != "" {
			t.Errorf("%s: a lease was taken, or the provider asked", name)
		}
	}
}

func TestProviderThatDoesNotRotateKeepsItsRefreshToken(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.keeps = true
	for n := 1; n < 4; n++ {
		c, err := f.obtain(t)
		wantToken(t, c, err, n)
		f.now = f.now.Add(2 * time.Hour)
	}
	if !holds(f.row(t).Grant.Sealed, refreshToken(0)) {
		t.Error("the refresh token is gone")
	}
}

func TestTroubleOfTheProviderIsWaitedOut(t *testing.T) {
	fault := &TokenFault{Kind: Transient, RetryAfter: 10 * time.Minute}
	f := newGranted(t, -time.Minute)
	f.provider.before = func(context.Context) error { return fault }
	c, err := f.obtain(t)
	wantNone(t, c, err, broker.ErrProviderUnavailable)
	row := f.row(t).Grant
	if row.Lease != "" || !row.Attempted.IsZero() || row.Failures != 1 || row.CoolUntil.Before(f.now.Add(10*time.Minute)) || row.Fault != "transient" {
		t.Errorf("stored %+v", row)
	}
	asked := f.recorded
	c, err = f.obtain(t)
	wantNone(t, c, err, broker.ErrProviderUnavailable)
	if f.recorded != asked {
		t.Error("asked again while it cools")
	}
	f.provider.before, f.now = nil, f.now.Add(11*time.Minute)
	c, err = f.obtain(t)
	wantToken(t, c, err, 1)
}

func TestTokenThatStillWorksIsUsedWhileTheProviderIsInTrouble(t *testing.T) {
	for _, kind := range []FaultKind{Transient, OutcomeUnknown, Refused, "of tomorrow"} {
		f := newGranted(t, 50*time.Second)
		f.provider.before = func(context.Context) error { return &TokenFault{Kind: kind} }
		for range 2 {
			c, err := f.obtain(t)
			wantToken(t, c, err, 0)
		}
		f.now = f.now.Add(46 * time.Second)
		if c, err := f.obtain(t); err == nil {
			t.Errorf("%s: a token in its last moment was used, %d fields", kind, len(c.Fields))
		}
	}
}

func TestCoolingDoublesAndEnds(t *testing.T) {
	last := time.Duration(0)
	for n := range 40 {
		d := coolTime(n, 0, "me")
		if d < last || d > 5*time.Minute || d < 2*time.Second {
			t.Errorf("%s after %d failures", d, n)
		}
		last = d
	}
	if coolTime(0, 24*time.Hour, "me") != time.Hour || coolTime(0, time.Minute, "me") != time.Minute {
		t.Error("what the provider asks for is not held to, or has no bound")
	}
}

func TestDeadRefreshTokenIsLatchedOnceAndToldOnce(t *testing.T) {
	f := newGranted(t, 50*time.Second) // the access token still works, and is not used
	f.provider.ended = true
	for range 3 {
		c, err := f.obtain(t)
		wantWhy(t, c, err, broker.ConsentDead)
	}
	if row := f.row(t).Grant; row.Dead.IsZero() || len(row.Sealed) == 0 || !slices.Equal(f.events.died(), []string{"invalid_grant"}) || f.recorded != 1 {
		t.Errorf("stored %+v, told %v, asked %d", row, f.events.died(), f.recorded)
	}
	f.provider.ended, f.provider.current = false, refreshToken(0)
	f.begin(t, f.provider.set(0))
	c, err := f.obtain(t)
	wantToken(t, c, err, 0)
}

func TestLostAnswerOfTheLatchIsStillToldOnce(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.ended = true
	f.db.Inject(memory.KillGrant, memory.Lose(), memory.Refuse())
	c, err := f.obtain(t)
	wantWhy(t, c, err, broker.ConsentDead)
	if len(f.events.died()) != 1 {
		t.Errorf("told %v", f.events.died())
	}
}

func TestUnknownOutcomeIsCountedAndTheLeaseRunsOut(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.after = func() error { return errors.New("connection reset") } // committed, and nobody has it
	c, err := f.obtain(t)
	wantNone(t, c, err, broker.ErrOutcomeUnknown)
	if row := f.row(t).Grant; row.Lease == "" || row.Attempted.IsZero() || len(f.events.unknown()) != 1 || broker.ReasonOf(err) != broker.OutcomeUnknown {
		t.Errorf("stored %+v, counted %d, %s", row, len(f.events.unknown()), broker.ReasonOf(err))
	}
	c, err = f.obtain(t) // patience ends before the lease does
	wantNone(t, c, err, broker.ErrProviderUnavailable)
	if f.provider.n != 1 || len(f.pauses) < 5 {
		t.Errorf("asked %d times, %d pauses", f.provider.n, len(f.pauses))
	}
	f.provider.after, f.now = nil, f.now.Add(leaseTime+broker.ClockSkew)
	c, err = f.obtain(t)
	wantWhy(t, c, err, broker.ConsentDead)
	if !slices.Equal(f.events.died(), []string{"outcome_unknown"}) {
		t.Errorf("told %v", f.events.died())
	}
}

// Opening may take so long that somebody else has the lease by the time the
// provider answers.
func TestHolderThatIsLateDoesNotAsk(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.sealer.onOpen = func() {
		f.now = f.now.Add(callTime)
		f.sealer.onOpen = nil
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 1)
	if len(f.provider.asks) != 1 || f.holders != 2 {
		t.Errorf("asked %d times, %d holders", len(f.provider.asks), f.holders)
	}
}

func TestWaitingIsShortWhileTheTokenWorks(t *testing.T) {
	f := newGranted(t, 50*time.Second)
	if _, err := f.db.LeaseGrant(t.Context(), f.row(t).Grant, "somebody", f.now, f.now.Add(leaseTime)); err != nil {
		t.Fatal(err)
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 0)
	total := time.Duration(0)
	for _, d := range f.pauses {
		total += d
	}
	if total > lessPatience || len(f.pauses) == 0 {
		t.Errorf("waited %s", total)
	}
}

func TestLoserUsesTheWinnersToken(t *testing.T) {
	f := newGranted(t, -time.Minute)
	f.provider.life = 30 * time.Second // so short that it never counts as fresh
	leased, err := f.db.LeaseGrant(t.Context(), f.row(t).Grant, "somebody", f.now, f.now.Add(leaseTime))
	if err != nil {
		t.Fatal(err)
	}
	f.onPause = func(n int) {
		if n != 3 {
			return
		}
		set, err := f.provider.redeem(refreshToken(0))
		if err != nil {
			t.Error(err)
		}
		sealed, err := SealTokens(t.Context(), f.sealer, grantKey(), set, leased.Grant.Scopes)
		if err == nil {
			_, err = f.db.StoreTokens(t.Context(), leased.Grant, sealed, f.now)
		}
		if err != nil {
			t.Error(err)
		}
	}
	c, err := f.obtain(t)
	wantToken(t, c, err, 1)
	if f.provider.n != 1 || f.recorded != 0 {
		t.Errorf("the provider was asked %d times", f.provider.n)
	}
}
