//go:build e2e

package dynamo_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/parts"
	"bindery/shared/awsclient"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/storesuite"
	"bindery/shared/dynamo"
)

// endpoint is a running DynamoDB of some make.
type endpoint struct {
	url    string
	tables func(*testing.T) dynamo.Tables // for one test
}

// TestOnMoto runs everything behind a gate that makes up for one difference,
// and gives each test tables of its own because of another: see motoDiffers.
func TestOnMoto(t *testing.T) {
	t.Parallel()
	p, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	gate := isolate(t, p.URL)
	var n atomic.Int64
	fresh := func(t *testing.T) dynamo.Tables {
		mine := tables
		for _, name := range []*string{&mine.Catalogue, &mine.Revocations, &mine.Grants, &mine.Transient, &mine.Audit, &mine.AuditIndex} {
			*name = fmt.Sprintf("%s-%d", *name, n.Load())
		}
		n.Add(1)
		create(t, gate, mine)
		return mine
	}
	runAll(t, endpoint{gate, fresh})
	t.Run("differences", func(t *testing.T) { motoDiffers(t, p.URL) })
}

func create(t *testing.T, url string, tables dynamo.Tables) {
	t.Helper()
	must(t, dynamo.Create(t.Context(), client(url, patient), tables))
}

func runAll(t *testing.T, e endpoint) {
	t.Run("suite", func(t *testing.T) { storesuite.Run(t, e.stores) })
	for name, test := range map[string]func(*testing.T, endpoint){
		"tables are there":   func(t *testing.T, e endpoint) { create(t, e.url, e.tables(t)) },
		"unprocessed keys":   testUnprocessedKeys,
		"pages":              testPages,
		"trips":              testTrips,
		"retries":            testRetries,
		"replication":        testReplication,
		"undecodable rows":   testUndecodableRows,
		"refill":             testRefill,
		"refill markers":     testRefillMarkers,
		"refill unknown":     testRefillUnknown,
		"refill cards":       testRefillCards,
		"claims cost":        testClaimsCost,
		"claim lost":         testClaimLost,
		"garbled answers":    testGarbled,
		"audit reader":       testAuditReader,
		"cost of a decision": testCostOfDecision,
		"rows before limits": testRowsBeforeLimits,
		"pages of tools":     testPagesOfTools,
		"transient rows":     testTransientRows,
		"expiry":             testExpiry,
		"contended places":   testContendedPlaces,
		"index of servers":   testIndex,
		"pages of servers":   testPagesOfServers,
		"moving bindings":    testMovingBindings,
		"undecodable lists":  testUndecodableLists,
		"attempt rows":       testAttemptRows,
		"unprocessed index":  testUnprocessedEntries,
		"trips of the index": testIndexTrips,
		"contended marks":    testContendedMarks,
		"undecodable index":  testUndecodableIndex,
		"trips of rules":     testTripsOfRules,
		"names of long sets": testNamesOfLongSets,
		"dying writers":      testDyingWriters,
		"lost values":        testLostValues,
		"pages of uses":      testPagesOfUses,
		"rows before rules":  testRowsBeforePolicies,
		"undecodable rules":  testUndecodableRules,
		"later rows":         testLaterRows,
		"trips of grants":    testTripsOfGrants,
		"pages of grants":    testPagesOfGrants,
		"undecodable grants": testUndecodableGrants,
		"index of due":       testIndexOfDue,
		"rows passed over":   testRowsPassedOver,
		"faults of grants":   testFaultsOfGrants,
		"ends between":       testEndsBetween,
		"before providers":   testRowsBeforeProviders,
	} {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

// behind gives a store behind a proxy of its own.
func (e endpoint) behind(t *testing.T, now func() time.Time) (*dynamo.DB, *faultproxy.Proxy, dynamo.Tables) {
	t.Helper()
	mine := e.tables(t)
	proxy := faultproxy.New(t, e.url)
	return dynamo.New(client(proxy.URL, patient), mine, now), proxy, mine
}

func (e endpoint) stores(t *testing.T, now func() time.Time) storesuite.Stores {
	s, proxy, tables := e.behind(t, now)
	return storesuite.Stores{
		Catalogue: s, Writer: s, Reader: s, Markers: s, Marked: s, Audit: s, Sealed: s, Rows: s, Keys: s, Rolling: s, Quotas: s, Attempts: s,
		Sets: s, Assigned: s, Uses: s, Names: s, Index: s, Intents: s, Evidence: s, Providers: s, Grants: s, Handles: s, Cases: s, Sessions: s, Scanner: s, Incidents: s, Notices: s, Scans: s, Rotations: s, Plans: s,
		LoseAnswers: func(n int) func() int {
			return proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem", "BatchWriteItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}, Times: n, Effect: faultproxy.DropAnswer()})
		},
		Fail: func() func() {
			proxy.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.ServerError()})
			return proxy.Clear
		},
		Spoil: func(environment string, row any) { spoil(t, client(e.url, patient), tables, environment, row) },
	}
}

// environment gives a name that no other test uses.
func environment() string { return "own-" + strings.ToLower(rand.Text()) }

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// patient lets a busy machine answer late, where time is not what is tested.
func patient(o *dynamodb.Options) {
	o.HTTPClient = awsclient.Within(o.HTTPClient, 20*time.Second)
}
