package tests

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	cleanup "bindery/functions/cleanup/handler"
	ledger "bindery/functions/ledger/handler"
	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/drift"
	"bindery/shared/events"
	"bindery/shared/revoke"
	"bindery/shared/rotate"
)

var sampleTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	sampleReceipt = "01KJMMA2G00000000000000001"
	otherReceipt  = "01KJMMA2G00000000000000002"
	samplePerson  = "p-aliceaaaaaaaaaaaaaaaaaaaaa"
)

// sampleFact is a fact of a kind, with the detail of whoever tells it.
func sampleFact(t *testing.T, kind broker.FactKind) broker.Fact {
	t.Helper()
	reference, err := broker.ParseReference("aws-sm:prod/github")
	if err != nil {
		t.Fatal(err)
	}
	f := broker.Fact{Receipt: sampleReceipt, Kind: kind, Environment: "prod"}
	noun, _, _ := strings.Cut(string(kind), ".")
	switch noun {
	case "revocation":
		f.By, f.Object = samplePerson, "reference/aws-sm:prod/github"
	case "rotation":
		f.Object, f.Server, f.Binding = "reference/aws-sm:prod/github", "github", "dev-github"
	case "reference", "incident":
		f.Object = "reference/aws-sm:prod/github"
	case "notice":
		f.Object, f.Server = "binding/github/dev-github", "github"
	case "grant":
		return sampleGrantFact(kind)
	case "intent":
		f.Object, f.Server, f.Binding = "receipt/"+otherReceipt, "github", "dev-github"
	}
	if noun != "notice" && noun != "intent" {
		f.References = []broker.Reference{reference}
	}
	f.Detail = sampleDetail(kind)
	return f
}

func sampleGrantFact(kind broker.FactKind) broker.Fact {
	detail := credential.GrantFact{Provider: "acme"}
	if kind == broker.GrantDied {
		detail.Generation, detail.Fault = 3, string(credential.InvalidGrant)
	}
	f := credential.FactOf(kind, broker.GrantKey{Environment: "prod", Principal: samplePerson, Server: "drive"}, detail)
	f.Receipt = sampleReceipt
	return f
}

// sampleDetail is the detail of a fact, of the type of its owner; nil: it has none.
func sampleDetail(kind broker.FactKind) any {
	until, due := sampleTime.Add(time.Hour), sampleTime.Add(24*time.Hour)
	stopped := revoke.Stopped{Case: otherReceipt, Kind: broker.ReferenceMarker, Subject: "aws-sm:prod/github", Epoch: 1, Via: broker.ViaAdmin, By: samplePerson,
		Reason: "seen in a public repository"}
	worked := cleanup.Worked{Case: otherReceipt, Kind: broker.ReferenceMarker, Subject: "aws-sm:prod/github", Tries: 1, Sessions: cleanup.Counts{Found: 2, Ended: 2}}
	turned := rotate.Detail{Rotation: otherReceipt, Plan: "github", Begun: sampleTime, From: "v1", To: "v2"}
	switch kind {
	case broker.RevocationAcknowledged:
		return stopped
	case broker.RevocationLifted:
		stopped.Epoch, stopped.Reason = 2, "it was a made-up value"
		return stopped
	case broker.RevocationCompleted:
		return worked
	case broker.RevocationIncomplete:
		worked.Sessions.Ended, worked.Accepted = 1, &until
		return worked
	case broker.RotationProbed:
		turned.Probe = "asked"
		return turned
	case broker.RotationPromoted:
		turned.Until = until
		return turned
	case broker.RotationFailed:
		turned.Tries = 10
		return turned
	case broker.RotationStaged, broker.RotationRetired, broker.RotationRolledBack:
		return turned
	case broker.ReferenceChanged:
		return drift.Changed{What: "PutSecretValue", Event: "3b1f2c9e-0000-4000-8000-000000000000"}
	case broker.NoticeOpened, broker.NoticeClosed:
		return drift.Detail{Notice: broker.Digest("notice", "sample"), Kind: broker.NoticeExpiring, Subject: "binding/github/dev-github", Server: "github",
			Bindings: []string{"github/dev-github"}, Since: &sampleTime, Due: &due}
	case broker.IncidentOpened:
		return revoke.IncidentOpened{Incident: otherReceipt, Reference: "aws-sm:prod/github", Revocation: sampleReceipt, NoRotation: "No plan says how to rotate this reference."}
	case broker.IntentWithoutOutcome:
		return ledger.Omission{Receipt: otherReceipt, At: sampleTime, Principal: samplePerson, Method: "tools/call", Action: broker.CallTool, Target: "create_issue"}
	case broker.GrantDied, broker.GrantOutcomeUnknown, broker.GrantNotRevoked:
	}
	return nil
}

// oneRecord is an audit log that keeps the latest record.
type oneRecord struct{ broker.Record }

func (o *oneRecord) Append(_ context.Context, r broker.Record) error {
	o.Record = r
	return r.Check()
}

// gate permits all, or nothing.
type gate bool

func (g gate) Permits(admin.Caller, admin.Need) bool { return bool(g) }

// sampleRecord is the record of a kind of event, as a Journal or a Desk writes it.
func sampleRecord(t *testing.T, k events.Kind) broker.Record {
	t.Helper()
	log := &oneRecord{}
	journal := broker.NewJournal(log, func() string { return "nonce" })
	if k.Fact != "" {
		if err := journal.Tell(t.Context(), sampleFact(t, k.Fact), sampleTime); err != nil {
			t.Fatal(k.Type, err)
		}
		return log.Record
	}
	desk := &admin.Desk{Environment: "prod", Journal: journal, Gate: gate(k.Operation != ""), Now: func() time.Time { return sampleTime },
		Status: func(error) int { return http.StatusOK }}
	caller := admin.Caller{Principal: broker.Principal{ID: samplePerson, Kind: broker.User}, Receipt: sampleReceipt, RequestID: "request-1"}
	id := k.Operation
	if id == "" {
		id = "put-binding"
	}
	err := desk.Change(t.Context(), caller, admin.Operation{ID: id, Needs: []admin.Need{{Do: "change", On: sampleObject(id)}}},
		admin.Change{Apply: func(context.Context) error { return nil }})
	if (err == nil) != (k.Operation != "") {
		t.Fatal(k.Type, err)
	}
	return log.Record
}

// sampleObject is what an operation is about.
func sampleObject(operation string) admin.Object {
	_, noun, _ := strings.Cut(operation, "-")
	switch noun {
	case "consent", "connection":
		return admin.Object{Kind: "Grant", Server: "drive", Name: samplePerson, Owner: samplePerson}
	case "tool":
		return admin.Object{Kind: "Tool", Server: "github", Name: "create_issue"}
	case "binding":
		return admin.Object{Kind: "Binding", Server: "github", Name: "dev-github"}
	case "server":
		return admin.Object{Kind: "Server", Server: "", Name: "github"}
	}
	return admin.Object{Kind: strings.ReplaceAll(noun, "-", ""), Name: "sample"}
}
