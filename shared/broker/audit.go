package broker

import "time"

// Phase is which part of a call's evidence a record is.
type Phase string

// The phases. Receipt and phase together identify a record. A refusal is a
// call that was decided against: it has no intent and no outcome.
const (
	Intent  Phase = "intent"
	Outcome Phase = "outcome"
	Refused Phase = "refusal"
)

// RecordSchema is the version of Record's shape.
const RecordSchema = 1

// Record is one append-only fact about one call. It holds no secret, no
// argument and no e-mail; resource URIs appear as digests. Field order is part
// of the schema: a record's hash is taken over its JSON in this order.
type Record struct {
	Schema    int       `json:"schema"`
	Receipt   string    `json:"receipt"` // ULID, the key
	Phase     Phase     `json:"phase"`
	At        time.Time `json:"at"`
	Writer    string    `json:"writer"`   // the process that wrote it
	Sequence  int64     `json:"sequence"` // counts that writer's records from 1; a gap is a record that was refused storage
	Previous  string    `json:"previous"` // hex SHA-256 of that writer's record before
	Nonce     string    `json:"nonce"`    // tells "my write was applied" from "somebody else's"
	RequestID string    `json:"request_id,omitempty"`

	Environment string `json:"environment"`
	Server      string `json:"server"`
	Origin      string `json:"origin,omitempty"`
	Issuers     string `json:"issuers,omitempty"` // digest of the deployment's issuer document
	Principal   string `json:"principal"`
	Kind        Kind   `json:"kind"`
	Agent       string `json:"agent,omitempty"`
	Session     string `json:"session,omitempty"` // digest
	Era         string `json:"era,omitempty"`
	Method      string `json:"method"`
	Action      Action `json:"action"`
	Target      string `json:"target,omitempty"` // tool or prompt name; resource URI as digest
	MessageID   string `json:"message_id,omitempty"`

	Named          string      `json:"named,omitempty"` // the binding the caller asked for by name
	Binding        string      `json:"binding,omitempty"`
	BindingVersion int64       `json:"binding_version,omitempty"`
	Mode           Mode        `json:"mode,omitempty"`
	Source         SourceKind  `json:"source,omitempty"`
	References     []string    `json:"references,omitempty"` // "field=reference"
	Candidates     []Candidate `json:"candidates,omitempty"`
	Policy         string      `json:"policy,omitempty"`   // id of the policy set in force, or "none"
	Policies       []string    `json:"policies,omitempty"` // the policies of it that decided
	Shadow         *Shadowed   `json:"shadow,omitempty"`

	Reason     Reason   `json:"reason,omitempty"`
	Status     int      `json:"status,omitempty"`   // what the caller got
	Upstream   int      `json:"upstream,omitempty"` // what the upstream answered, 0 if it never did
	Accesses   []Access `json:"accesses,omitempty"`
	Masked     int      `json:"masked,omitempty"` // occurrences
	DecidedAt  string   `json:"decided_at,omitempty"`
	LatencyMS  int64    `json:"latency_ms,omitempty"`
	Suppressed int      `json:"suppressed,omitempty"` // refusals of this principal not recorded since the last one

	Object string `json:"object,omitempty"` // what an administrator changed, as in "binding/github/dev-github"
	Before string `json:"before,omitempty"` // JSON of it before the change, and after; never a secret
	After  string `json:"after,omitempty"`
}

// Candidate is a binding that matched the caller, in the order of preference.
type Candidate struct {
	Binding string `json:"binding"`
	Version int64  `json:"version"`
	Rank    string `json:"rank"`
	State   State  `json:"state"`
}
