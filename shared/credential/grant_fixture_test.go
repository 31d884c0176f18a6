package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/plainseal"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

var epoch = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const grantServerURL = "https://files.example.com/mcp"

// plainSealer counts, and fails when it is told to.
type plainSealer struct {
	plainseal.Sealer
	mu     sync.Mutex
	faults int // so many calls fail first
	opens  int
	onOpen func()
}

func (s *plainSealer) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults--
	return s.faults >= 0
}

func (s *plainSealer) Seal(ctx context.Context, c broker.SealContext, v secret.Value) ([]byte, error) {
	if s.failing() {
		return nil, broker.ErrUnavailable
	}
	return s.Sealer.Seal(ctx, c, v)
}

func (s *plainSealer) Open(ctx context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	s.mu.Lock()
	s.opens++
	s.mu.Unlock()
	if s.onOpen != nil {
		s.onOpen()
	}
	if s.failing() {
		return secret.Value{}, broker.ErrUnavailable
	}
	return s.Sealer.Open(ctx, c, sealed)
}

// rotating is a provider that replaces the refresh token at each use, and takes
// a second use of one for theft: it ends the whole family.
type rotating struct {
	mu      sync.Mutex
	n       int    // of token sets issued
	current string // the one refresh token that is good
	used    int    // uses of one that was good before
	ended   bool
	revoked []string
	asks    []TokenAsk
	life    time.Duration
	scopes  []string
	keeps   bool // it does not rotate
	now     func() time.Time
	before  func(ctx context.Context) error // runs first; an error is the answer
	after   func() error                    // runs when the token set is issued; an error is the answer
}

func (p *rotating) set(n int) TokenSet {
	return TokenSet{
		Access: secret.New(accessToken(n)), Refresh: secret.New(refreshToken(n)), Expires: p.now().Add(p.life), Scopes: p.scopes,
	}
}

func accessToken(n int) string  { return fmt.Sprintf("%s-access-%04d", canary, n) }
func refreshToken(n int) string { return fmt.Sprintf("%s-refresh-%04d", canary, n) }

// redeem uses a refresh token.
func (p *rotating) redeem(refresh string) (TokenSet, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
		return TokenSet{}, &TokenFault{Kind: InvalidGrant}
	case refresh != p.current:
		p.used++
		p.ended = true
		return TokenSet{}, &TokenFault{Kind: InvalidGrant}
	}
	p.n++
	set := p.set(p.n)
	if p.keeps {
		set.Refresh = secret.Value{}
	} else {
		p.current = refreshToken(p.n)
	}
	return set, nil
}

func (p *rotating) Refresh(ctx context.Context, a TokenAsk, refresh secret.Value) (TokenSet, error) {
	deadline, bounded := ctx.Deadline()
	if left := time.Until(deadline); !bounded || left <= 0 || left > callTime {
		return TokenSet{}, &TokenFault{Kind: Transient, Err: fmt.Errorf("%s are left for the call", left)}
	}
	if p.before != nil {
		if err := p.before(ctx); err != nil {
			return TokenSet{}, err
		}
	}
	p.mu.Lock()
	p.asks = append(p.asks, a)
	p.mu.Unlock()
	set, err := p.redeem(refresh.Reveal())
	if p.after != nil && err == nil {
		err = p.after()
	}
	return set, err
}

func (p *rotating) Revoke(_ context.Context, _ TokenAsk, s TokenSet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = append(p.revoked, s.Refresh.Reveal())
	if s.Refresh.Reveal() == p.current {
		p.ended = true
	}
	return nil
}

// granted is one person's grant at one upstream, and all around it.
type granted struct {
	db       *memory.DB
	provider *rotating
	acme     *acme
	sealer   *plainSealer
	events   *told
	now      time.Time
	parts    GrantParts
	ask      broker.Ask
	recorded int
	holders  int
	pauses   []time.Duration
	onPause  func(n int)
}

func grantKey() broker.GrantKey {
	origin, _ := broker.OriginDigest(grantServerURL)
	return broker.GrantKey{Environment: "prod", Principal: "p-alice", Server: "files", Origin: origin}
}

// newGranted has a grant whose access token ends after so long.
func newGranted(t testing.TB, life time.Duration, change ...func(*broker.Grant)) *granted {
	t.Helper()
	f := &granted{now: epoch, sealer: &plainSealer{}, acme: &acme{state: broker.Active}}
	clock := func() time.Time { return f.now }
	f.db = memory.New(clock)
	f.events = newTold(f.db, clock)
	f.provider = &rotating{life: time.Hour, now: clock, current: refreshToken(0)}
	f.parts = GrantParts{
		Grants: f.db, Providers: f.acme, Catalogue: f.db, Markers: f.db, Sealer: f.sealer, Tokens: f.provider, Events: f.events, Check: check, Now: clock,
		Holder: func() string { f.holders++; return fmt.Sprintf("holder-%d", f.holders) },
		Pause: func(_ context.Context, d time.Duration) error {
			f.pauses = append(f.pauses, d)
			f.now = f.now.Add(d)
			if f.onPause != nil {
				f.onPause(len(f.pauses))
			}
			return nil
		},
	}
	f.ask = broker.Ask{
		Binding: broker.Binding{Environment: "prod", Server: "files", Name: "mine", Version: 1, Mode: broker.UserDelegated,
			Source: broker.AuthorizationCode, Provider: "acme", Scopes: []string{"read"}, Origin: grantKey().Origin},
		Server: broker.Server{Environment: "prod", Name: "files", URL: grantServerURL, State: broker.Active,
			Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}},
		Principal: broker.Principal{ID: "p-alice", Kind: broker.User},
		Recorded:  func(context.Context) error { f.recorded++; return nil },
	}
	set := f.provider.set(0)
	set.Expires = f.now.Add(life)
	f.begin(t, set, change...)
	f.sealer.opens = 0
	return f
}

// begin stores a consent.
func (f *granted) begin(t testing.TB, set TokenSet, change ...func(*broker.Grant)) {
	t.Helper()
	g := broker.Grant{GrantKey: grantKey(), Provider: "acme", Authority: "https://idp.example.com", Scopes: []string{"read", "write"}, Consented: f.now}
	if view, err := f.db.Grant(t.Context(), g.GrantKey); err == nil {
		g.Generation = view.Grant.Generation
	}
	sealed, err := SealTokens(t.Context(), f.sealer, g.GrantKey, set, g.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	g.Sealed, g.Expires, g.Refreshes = sealed.Sealed, set.Expires, sealed.Refreshes
	for _, f := range change {
		f(&g)
	}
	if err := f.db.BeginGrant(t.Context(), g, broker.Consent{At: f.now}); err != nil {
		t.Fatal(err)
	}
}

func (f *granted) obtain(t testing.TB) (broker.Credential, error) {
	t.Helper()
	return NewGrants(f.parts).Obtain(t.Context(), f.ask)
}

func (f *granted) row(t testing.TB) broker.GrantView {
	t.Helper()
	view, err := f.db.Grant(t.Context(), grantKey())
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// wantToken requires the n-th access token and nothing else.
func wantToken(t *testing.T, c broker.Credential, err error, n int) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
		return
	}
	if len(c.Fields) != 1 || c.Fields["token"].Reveal() != accessToken(n) {
		t.Errorf("got %q, want the access token %d", c.Fields["token"].Reveal(), n)
	}
}

// wantNone requires a fault, with nothing beside it and no token in it.
func wantNone(t *testing.T, c broker.Credential, err, want error) {
	t.Helper()
	mustRefuse(t, "a grant", c, err, want)
}

func wantWhy(t *testing.T, c broker.Credential, err error, why broker.ConsentWhy) {
	t.Helper()
	wantNone(t, c, err, broker.ErrConsentRequired)
	var needed *broker.ConsentNeeded
	if errors.As(err, &needed) && (needed.Why != why || needed.Grant.Principal != "p-alice" || needed.Provider != "acme" || !slices.Equal(needed.Scopes, []string{"read"})) {
		t.Errorf("lacks %+v, want %s", needed, why)
	}
}

func holds(sealed []byte, token string) bool { return strings.Contains(string(sealed), `"`+token+`"`) }
