// Package memory keeps what Bindery knows in maps: every storage interface of
// package broker, with the semantics of the tables, for tests and benchmarks
// of what is built on them. Faults can be injected into each operation, the
// one that is applied although its answer is lost included.
//
// What is read is shared and must not be changed: a Put replaces
// rows and slices, it never writes into them.
//
// The package is never part of what is deployed, keeps nothing when the process
// ends, and never grows the cost of a decision with the number of people who
// hold bindings of their own.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"bindery/shared/broker"
)

// DB implements every storage interface of package broker. It is safe for
// concurrent use.
type DB struct {
	now    func() time.Time
	faults faults

	mu           sync.RWMutex
	environments map[string]*broker.Environment
	stores       map[string][]broker.Store
	servers      map[broker.Route]*broker.Server
	shared       map[broker.Route][]broker.Binding
	personal     map[personalKey][]broker.Binding
	versions     map[bindingKey][]broker.Binding // index: version-1; the last one is current
	agents       map[idKey]*broker.Agent
	tools        map[broker.Route][]broker.Tool
	markers      map[markerKey]*broker.Marker
	wide         map[string][]broker.Marker       // by environment
	ofServers    map[broker.Route][]broker.Marker // of servers and their bindings
	sealed       map[idKey]broker.SealedRow
	keySets      map[idKey]*broker.KeySet
	claims       map[idKey]time.Time
	rollingKeys  map[dayKey]broker.RollingKey
	calls        map[windowKey]int
	places       map[placeKey]stay
	records      map[recordKey]broker.Record
	attempts     map[attemptKey]broker.Attempt
	policySets   map[idKey]broker.PolicySet
	assignments  map[idKey]*broker.Assignment
	incidents    map[idKey]*broker.Incident
	notices      map[idKey]*broker.Notice
	rotations    map[idKey][]broker.Rotation // by subject, the last one is the latest
	plans        map[idKey]*broker.RotationPlan
	scans        map[string]*broker.Scan
	indexed      map[recordKey]broker.Record
	looked       map[string]time.Time    // by environment
	omissions    map[string]broker.Entry // by receipt
	lags         map[string]broker.Lag
	providers    map[idKey]*broker.Provider
	registered   map[registeredKey]broker.Registered
	grants       map[broker.GrantKey]*grant
	handles      map[handleKey]broker.Handle
	sessions     map[sessionKey]broker.LiveSession
	revocations  map[idKey]*broker.Revocation
	spoilt       map[any]bool // by the keys of rows that do not decode
}

type (
	idKey      struct{ environment, id string }
	bindingKey struct {
		broker.Route
		name string
	}
	personalKey struct {
		broker.Route
		principal string
	}
	markerKey struct {
		environment string
		broker.MarkerKey
	}
	dayKey struct {
		environment string
		day         int64
	}
	windowKey struct {
		environment, subject string
		start                int64
	}
	placeKey struct {
		environment, subject string
		number               int
	}
	recordKey struct {
		receipt string
		phase   broker.Phase
	}
	attemptKey    struct{ environment, principal, key string }
	registeredKey struct{ environment, provider, issuer string }
	handleKey     struct{ environment, kind, id string }
	sessionKey    struct{ environment, principal, digest string }
)

var (
	_ broker.Catalogue       = (*DB)(nil)
	_ broker.CatalogueWriter = (*DB)(nil)
	_ broker.CatalogueReader = (*DB)(nil)
	_ broker.Attempts        = (*DB)(nil)
	_ broker.Markers         = (*DB)(nil)
	_ broker.MarkerReader    = (*DB)(nil)
	_ broker.AuditLog        = (*DB)(nil)
	_ broker.SealedValues    = (*DB)(nil)
	_ broker.SealedRows      = (*DB)(nil)
	_ broker.KeySets         = (*DB)(nil)
	_ broker.RollingKeys     = (*DB)(nil)
	_ broker.Quotas          = (*DB)(nil)

	_ broker.AuditReader      = (*DB)(nil)
	_ broker.AuditIndexWriter = (*DB)(nil)
	_ broker.IntentWatch      = (*DB)(nil)
	_ broker.PolicySets       = (*DB)(nil)
	_ broker.Assignments      = (*DB)(nil)
	_ broker.Uses             = (*DB)(nil)
	_ broker.SealedLister     = (*DB)(nil)
	_ broker.Providers        = (*DB)(nil)
	_ broker.Grants           = (*DB)(nil)
	_ broker.Handles          = (*DB)(nil)
	_ broker.Rotations        = (*DB)(nil)
	_ broker.RotationPlans    = (*DB)(nil)
	_ broker.LiveSessions     = (*DB)(nil)
	_ broker.GrantScanner     = (*DB)(nil)
	_ broker.Revocations      = (*DB)(nil)
)

// New makes an empty DB. The clock decides only whether a key set, a rolling key
// or an attempt is past its life.
func New(now func() time.Time) *DB {
	return &DB{
		now:          now,
		environments: map[string]*broker.Environment{},
		stores:       map[string][]broker.Store{},
		servers:      map[broker.Route]*broker.Server{},
		shared:       map[broker.Route][]broker.Binding{},
		personal:     map[personalKey][]broker.Binding{},
		versions:     map[bindingKey][]broker.Binding{},
		agents:       map[idKey]*broker.Agent{},
		tools:        map[broker.Route][]broker.Tool{},
		markers:      map[markerKey]*broker.Marker{},
		wide:         map[string][]broker.Marker{},
		ofServers:    map[broker.Route][]broker.Marker{},
		sealed:       map[idKey]broker.SealedRow{},
		keySets:      map[idKey]*broker.KeySet{},
		claims:       map[idKey]time.Time{},
		rollingKeys:  map[dayKey]broker.RollingKey{},
		calls:        map[windowKey]int{},
		places:       map[placeKey]stay{},
		records:      map[recordKey]broker.Record{},
		attempts:     map[attemptKey]broker.Attempt{},
		policySets:   map[idKey]broker.PolicySet{},
		assignments:  map[idKey]*broker.Assignment{},
		incidents:    map[idKey]*broker.Incident{},
		notices:      map[idKey]*broker.Notice{},
		rotations:    map[idKey][]broker.Rotation{},
		plans:        map[idKey]*broker.RotationPlan{},
		scans:        map[string]*broker.Scan{},
		indexed:      map[recordKey]broker.Record{},
		looked:       map[string]time.Time{},
		omissions:    map[string]broker.Entry{},
		lags:         map[string]broker.Lag{},
		providers:    map[idKey]*broker.Provider{},
		registered:   map[registeredKey]broker.Registered{},
		grants:       map[broker.GrantKey]*grant{},
		handles:      map[handleKey]broker.Handle{},
		sessions:     map[sessionKey]broker.LiveSession{},
		revocations:  map[idKey]*broker.Revocation{},
		spoilt:       map[any]bool{},
	}
}

// do runs one operation under the lock, with the fault that is due.
func (s *DB) do(ctx context.Context, op Op, apply func() error) error {
	fault := s.faults.next(op)
	if fault.Wait != nil {
		fault.Wait(ctx)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w: %w", op, broker.ErrUnavailable, err)
	}
	if fault.Before != nil {
		return fmt.Errorf("%s: %w", op, fault.Before)
	}
	if err := s.locked(op, apply); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if fault.After != nil {
		return fmt.Errorf("%s: %w", op, fault.After)
	}
	return nil
}

func (s *DB) locked(op Op, apply func() error) error {
	if op.reads() {
		s.mu.RLock()
		defer s.mu.RUnlock()
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	return apply()
}

// replace puts next where the current row may be replaced by it. Where it may
// not, but is the very same, an earlier attempt was applied.
func replace[K comparable, V any](rows map[K]*V, at K, next V, may func(current *V) bool) error {
	current := rows[at]
	switch {
	case may(current):
		rows[at] = &next
	case current == nil || !reflect.DeepEqual(*current, next):
		return broker.ErrConflict
	}
	return nil
}

// replaceListed is replace for rows that are kept in lists, sorted by name. A
// list may be in the hands of a reader and is replaced itself.
func replaceListed[K comparable, V any](lists map[K][]V, in K, name string, nameOf func(V) string, next V, may func(current *V) bool) error {
	list := lists[in]
	at, found := find(list, name, nameOf)
	var current *V
	if found {
		current = &list[at]
	}
	switch {
	case found && reflect.DeepEqual(*current, next):
		return nil
	case !may(current):
		return broker.ErrConflict
	}
	list = slices.Clone(list)
	if found {
		list[at] = next
	} else {
		list = slices.Insert(list, at, next)
	}
	lists[in] = list
	return nil
}

func find[V any](list []V, name string, nameOf func(V) string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(v V, name string) int { return cmp.Compare(nameOf(v), name) })
}

// follows reports whether a row of this standing may be replaced by one that
// expects the given version. Nothing follows a tombstone.
func follows(version int64, state broker.State, expected int64) bool {
	return version == expected && state != broker.Deleted
}
