package credential

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// GrantParts are what Grants is made of. All are required, but Catalogue and
// Markers are for RefreshDue only.
type GrantParts struct {
	Grants    broker.Grants
	Providers interface {
		Provider(ctx context.Context, environment, name string) (broker.Provider, error)
	}
	Catalogue broker.Catalogue
	Markers   broker.MarkerReader
	Sealer    broker.Sealer
	Tokens    Refresher
	Events    Events
	Check     func(secret.Value) error // whether a value can be masked; its errors must not hold it
	Now       func() time.Time
	Holder    func() string                              // unique and unpredictable
	Pause     func(context.Context, time.Duration) error // fails when ctx is over
}

// Grants is broker.Source for what is each person's own: a token that their
// consent gave (authorization_code, grantrefresh.go), or a key that they typed
// in (personal_key, grantkey.go). Many processes use one grant at once, and a
// provider that rotates refresh tokens takes the second use of one for theft. So
// one process at a time holds the grant's lease, and only its holder asks the
// provider; the others wait for what it stores.
//
// It never falls back to another account, never widens scopes, never extends a
// consent, and keeps no token between calls. It is safe for concurrent use.
type Grants struct{ parts GrantParts }

// NewGrants makes a Grants.
func NewGrants(p GrantParts) *Grants { return &Grants{parts: p} }

// Obtain implements broker.Source. A fresh token costs one consistent query and
// one opening of a sealed text.
func (g *Grants) Obtain(ctx context.Context, a broker.Ask) (broker.Credential, error) {
	if a.Principal.ID == "" || a.Principal.Kind != broker.User || a.Principal.AgentOnly {
		return broker.Credential{}, &broker.Refusal{Reason: broker.PersonRequired}
	}
	w := wantOf(&a)
	if a.Binding.Source == broker.PersonalKey {
		return g.typedIn(ctx, w)
	}
	fields, err := broker.Fields(a.Server.Attach)
	if err != nil || len(fields) != 1 {
		return broker.Credential{}, fmt.Errorf("%w: a token fills one field", broker.ErrSecretMalformed)
	}
	t, err := g.current(ctx, w)
	if err != nil {
		return broker.Credential{}, err
	}
	return g.credential(fields[0], w, t)
}

// wanted is which grant a call needs, and for what.
type wanted struct {
	key      broker.GrantKey // from route, caller and catalogue
	agent    string
	provider string
	scopes   []string
	server   broker.Server
	stores   []broker.Store
	recorded func(context.Context) error
	due      time.Time // set: somebody refreshes ahead of time what expires before this, and no call waits for it
}

func wantOf(a *broker.Ask) *wanted {
	return &wanted{
		key:   broker.GrantKey{Environment: a.Binding.Environment, Principal: a.Principal.ID, Server: a.Binding.Server, Origin: a.Binding.Origin},
		agent: a.Principal.Agent, provider: a.Binding.Provider, scopes: a.Binding.Scopes,
		server: a.Server, stores: a.Stores, recorded: a.Recorded,
	}
}

// lacks is the answer to a call that the person has to consent to first.
func (w *wanted) lacks(why broker.ConsentWhy) error {
	return &broker.ConsentNeeded{Why: why, Grant: w.key, Provider: w.provider, Scopes: w.scopes}
}

// read gives the grant if this call may use it. What ended, was given at
// another provider, or to another agent, is not this call's.
func (g *Grants) read(ctx context.Context, w *wanted) (broker.GrantView, error) {
	view, err := g.parts.Grants.Grant(ctx, w.key)
	if errors.Is(err, broker.ErrNotFound) {
		return view, w.lacks(broker.ConsentNone)
	}
	if err != nil {
		return view, fmt.Errorf("read the grant: %w", err)
	}
	return view, w.permits(&view, g.parts.Now())
}

func (w *wanted) permits(view *broker.GrantView, now time.Time) error {
	grant := &view.Grant
	agreed := func(c broker.Consent) bool { return c.Agent == w.agent && c.Generation == grant.Generation }
	switch {
	case grant.State != broker.Active, grant.Generation < 1, grant.Provider != w.provider,
		!grant.Until.IsZero() && !now.Before(grant.Until):
		return w.lacks(broker.ConsentNone)
	case !grant.Dead.IsZero():
		return w.lacks(broker.ConsentDead)
	case !w.due.IsZero(): // nobody uses it now
		return nil
	case !slices.ContainsFunc(view.Consents, agreed):
		return w.lacks(broker.ConsentAgent)
	case !within(w.scopes, grant.Scopes):
		return w.lacks(broker.ConsentScopes)
	}
	return nil
}

func within(asked, granted []string) bool {
	return !slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(granted, s) })
}

// How long before its end a token is replaced, and how long before its end it
// is still good for a call.
const (
	refreshMargin = 60 * time.Second
	refreshJitter = 30 * time.Second // at most; the same in all processes for one token, another for another grant
	lastMoment    = 5 * time.Second
)

func (w *wanted) fresh(grant *broker.Grant, now time.Time) bool {
	if grant.Expires.IsZero() {
		return true
	}
	if !w.due.IsZero() {
		return !grant.Expires.Before(w.due)
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%q %q %q %d", w.key.Principal, w.key.Server, w.key.Origin, grant.Version)
	margin := refreshMargin + time.Duration(h.Sum64()%uint64(refreshJitter))
	return now.Add(margin).Before(grant.Expires)
}

func works(grant *broker.Grant, now time.Time) bool {
	return grant.Expires.IsZero() || now.Add(lastMoment).Before(grant.Expires)
}

// tokens is an opened token set of one version.
type tokens struct {
	TokenSet
	previous   secret.Value
	generation int64
	version    int64
}

func (g *Grants) open(ctx context.Context, w *wanted, grant *broker.Grant) (tokens, error) {
	members, err := openFields(ctx, g.parts.Sealer, w.key, grant.Sealed)
	return tokens{
		TokenSet: TokenSet{Access: members[accessMember], Refresh: members[refreshMember], Expires: grant.Expires, Scopes: grant.Scopes},
		previous: members[previousMember], generation: grant.Generation, version: grant.Version,
	}, err
}

// credential puts a token into the one field that the server has.
func (g *Grants) credential(field string, w *wanted, t tokens) (broker.Credential, error) {
	c := broker.Credential{
		Fields: map[string]secret.Value{field: t.Access},
		Access: []broker.Access{{Reference: "grant:" + w.provider, Version: fmt.Sprintf("%d.%d", t.generation, t.version)}},
	}
	if err := maskable(c.Fields, g.parts.Check); err != nil {
		return broker.Credential{}, err
	}
	if !t.previous.IsZero() && g.parts.Check(t.previous) == nil {
		c.Previous = []secret.Value{t.previous}
	}
	return c, nil
}

// maskable refuses fields of which one could not be taken out of an answer.
func maskable(fields map[string]secret.Value, check func(secret.Value) error) error {
	for name, value := range fields {
		if value.IsZero() {
			return fmt.Errorf("field %q: %w: there is no value", name, broker.ErrSecretMalformed)
		}
		if err := check(value); err != nil {
			return fmt.Errorf("field %q: %w: %w", name, broker.ErrSecretMalformed, err)
		}
	}
	return nil
}
