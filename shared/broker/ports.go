package broker

import (
	"context"
	"errors"

	"bindery/shared/secret"
)

// Faults. Adapters wrap one of these around what they were doing; the text
// carries a status and a code, never a body, a URL or a header.
var (
	ErrUnavailable = errors.New("unavailable")      // could not be asked: throttled, timed out, 5xx, network; may pass
	ErrConflict    = errors.New("version conflict") // a write's condition did not hold: somebody else was first
	ErrNotFound    = errors.New("not found")

	// ErrUndecodable says that what is stored is of another schema, damaged, or not
	// what its key says. Asking again finds the same; nothing about it may be guessed.
	ErrUndecodable = errors.New("the row does not decode")

	ErrSecretMissing   = errors.New("secret missing")   // the store says there is no such secret, version or key
	ErrSecretMalformed = errors.New("secret malformed") // not the JSON the reference expects, or too short to mask
	ErrStoreDenied     = errors.New("store denied")     // the store refuses Bindery
	ErrKeyUnavailable  = errors.New("key unavailable")  // the KMS key is disabled, deleted, denied, or another key
)

// Catalogue answers what one decision needs.
//
// Snapshot reads everything strongly consistently and in parallel, further
// pages and unprocessed keys included; when any part could not be read it
// fails with ErrUnavailable and gives nothing. A row that does not decode is
// an error, never an absence.
type Catalogue interface {
	Snapshot(ctx context.Context, l Lookup) (Snapshot, error)
}

// CatalogueWriter changes the catalogue. Every Put carries the version it
// expects to replace in Version (0: must not exist) and stores Version+1;
// anything else fails with ErrConflict and changes nothing. Nothing replaces a
// row whose state is Deleted. A Put that was applied although its answer was
// lost is recognised when it is repeated, by what is stored being just what it
// would store, and succeeds. After any other error a Put may be repeated.
type CatalogueWriter interface {
	PutEnvironment(ctx context.Context, e Environment) error
	PutStore(ctx context.Context, s Store) error
	PutServer(ctx context.Context, s Server) error
	PutBinding(ctx context.Context, b Binding) error
	PutAgent(ctx context.Context, a Agent) error
	PutTool(ctx context.Context, t Tool) error
	// BindingVersion reads one version of a binding, the current or an old one.
	BindingVersion(ctx context.Context, r Route, name string, version int64) (Binding, error)
}

// Markers writes revocation markers. Put expects Epoch to be exactly one above
// the stored epoch (1 for the first) and fails with ErrConflict otherwise. It
// returns only when every decision that begins afterwards will see the marker.
type Markers interface {
	PutMarker(ctx context.Context, m Marker) error
}

// MarkerReader reads markers by their keys, strongly consistently and all of
// them or none; those that never were are not in the answer. It takes up to
// MaxMarkers keys.
type MarkerReader interface {
	Markers(ctx context.Context, environment string, keys []MarkerKey) ([]Marker, error)
}

// MaxMarkers is how many markers are read at once. A decision reads up to six
// for each secret that a binding may name: whether it is revoked, whether it
// changed, whether the credential of its store is revoked, and all three for the
// secret whichever version is selected.
const MaxMarkers = 6 * maxUses

// AuditLog stores records and can do nothing else. Append fails with
// ErrConflict when a record with this receipt and phase exists and carries
// another nonce; when it carries the same nonce the earlier attempt was
// applied and Append succeeds. After any other error the record may or may not
// be stored, and Append with the same record may be repeated.
type AuditLog interface {
	Append(ctx context.Context, r Record) error
}

// Want asks a store for members of one secret.
type Want struct {
	Reference   Reference // without key
	Keys        []string  // JSON members; one empty string means the whole value
	Environment string
	Origin      string // digest of the upstream's origin, from the catalogue
	Store       Store  // the registration by which it is read
	// Credential reads Store.Auth.Credential anew, each time it is called; nil
	// where there is none.
	Credential func(context.Context) (secret.Value, error)
}

// Secret is one version of one secret: its wanted members, all of them.
type Secret struct {
	Values    map[string]secret.Value // by key
	Version   string                  // the store's immutable version id
	RequestID string                  // the store's own id of this access
	Previous  []secret.Value          // members of the version before, if the store still has it; for masking only
}

// SecretStore reads secrets of one registered kind. Fetch fails with one of the
// Err values above and never returns part of what was wanted.
type SecretStore interface {
	Fetch(ctx context.Context, w Want) (Secret, error)
}

// Source obtains the credential of a binding: all of its fields, or an error.
type Source interface {
	Obtain(ctx context.Context, a Ask) (Credential, error)
}

// Ask is what a source is told. It comes from the decision, never from a row
// that the credential itself is stored in.
type Ask struct {
	Binding   Binding
	Stores    []Store // registrations of the environment
	Server    Server
	Principal Principal
	Receipt   string
	// Token is the caller's own, for token_exchange and no other source. It is
	// sent to the issuer that issued it, and nowhere else.
	Token secret.Value
	// Recorded waits until the intent of the call is stored and it is known that
	// neither reference nor grant is revoked. A source that changes something
	// outside calls it first, and changes nothing if it fails or is nil.
	Recorded func(context.Context) error
	// Changes waits for the counts of the changes of the binding's references, as
	// of this decision: see Reference.Changes. A source that keeps values calls it
	// first, and uses none that it keeps if it fails or is nil. Only cards with a
	// MaxAge have such counts.
	Changes func(context.Context) (map[string]int64, error)
}

// Credential is what a source obtained. Nothing in it can be printed.
type Credential struct {
	Fields   map[string]secret.Value
	Previous []secret.Value // earlier values still known, for masking only
	Access   []Access       // one per secret read, for the audit record
}

// Access says which version of what was read.
type Access struct {
	Reference string `json:"reference"` // without key
	Version   string `json:"version,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}
