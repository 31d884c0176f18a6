package policy

import (
	_ "embed"

	"bindery/shared/broker"
)

//go:embed admin.cedar
var adminPolicies []byte

//go:embed admin.cedarschema
var adminSchema []byte

// Operation is what an administrator does. One request may need several: a new
// URL of another origin is Put and SetOrigin, a new owner Put and SetOwner, a
// binding is Create or Put, and Bind on each of its references. A change of
// state is Suspend, Resume or Delete, never Put.
type Operation string

// The operations.
const (
	ListNames    Operation = "list" // see the name in a list; asked for each object
	Read         Operation = "read" // see the card; of a value what is known about it
	ListOwn      Operation = "list_own"
	Create       Operation = "create"
	Put          Operation = "put"
	Delete       Operation = "delete"
	SetOwner     Operation = "set_owner" // asked with the owner of before
	SetOrigin    Operation = "set_origin"
	OpenNetworks Operation = "open_networks"
	Suspend      Operation = "suspend" // also to let it expire earlier
	Resume       Operation = "resume"
	Approve      Operation = "approve"
	Verify       Operation = "verify" // of a binding: the whole journey; of a store: its check
	Explain      Operation = "explain"
	Bind         Operation = "bind"
	Sync         Operation = "sync"
	PutValue     Operation = "put_value"
	DeleteValue  Operation = "delete_value"
	ReadAudit    Operation = "read_audit"  // also exposure: who did
	Revoke       Operation = "revoke"      // to stop it at once, whatever its card says
	Acknowledge  Operation = "acknowledge" // that a notice is known; it stays until it is no longer so
	Lift         Operation = "lift"        // a revocation, by a decision of its own
	BreakGlass   Operation = "break_glass"
)

// Kind is a kind of object.
type Kind string

// The kinds.
const (
	ServerKind      Kind = "Server"
	BindingKind     Kind = "Binding"
	AgentKind       Kind = "Agent"
	ToolKind        Kind = "Tool"
	StoreKind       Kind = "Store"
	ReferenceKind   Kind = "Reference"
	ValueKind       Kind = "Value"
	PolicyKind      Kind = "Policy"
	AssignmentKind  Kind = "Assignment"
	ProviderKind    Kind = "Provider"
	EnvironmentKind Kind = "Environment"
	AuditKind       Kind = "Audit"
	PrincipalKind   Kind = "Principal"
	GroupKind       Kind = "Group"
	SessionKind     Kind = "Session"
	GrantKind       Kind = "Grant"
	IssuerKind      Kind = "Issuer"
	RevocationKind  Kind = "Revocation"
	NoticeKind      Kind = "Notice"
)

// The roles. Anything else in Administrator.Roles counts for nothing.
const (
	SuperAdmin = "super_admin"
	MCPAdmin   = "mcp_admin"
	Auditor    = "auditor"
	Approver   = "approver"
)

// Administrator is who asks: all of it from a verified token.
type Administrator struct {
	ID     string
	Roles  []string
	Groups []string
}

// Object is what an operation is about.
type Object struct {
	Kind        Kind
	Name        string
	Owner       string // the group; of a binding or tool its server's; of a reference, assignment or value the one it is assigned to
	Environment string // of the row
	Proposer    string // for Approve: the administrator who made the change
}

// Administration answers who may administer what in one deployment.
type Administration struct {
	set         *Set
	environment string
	production  bool
}

// AdminSet compiles the rules of administration.
func AdminSet() (*Set, error) {
	schema, err := ParseSchema(adminSchema)
	if err != nil {
		return nil, err
	}
	return Compile(adminPolicies, schema)
}

// NewAdministration is for the deployment of one environment.
func NewAdministration(environment string, production bool) (*Administration, error) {
	if err := broker.CheckName("environment", environment); err != nil {
		return nil, err
	}
	set, err := AdminSet()
	if err != nil {
		return nil, err
	}
	return &Administration{set, environment, production}, nil
}

// RulesID is the id of the rules, for the audit.
func (a *Administration) RulesID() string { return a.set.ID() }

// Judge answers whether who may do this to that. What makes no sense, as
// suspending a policy, is refused as malformed.
func (a *Administration) Judge(who Administrator, do Operation, on Object) Verdict {
	return a.set.Judge(a.request(who, do, on))
}

func (a *Administration) request(who Administrator, do Operation, on Object) Request {
	return Request{
		Principal: Entity{
			EntityID:   EntityID{"AdminUser", who.ID},
			Attributes: map[string]any{"id": who.ID, "roles": who.Roles, "groups": who.Groups},
		},
		Action: string(do),
		Resource: Entity{
			EntityID: EntityID{string(on.Kind), on.Name},
			Attributes: map[string]any{
				"owner": on.Owner, "environment": on.Environment, "production": a.production,
			},
		},
		Context: map[string]any{"deployment": a.environment, "proposer": on.Proposer},
	}
}
