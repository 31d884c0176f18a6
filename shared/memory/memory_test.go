package memory_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"bindery/shared/brokertest/storesuite"
	"bindery/shared/memory"
)

var writes = []memory.Op{memory.PutEnvironment, memory.PutStore, memory.PutServer, memory.PutBinding, memory.PutAgent,
	memory.PutTool, memory.PutMarker, memory.Append, memory.PutSealed, memory.ReplaceSealed, memory.SaveKeys, memory.AddRollingKey,
	memory.CountCall, memory.TakePlace, memory.FreePlace, memory.BeginAttempt, memory.EndAttempt,
	memory.AddPolicySet, memory.PutAssignment, memory.IndexRecords,
	memory.PutProvider, memory.AddRegistered, memory.BeginGrant, memory.AddConsent, memory.LeaseGrant, memory.StoreTokens, memory.KeepSpare,
	memory.CoolGrant, memory.KillGrant, memory.EndGrant, memory.AddHandle, memory.TakeHandle, memory.PutIncident, memory.BeginRotation, memory.PutRotation, memory.PutRotationPlan, memory.AddRevocation, memory.PutRevocation, memory.AddSession, memory.EndSession, memory.PutNotice, memory.PutScan, memory.MoveLooked, memory.AddWithoutOutcome}

var reads = []memory.Op{memory.Snapshot, memory.ClaimFetch, memory.LoadKeys, memory.LoadRollingKey, memory.Latest, memory.BindingVersion,
	memory.ReadEnvironment, memory.ReadStore, memory.ReadServer, memory.ReadAgent, memory.ReadTool, memory.ReadBinding,
	memory.ListStores, memory.ListServers, memory.ListAgents, memory.ListTools, memory.ListBindings,
	memory.ReadPolicySet, memory.ListPolicySets, memory.ReadAssignment, memory.ListAssignments, memory.ListUses, memory.ListSealed,
	memory.ReadReceipt, memory.ReadEntries, memory.ReadSeen, memory.ReadUsages, memory.ReadRotations, memory.ReadLag,
	memory.ReadProvider, memory.ListProviders, memory.ReadRegistered, memory.ReadGrant, memory.ListGrants, memory.ListDue, memory.ReadHandle,
	memory.ReadRotation, memory.ListDueRotations, memory.ListRotations, memory.ReadRotationPlan, memory.ListRotationPlans,
	memory.ReadIncident, memory.ListIncidents, memory.ReadRevocation, memory.ListRevocations, memory.ListSessions, memory.ScanSessions, memory.ScanGrants, memory.ReadMarkers, memory.ReadNotice, memory.ListNotices, memory.ReadScan, memory.ReadLooked}

func TestMemoryKeepsEveryStorageContract(t *testing.T) {
	storesuite.Run(t, func(t *testing.T, now func() time.Time) storesuite.Stores {
		s := memory.New(now)
		return storesuite.Stores{
			Catalogue: s, Writer: s, Reader: s, Markers: s, Marked: s, Audit: s, Sealed: s, Rows: s, Keys: s, Rolling: s, Quotas: s, Attempts: s,
			Sets: s, Assigned: s, Uses: s, Names: s, Index: s, Intents: s, Evidence: s, Providers: s, Grants: s, Handles: s, Cases: s, Sessions: s, Scanner: s, Incidents: s, Notices: s, Scans: s, Rotations: s, Plans: s,
			LoseAnswers: func(n int) func() int {
				var left atomic.Int64
				left.Store(int64(n))
				for _, op := range writes {
					for range n {
						lost := memory.Lose()
						lost.Wait = func(context.Context) { left.Add(-1) }
						s.Inject(op, lost)
					}
				}
				return func() int { return int(left.Load()) }
			},
			Fail: func() func() {
				for _, op := range slices.Concat(writes, reads) {
					s.Inject(op, slices.Repeat([]memory.Fault{memory.Refuse()}, 8)...) // more than a test asks for
				}
				return s.Clear
			},
			Spoil: func(environment string, row any) {
				if err := s.Spoil(environment, row); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}
