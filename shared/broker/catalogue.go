package broker

import (
	"net/netip"
	"time"
)

// State is where a server, binding, agent or environment stands in its life.
type State string

// The states. Only Active lets a call pass. Deleted is a tombstone: its id is
// never used again and its version never restarts.
const (
	Active    State = "active"
	Pending   State = "pending"
	Suspended State = "suspended"
	Revoked   State = "revoked"
	Deleted   State = "deleted"
)

// Environment is the row that says the deployed environment is alive.
type Environment struct {
	Name     string
	Version  int64
	State    State
	Policies string // id of the policy set in force; empty: none
	Shadow   string // id of a policy set that is only tried out
}

// Server is a registered upstream MCP server.
type Server struct {
	Environment string
	Name        string
	Version     int64
	State       State
	Owner       string
	Description string
	URL         string         // upstream endpoint, https; never contains a credential
	Attach      []Attachment   // how each credential field reaches the upstream
	Propagate   []Propagation  // which verified attributes reach the upstream
	Networks    []netip.Prefix // private ranges opened for this server
	Timeout     time.Duration  // whole upstream call; 0 means the deployment's limit
	Limits      Limits         // what all its callers together may use; zero fields: the deployment's
	Proposer    string         // who proposed the origin that nobody else has approved yet; empty: it is approved
}

// Placement is where an attachment goes.
type Placement string

// The placements. Basic fills the Authorization header per RFC 7617.
const (
	InHeader Placement = "header"
	InQuery  Placement = "query"
	InBasic  Placement = "basic"
)

// Attachment puts credential fields into the upstream call. Template holds
// literal text and fields in braces: "Bearer {token}". For basic the template
// is "user:password", as in "{user}:{password}" or "bot:{password}".
type Attachment struct {
	In       Placement
	Name     string // header or query parameter name; empty for basic
	Template string
}

// Propagation puts one verified attribute of the principal into a header:
// "email", "subject", "groups", "principal", "agent".
type Propagation struct {
	Attribute string
	Header    string
}

// Agent is a record of software that may call, for itself or for a person.
type Agent struct {
	Environment string
	ID          string // "<issuer name>:<client id>"
	Version     int64
	State       State
	Team        string // owner team
	Ceiling     Risk   // highest risk of tool it may use
	Limits      Limits // zero fields: the deployment's
}

// Tool is a record of one tool of a server. A tool without a record counts as
// Critical and owned by nobody.
type Tool struct {
	Environment string
	Server      string
	Name        string
	Version     int64
	State       State
	Owner       string
	Risk        Risk
	Teams       []string // teams whose agents may use it in mode agent_scoped
}

// Mode is whose authority a credential carries.
type Mode string

// The credential modes that can be bound.
const (
	ServiceAccount Mode = "service_account"
	AgentScoped    Mode = "agent_scoped"
	UserDelegated  Mode = "user_delegated" // the calling person's own, by their consent
)

// SourceKind is how a credential is obtained.
type SourceKind string

// The sources.
const (
	Static            SourceKind = "static"             // read by reference, each time they are used
	AuthorizationCode SourceKind = "authorization_code" // a token per person, after their consent (OAuth)
	PersonalKey       SourceKind = "personal_key"       // typed in by each person on the connect page
	ClientCredentials SourceKind = "client_credentials" // RFC 6749, section 4.4
	TokenExchange     SourceKind = "token_exchange"     // RFC 8693, for person and agent
)

// Actor says whom a binding is for. Exactly one form is set: Principal (with
// Agent: that person through that agent), Agent, Group, Attribute, or Anyone.
type Actor struct {
	Principal string
	Agent     string
	Group     string
	Attribute Attribute
	Anyone    bool
}

// Attribute is one verified claim of a workload, as in {"service", "ci"}.
type Attribute struct{ Name, Value string }

// Field gives one credential field of the server its reference.
type Field struct {
	Name      string
	Reference Reference
}

// Allow is what a binding permits by name. An entry is exact, or a prefix
// followed by "*".
type Allow struct {
	Tools     []string
	Prompts   []string
	Resources []string // URIs
}

// Binding is the card: these actors may use these tools of this server in this
// mode, with a reference per field, until this date. It never holds a secret.
type Binding struct {
	Environment string
	Server      string
	Name        string // unique within the server, for ever
	Version     int64
	State       State
	Actor       Actor
	Priority    int // higher wins within one rank
	Allow       Allow
	Mode        Mode
	Source      SourceKind
	Fields      []Field
	Provider    string   // where the source asks for tokens
	Scopes      []string // that it asks for; never more are used
	Audience    string   // of token_exchange: for whom, where the provider wants that said
	Owner       string   // owning team or person
	Origin      string   // digest of the server's origin when it was approved
	Expires     time.Time
	MaxAge      time.Duration // how long a process may keep what it read, of static; 0: not at all
}

// MaxMaxAge is the longest MaxAge.
const MaxMaxAge = time.Hour

// Lookup is what one decision needs to read.
type Lookup struct {
	Route     Route
	Principal string // Principal.ID
	Agent     string // Principal.Agent, may be empty
	Tool      string // tool name for call_tool, else empty
	Session   string // digest of a legacy session id, or empty
	Tools     bool   // all tools of the server are wanted, to filter a list
}

// Snapshot is everything one decision reads, in one parallel step of strongly
// consistent reads. A nil pointer means: positively read, and not there.
type Snapshot struct {
	Environment *Environment
	Stores      []Store
	Server      *Server
	Shared      []Binding // bindings of the server whose actor names no principal
	Personal    []Binding // bindings whose actor names this principal
	Agent       *Agent
	Tool        *Tool
	Tools       []Tool   // all tools of the server, if the lookup asked for them
	Markers     []Marker // for this principal, agent and session, the server and its bindings, and all wide ones
}
