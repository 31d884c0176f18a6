// Package storesuite holds one test for each sentence of the storage contracts
// in package broker. Every backend runs all of it:
//
//	func TestStore(t *testing.T) {
//		storesuite.Run(t, func(t *testing.T, now func() time.Time) storesuite.Stores { ... })
//	}
//
// The idea: what decisions may rely on is written down once, as tests, and a
// backend is whatever passes them. The suite knows no backend, and it never
// leaves a test out because a backend cannot do it.
package storesuite

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
)

// Stores is one backend, and how to disturb it.
type Stores struct {
	Catalogue broker.Catalogue
	Writer    broker.CatalogueWriter
	Reader    broker.CatalogueReader
	Markers   broker.Markers
	Marked    broker.MarkerReader
	Audit     broker.AuditLog
	Sealed    broker.SealedValues
	Rows      broker.SealedRows
	Keys      broker.KeySets
	Rolling   broker.RollingKeys
	Quotas    broker.Quotas
	Attempts  broker.Attempts
	Sets      broker.PolicySets
	Assigned  broker.Assignments
	Uses      broker.Uses
	Names     broker.SealedLister
	Index     broker.AuditIndexWriter
	Intents   broker.IntentWatch
	Evidence  broker.AuditReader
	Providers broker.Providers
	Grants    broker.Grants
	Handles   broker.Handles
	Cases     broker.Revocations
	Sessions  broker.LiveSessions
	Scanner   broker.GrantScanner
	Incidents broker.Incidents
	Rotations broker.Rotations
	Plans     broker.RotationPlans
	Notices   broker.Notices
	Scans     broker.Scans

	// LoseAnswers has the next n requests that write applied and their answers
	// lost, and reports how many of them are still to come.
	LoseAnswers func(n int) (left func() int)
	// Fail has every request fail until the returned func is called.
	Fail func() (heal func())
	// Spoil has a row that is stored be one that does not decode: of a
	// broker.GrantKey, LiveSession, SealedValue, Incident or Revocation, and in the audit index, under all
	// its keys, of a Record, and of a Sighting, a Binding's usage, a SeenVersion.
	Spoil func(environment string, row any)
}

// Factory makes a backend for one test. Backends of several tests may share
// their tables: the suite uses other environments in each test. The clock is
// what the backend goes by.
type Factory func(t *testing.T, now func() time.Time) Stores

// Run runs the whole suite.
func Run(t *testing.T, backend Factory) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"versioned rows", testKinds},
		{"bindings", testBindings},
		{"snapshot", testSnapshot},
		{"reading", testReading},
		{"markers", testMarkers},
		{"kinds of markers", testMarkerKinds},
		{"what is revoked", testRevoked},
		{"audit", testAudit},
		{"audit index", testIndex},
		{"intents without outcome", testOmissions},
		{"sealed values", testSealed},
		{"sealed rows", testSealedRows},
		{"issuer keys", testKeySets},
		{"rolling keys", testRolling},
		{"calls", testCalls},
		{"places", testPlaces},
		{"attempts", testAttempts},
		{"policy sets", testPolicySets},
		{"assignments", testAssignments},
		{"uses", testUses},
		{"providers", testProviders},
		{"registrations", testRegistrations},
		{"grants", testGrants},
		{"leases", testLeases},
		{"spares", testSpares},
		{"lists of grants", testGrantLists},
		{"handles", testHandles},
		{"revocations", testRevocations},
		{"live sessions", testSessions},
		{"scans of grants", testGrantScan},
		{"incidents", testIncidents},
		{"rotations", testRuns},
		{"rotation plans", testPlans},
		{"notices", testNotices},
		{"rows that do not decode", testUndecodable},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, backend) })
	}
}

// bench is what one test works with: a backend, an environment of its own, and
// another one that nothing of it may reach.
type bench struct {
	*testing.T
	Stores
	clock       *clock
	environment string
	other       string
}

func each(t *testing.T, backend Factory, tests map[string]func(*bench)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
			own := strings.ToLower(rand.Text())
			test(&bench{T: t, Stores: backend(t, c.Now), clock: c, environment: "prod-" + own, other: "staging-" + own})
		})
	}
}

func (b *bench) route() broker.Route {
	return broker.Route{Environment: b.environment, Server: "github"}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) wants(err, want error) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Fatalf("got error %v, want %v", err, want)
	}
}

func (b *bench) snapshot(l broker.Lookup) broker.Snapshot {
	b.Helper()
	s, err := b.Catalogue.Snapshot(b.Context(), l)
	b.must(err)
	return s
}

// persist repeats a call of unknown fate, as its caller would.
func (b *bench) persist(call func() error) error {
	b.Helper()
	var err error
	for range 5 {
		if err = call(); !errors.Is(err, broker.ErrUnavailable) {
			return err
		}
	}
	return err
}

// race runs n calls at once and gives their errors.
func race(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// racers is how many processes meet in a race.
const racers = 16

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
