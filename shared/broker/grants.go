package broker

import (
	"context"
	"time"
)

// GrantKey says whose consent at which upstream: one grant each.
type GrantKey struct {
	Environment string
	Principal   string
	Server      string
	Origin      string // digest of the server's origin, from the catalogue
}

// Grant is one person's stored consent: sealed tokens, or a sealed key the
// person typed in, and what is known of them. Generation counts consents and
// never restarts; Version counts stored token sets within all of them.
type Grant struct {
	GrantKey
	Generation int64
	Version    int64
	State      State // Active, Revoked (by an administrator), Deleted (disconnected)
	Provider   string
	Authority  string    // the authorization server that issued the tokens (Provider.Authority); empty: nobody wrote it down
	Resource   string    // that the tokens were asked for (RFC 8707); empty: the server's URL
	Scopes     []string  // granted; a refresh never widens them
	Consented  time.Time // when the person agreed to this generation
	Until      time.Time // end of the consent; a refresh never extends it; zero: none
	Sealed     []byte    // what Tokens holds; empty once revoked or deleted
	Expires    time.Time // of the access token; zero: it does not expire
	Refreshes  bool      // there is a refresh token

	Lease      string    // who refreshes now; empty: nobody
	LeaseUntil time.Time // until when nobody else may
	Attempted  time.Time // when the latest lease was taken whose end is not known; zero: none such
	Unsettled  time.Time // under a lease: the Attempted of whoever had one before and was not heard of again
	CoolUntil  time.Time // the provider was in trouble: no refresh before
	Failures   int       // transient ones in a row
	Dead       time.Time // since when the provider refuses the refresh token; zero: it does not
	Fault      string    // a word for the last failure
	Ended      time.Time // since when it is Revoked or Deleted
}

// Consent says that the person agreed that this agent (or, where it is empty, they themselves
// without one) uses the grant of this generation.
type Consent struct {
	Agent      string
	Generation int64
	At         time.Time
}

// Spare is a token set that the provider issued and that could not be stored
// in its grant. Whoever refreshes next stores it instead of asking again.
type Spare struct {
	Generation int64
	Version    int64 // of the grant whose refresh token it replaced
	Sealed     []byte
	Expires    time.Time
	Scopes     []string
	Refreshes  bool
}

// GrantView is all there is about one grant, read in one consistent query.
type GrantView struct {
	Grant    Grant
	Consents []Consent // of the grant's very generation, in order of the agents
	Spare    *Spare    // of the grant's very generation and version, or nil
}

// Tokens is a new token set for a grant.
type Tokens struct {
	Sealed    []byte
	Expires   time.Time
	Scopes    []string
	Refreshes bool
}

// Grants keeps grants. Every write but BeginGrant and EndGrant names the
// generation and version it saw and fails with ErrConflict, changing nothing, if
// they are others by now, or the grant is not Active or dead. A write that was
// applied although its answer was lost is recognised when it is repeated by the
// same holder, until somebody else's write, and succeeds. Holders are unique to
// an attempt. Times come from the caller; ClockSkew counts in a lease holder's
// favour.
//
// Grant fails with ErrNotFound where there never was one.
//
// BeginGrant stores a consent: a new generation (g.Generation is the one it
// replaces, 0 for the first) with its tokens, and the consent of the agent to
// it, in one transaction. Of g, only key, provider, authority, resource, scopes,
// times and tokens count. Lease, cooling, death and end of the former are over;
// but one that did not end before g.Consented is not revived (ErrConflict): it
// ended while this consent was under way.
//
// AddConsent adds an agent to a living grant of the same generation.
//
// LeaseGrant takes the right to refresh until a time, unless another holder has
// it or the grant is still cooling; it also marks the attempt, in the place of the
// one that was seen and of no other. What it gives is
// the grant under the lease, with a Spare if there is one, without consents. The
// same holder asking again gets the lease it has, while it lasts.
//
// StoreTokens ends the lease of the holder with a new token set, one version on,
// whose scopes lie within the grant's. Its spare is gone then. KeepSpare keeps
// one that could not be stored, for the version it saw, whoever holds the lease
// by now; a repetition succeeds also when somebody has stored it by now. CoolGrant
// ends the lease after a transient failure; the attempt is over, Failures count
// one more. KillGrant ends the lease and latches death, unless there is a spare
// (a conflict: it has to be tried first), and appends the record that tells of it:
// both or neither. It reports true for exactly one holder, and false without an
// error, and without a record, for those who come later.
//
// EndGrant revokes or deletes whatever the version: the sealed texts are gone
// from it. It gives the grant as it was, with its spare's tokens where it has one,
// so that they can be revoked at the provider; if its answers are lost for good,
// they are lost too. A grant that has ended is given as it is; only from Revoked
// to Deleted it still moves.
//
// GrantsOf lists a person's grants that are not Deleted, without sealed texts; a
// page begins after the token that the page before ended with. DueGrants lists
// grants, longest due first, whose access token expires before a time, that can
// be refreshed, whose consent outlasts that time, and that are neither dead nor
// cooling then; it may lag. Rows that do not decode are PassedOver.
type Grants interface {
	Grant(ctx context.Context, k GrantKey) (GrantView, error)
	BeginGrant(ctx context.Context, g Grant, c Consent) error
	AddConsent(ctx context.Context, k GrantKey, c Consent) error
	LeaseGrant(ctx context.Context, seen Grant, holder string, now, until time.Time) (GrantView, error)
	StoreTokens(ctx context.Context, leased Grant, t Tokens, now time.Time) (Grant, error)
	KeepSpare(ctx context.Context, leased Grant, t Tokens) error
	CoolGrant(ctx context.Context, leased Grant, until time.Time, fault string) error
	KillGrant(ctx context.Context, leased Grant, at time.Time, fault string, told Record) (first bool, err error)
	EndGrant(ctx context.Context, k GrantKey, to State, at time.Time) (Grant, error)
	GrantsOf(ctx context.Context, environment, principal, after string, limit int) (grants []Grant, next string, err error)
	DueGrants(ctx context.Context, environment string, before time.Time, limit int) ([]Grant, error)
}

// Handle is a short-lived row that is found by an unpredictable id: a ticket, a
// login or an authorization under way. Only a digest of the id is stored.
type Handle struct {
	Environment string
	Kind        string // "ticket", "login", "flow"
	ID          string // Digest of the id
	Body        []byte // JSON; what is secret in it is sealed; at most 64 KiB
	Expires     time.Time
}

// Handles keeps handles. AddHandle fails with ErrConflict if the id is taken.
// TakeHandle gives a handle to exactly one caller, ever; a second, and anybody
// after it expired, gets ErrNotFound. A taken handle whose answer was lost is lost. Handle reads without taking.
type Handles interface {
	AddHandle(ctx context.Context, h Handle) error
	Handle(ctx context.Context, environment, kind, id string, now time.Time) (Handle, error)
	TakeHandle(ctx context.Context, environment, kind, id string, now time.Time) (Handle, error)
}
