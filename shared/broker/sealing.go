package broker

import (
	"context"
	"time"

	"bindery/shared/secret"
)

// SealContext says what a sealed text is for. It is bound to the text as KMS
// encryption context (Environment in clear for IAM conditions, the rest as
// digests) and as associated data, and it is always derived from route and
// catalogue, never read from the row that holds the text.
type SealContext struct {
	Environment string
	Purpose     string // "value", "issuer-keys", "session-key"
	Origin      string // digest of the upstream's origin, or empty where there is none
	ID          string
}

// Sealer encrypts under a KMS key. Open fails with ErrKeyUnavailable when the
// key refuses or the text was sealed for another context or altered, and with
// ErrUnavailable when KMS could not be asked.
type Sealer interface {
	Seal(ctx context.Context, c SealContext, plain secret.Value) ([]byte, error)
	Open(ctx context.Context, c SealContext, sealed []byte) (secret.Value, error)
}

// SealedValue is a value typed in by a person, as stored. Versions count from
// 1 and never restart.
type SealedValue struct {
	Environment string
	ID          string
	Version     int64
	State       State
	Sealed      []byte
	At          time.Time
}

// SealedValues stores sealed values. Latest gives the current version and, if
// there is one, the version before, newest first, read consistently in one
// trip; none is ErrNotFound, one that does not decode ErrUndecodable, here and to
// PutSealed. PutSealed expects Version to be exactly one above
// the current one and fails with ErrConflict otherwise; the former version
// stays readable.
type SealedValues interface {
	Latest(ctx context.Context, environment, id string) ([]SealedValue, error)
	PutSealed(ctx context.Context, v SealedValue) error
}

// SealedRow is all that is stored of one sealed value.
type SealedRow struct {
	Revision int64         // counts what was written; a change names the one that it saw
	Versions []SealedValue // newest first, one or two
	Staging  *SealedStaging
}

// SealedStaging is what a rotation did to a sealed value and has not ended: its
// text beside the versions, which no call gets, or, where Sealed is empty, that
// the current version is its.
type SealedStaging struct {
	Rotation string
	From     int64 // the version that was current
	Sealed   []byte
	At       time.Time
}

// SealedRows changes sealed values as a whole. SealedRow reads consistently; none
// is ErrNotFound. ReplaceSealed stores the row in place of the revision that it
// carries, one on, or fails with ErrConflict; the very same again succeeds. Every
// PutSealed is a revision too, and ends what was staged.
type SealedRows interface {
	SealedRow(ctx context.Context, environment, id string) (SealedRow, error)
	ReplaceSealed(ctx context.Context, r SealedRow) error
}

// SealedText is one sealed text, wherever it is kept, and its place there.
type SealedText struct {
	Place string
	Text  []byte
}

// Segment is a part of what is scanned: one of so many, counted from 0.
type Segment struct{ Number, Of int }

// SealedTexts goes through all sealed texts of an environment that are kept for
// long: values, staged ones, grants, spares, registrations, what rotations keep.
// A page may hold more than limit, or none, and not be the last: an empty next is
// the end. ReplaceText puts a text in the place of the very one that was found,
// or fails with ErrConflict.
type SealedTexts interface {
	SealedTexts(ctx context.Context, environment string, s Segment, after string, limit int) (found []SealedText, next string, err error)
	ReplaceText(ctx context.Context, found SealedText, text []byte) error
}

// SealedLister lists the ids of the sealed values of an environment by the rules
// of CatalogueReader, those of deleted values too, and nothing else of them. An
// id whose first value was on the way when its writer died may be among them.
type SealedLister interface {
	SealedNames(ctx context.Context, environment string, p Page) ([]string, error)
}

// KeySet is an issuer's published keys, shared between processes so that a new
// key costs the issuer one request and not one per process. Sealed holds the
// JWKS document; it is sealed because it decides who anyone is.
type KeySet struct {
	Environment string
	Issuer      string
	Sealed      []byte
	Fetched     time.Time
}

// KeySetLife is how long a saved key set can be loaded at all. How long it may
// be trusted is for its user to judge, by Fetched, and is shorter.
const KeySetLife = 7 * 24 * time.Hour

// ClockSkew is how far the clocks of two processes may be apart. A row from
// further in the future counts as absent: one fast clock must not hold up
// everybody else.
const ClockSkew = 2 * time.Minute

// KeySets shares key sets. LoadKeys gives the last saved one, or ErrNotFound
// when there is none or it was fetched longer than KeySetLife ago.
// ClaimFetch gives one caller at a time the right to fetch: it succeeds when
// nobody has claimed since notSince, and returns false (no error) otherwise.
// It reads before it writes, so that losing costs no write. SaveKeys never
// replaces a newer set by an older one. For both, what lies more than ClockSkew
// in the future does not count.
type KeySets interface {
	LoadKeys(ctx context.Context, environment, issuer string) (KeySet, error)
	ClaimFetch(ctx context.Context, environment, issuer string, now, notSince time.Time) (bool, error)
	SaveKeys(ctx context.Context, k KeySet) error
}

// RollingKey is the key under which all processes seal session ids on one day.
// It is made by the first process that needs it and never changes.
type RollingKey struct {
	Environment string
	Day         int64 // days since 1970-01-01, UTC
	Sealed      []byte
}

// RollingKeyLife is how long after the beginning of its day a rolling key can
// be loaded.
const RollingKeyLife = 9 * 24 * time.Hour

// Expires is when the key can no longer be loaded.
func (k RollingKey) Expires() time.Time {
	return time.Unix(k.Day*24*60*60, 0).UTC().Add(RollingKeyLife)
}

// RollingKeys shares rolling keys. LoadRollingKey reads consistently and gives
// ErrNotFound for a day that has no key, or whose key is past RollingKeyLife.
// AddRollingKey stores the key unless the day has one, and gives the key that
// the day has afterwards: all processes end with the same one, whoever was
// first and whatever answer was lost.
type RollingKeys interface {
	LoadRollingKey(ctx context.Context, environment string, day int64) (RollingKey, error)
	AddRollingKey(ctx context.Context, k RollingKey) (RollingKey, error)
}
