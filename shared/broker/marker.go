package broker

import "time"

// MarkerKind is what a revocation marker is about.
type MarkerKind string

// The kinds of marker, and what their ids are.
const (
	PrincipalMarker   MarkerKind = "principal"   // Principal.ID
	AgentMarker       MarkerKind = "agent"       // Agent.ID
	SessionMarker     MarkerKind = "session"     // a legacy session: the digest in its audit records
	GroupMarker       MarkerKind = "group"       // its name, as in Principal.Groups
	IssuerMarker      MarkerKind = "issuer"      // its identifier (iss)
	ServerMarker      MarkerKind = "server"      // its name
	BindingMarker     MarkerKind = "binding"     // "server/binding"
	StoreMarker       MarkerKind = "store"       // its name
	ReferenceMarker   MarkerKind = "reference"   // without key
	GrantMarker       MarkerKind = "grant"       // "principal/server", whatever the origin
	EnvironmentMarker MarkerKind = "environment" // its name: no call, for the time being
	EverythingMarker  MarkerKind = "everything"  // the environment's name: no call, and everything people consented to ends

	// ChangeMarker counts the changes of a reference that Bindery heard of: its
	// epoch. It revokes nothing; whoever keeps a value drops it when the count moves.
	ChangeMarker MarkerKind = "change" // a reference without key
)

// MarkerKey names one marker of an environment.
type MarkerKey struct {
	Kind MarkerKind
	ID   string
}

// Marker says that something is revoked, or, with a later epoch, no longer.
type Marker struct {
	Environment string
	Kind        MarkerKind
	ID          string
	Epoch       int64
	Revoked     bool
	At          time.Time
	By          string // principal, or what event
	Reason      string // as it was typed
	Revocation  string // id of the Revocation it belongs to; empty: of none
}

// Key names the marker.
func (m Marker) Key() MarkerKey { return MarkerKey{m.Kind, m.ID} }

// How each kind is read by a decision:
//
//   - Wide ones (group, issuer, store, environment, everything) and those of the
//     server and its bindings come with every Snapshot, whoever calls: which of
//     them count is found out by what was read.
//   - principal, agent and session come with the Snapshot by their ids.
//   - reference, grant and change are known only when a binding has been chosen:
//     MarkerReader gives them while the credential is obtained, which is not
//     released before.

// Wide reports whether every Snapshot of the environment holds such markers.
func (k MarkerKind) Wide() bool {
	switch k {
	case GroupMarker, IssuerMarker, StoreMarker, EnvironmentMarker, EverythingMarker:
		return true
	}
	return false
}

// OfServer reports whether every Snapshot of one server holds such markers.
func (k MarkerKind) OfServer() bool { return k == ServerMarker || k == BindingMarker }
