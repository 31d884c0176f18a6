package broker

import (
	"slices"
	"strings"
	"time"
)

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
	// epoch. It revokes nothing and never says so; whoever keeps a value drops it
	// when the count moves.
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
	return slices.Contains([]MarkerKind{GroupMarker, IssuerMarker, StoreMarker, EnvironmentMarker, EverythingMarker}, k)
}

// OfServer reports whether every Snapshot of one server holds such markers.
func (k MarkerKind) OfServer() bool { return k == ServerMarker || k == BindingMarker }

// Check refuses what no backend may keep: a kind that no decision reads, or an
// id that nothing has. Acknowledging such a marker would promise a revocation
// that is none.
func (m Marker) Check() error {
	c := rowCheck{row: "marker"}
	c.name("environment", m.Environment)
	c.marker(m.Environment, m.Key())
	c.require("epoch", m.Epoch >= 1 && m.Epoch < maxVersion, "it must be at least 1")
	c.require("state", m.Kind != ChangeMarker || !m.Revoked, "a change revokes nothing")
	c.time("time", m.At)
	c.text("author and reason", m.By, m.Reason)
	if m.Revocation != "" {
		c.id("revocation", m.Revocation)
	}
	return c.err
}

// CheckMarkers refuses keys that no MarkerReader can read.
func CheckMarkers(environment string, keys []MarkerKey) error {
	c := rowCheck{row: "marker"}
	c.name("environment", environment)
	c.require("keys", len(keys) <= MaxMarkers, "there are too many")
	for _, k := range keys {
		one := rowCheck{row: c.row}
		one.marker(environment, k)
		c.keep(one.err)
	}
	return c.err
}

func (c *rowCheck) marker(environment string, k MarkerKey) {
	switch k.Kind {
	case PrincipalMarker, AgentMarker, SessionMarker:
		c.id("id", k.ID)
	case GroupMarker, IssuerMarker:
		c.require("id", k.ID != "", "it is missing")
	case ServerMarker, StoreMarker:
		c.name("id", k.ID)
	case BindingMarker:
		server, binding, _ := strings.Cut(k.ID, "/")
		c.name("id", server)
		c.name("id", binding)
	case GrantMarker:
		last := max(0, strings.LastIndexByte(k.ID, '/'))
		c.id("id", k.ID[:last])
		c.name("id", strings.TrimPrefix(k.ID[last:], "/"))
	case ReferenceMarker, ChangeMarker:
		r, err := StoredReference(k.ID)
		c.keep(err)
		c.require("id", r.Key() == "", "it is a reference without key")
	case EnvironmentMarker, EverythingMarker:
		c.require("id", k.ID == environment, "it is the environment's name")
	default:
		c.require("kind", false, "no decision reads it")
	}
	c.text("id", k.ID)
}
