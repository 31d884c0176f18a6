package memory

import (
	"context"
	"sync"
	"sync/atomic"

	"bindery/shared/broker"
)

// Op names an operation.
type Op int

// The operations.
const (
	Snapshot Op = iota
	PutEnvironment
	PutStore
	PutServer
	PutBinding
	PutAgent
	PutTool
	BindingVersion
	PutMarker
	ReadMarkers
	Append
	Latest
	PutSealed
	ReplaceSealed
	LoadKeys
	ClaimFetch
	SaveKeys
	LoadRollingKey
	AddRollingKey
	CountCall
	TakePlace
	FreePlace
	ReadEnvironment
	ReadStore
	ReadServer
	ReadAgent
	ReadTool
	ReadBinding
	ListStores
	ListServers
	ListAgents
	ListTools
	ListBindings
	ReadPolicySet
	ListPolicySets
	ReadAssignment
	ListAssignments
	ListUses
	ListSealed
	BeginAttempt
	EndAttempt
	AddPolicySet
	PutAssignment
	IndexRecords
	ReadReceipt
	ReadEntries
	ReadSeen
	ReadUsages
	ReadRotations
	ReadLag
	PutProvider
	AddRegistered
	BeginGrant
	AddConsent
	LeaseGrant
	StoreTokens
	KeepSpare
	CoolGrant
	KillGrant
	EndGrant
	AddHandle
	TakeHandle
	PutIncident
	BeginRotation
	PutRotation
	PutRotationPlan
	PutNotice
	PutScan
	MoveLooked
	AddWithoutOutcome
	AddRevocation
	PutRevocation
	AddSession
	EndSession
	ReadProvider
	ListProviders
	ReadRegistered
	ReadGrant
	ListGrants
	ListDue
	ReadHandle
	ReadIncident
	ListIncidents
	ReadRotation
	ListDueRotations
	ListRotations
	ReadRotationPlan
	ListRotationPlans
	ReadNotice
	ListNotices
	ReadScan
	ReadLooked
	ReadRevocation
	ListRevocations
	ListSessions
	ScanSessions
	ScanGrants
	operations
)

var opNames = [operations]string{"read the catalogue", "put the environment", "put the store", "put the server",
	"put the binding", "put the agent", "put the tool", "read a version of the binding", "put the marker", "read the markers",
	"append the audit record", "read the sealed value", "put the sealed value", "replace the sealed value", "load the issuer's keys",
	"claim the fetch of the issuer's keys", "save the issuer's keys",
	"load the rolling key", "add the rolling key", "count the call", "take a place", "free the place",
	"read the environment", "read the store", "read the server", "read the agent", "read the tool", "read the binding",
	"list the stores", "list the servers", "list the agents", "list the tools", "list the bindings",
	"read the policy set", "list the policy sets", "read the assignment", "list the assignments", "list the uses", "list the sealed values",
	"begin the attempt", "end the attempt", "add the policy set", "put the assignment",
	"index the records", "read the receipt", "read the audit index", "read who was seen", "read the usages", "read the rotations",
	"read the lag of the audit index",
	"put the provider", "add the registration", "begin the grant", "add the consent", "lease the grant", "store the tokens", "keep the spare",
	"cool the grant", "kill the grant", "end the grant", "add the handle", "take the handle", "put the incident", "begin the rotation", "put the rotation", "put the rotation plan", "put the notice", "put the scan",
	"move how far intents were looked at", "add the intent without outcome", "add the revocation", "put the revocation",
	"add the session", "end the session",
	"read the provider", "list the providers", "read the registration", "read the grant", "list the grants", "list the due grants", "read the handle",
	"read the incident", "list the incidents",
	"read the rotation", "list the due rotations", "list the rotations", "read the rotation plan", "list the rotation plans", "read the notice", "list the notices", "read the scan", "read how far intents were looked at", "read the revocation", "list the revocations",
	"list the sessions", "scan the sessions", "scan the grants"}

// String says what the operation does.
func (o Op) String() string { return opNames[o] }

func (o Op) reads() bool {
	return o == Snapshot || o == BindingVersion || o == ReadMarkers || o == Latest || o == LoadKeys || o == LoadRollingKey ||
		o >= ReadEnvironment && o <= ListSealed || o >= ReadReceipt && o <= ReadLag || o >= ReadProvider
}

// Fault is what happens to one call. Wait comes first, outside every lock.
type Fault struct {
	Wait   func(ctx context.Context)
	Before error // nothing is read or applied
	After  error // it is applied and the answer lost; for a read: what was read is withheld, as when a later page fails
}

// Refuse fails without applying.
func Refuse() Fault { return Fault{Before: broker.ErrUnavailable} }

// Lose applies and loses the answer.
func Lose() Fault { return Fault{After: broker.ErrUnavailable} }

// Inject lets the next calls of op meet these faults, one each, in this order.
func (s *DB) Inject(op Op, f ...Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.due[op] = append(s.faults.due[op], f...)
	s.faults.armed.Add(int64(len(f)))
}

// Clear takes back the faults that are still due.
func (s *DB) Clear() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.due = [operations][]Fault{}
	s.faults.armed.Store(0)
}

// Calls counts the calls of op so far, failed ones included.
func (s *DB) Calls(op Op) int { return int(s.faults.calls[op].Load()) }

type faults struct {
	calls [operations]atomic.Int64
	armed atomic.Int64 // how many are due, so that the usual call takes no lock
	mu    sync.Mutex
	due   [operations][]Fault
}

func (f *faults) next(op Op) Fault {
	f.calls[op].Add(1)
	if f.armed.Load() == 0 {
		return Fault{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.due[op]) == 0 {
		return Fault{}
	}
	due := f.due[op][0]
	f.due[op] = f.due[op][1:]
	f.armed.Add(-1)
	return due
}
