package rights

import (
	"slices"
	"strings"
	"testing"

	"bindery/shared/brokertest/iam"
)

// reached is one kind of row and the functions that reach it: that read it, one
// or all of a partition, put it, change it, and delete it.
type reached struct{ table, partition, read, put, change, remove string }

// rows are all kinds of row, whether or not a role names them.
func rows() []reached {
	return []reached{
		{table: "audit", partition: "01JABCDEF", read: "admin ledger", put: "admin callback cleanup ledger proxy revocation rotation"},
		{table: "audit-index", partition: "entries/prod/principal/x#0", read: "admin ledger", put: "ledger", change: "ledger"},
		{table: "audit-index", partition: "entries/prod/time/x#0", read: "admin ledger", put: "ledger", change: "ledger"},
		{table: "audit-index", partition: "lag/prod", read: "admin ledger", put: "ledger", change: "ledger"},
		{table: "audit-index", partition: "looked/prod", read: "admin ledger", put: "ledger", change: "ledger"},
		{table: "audit-index", partition: "rotation/prod/x", read: "admin ledger rotation", put: "ledger", change: "ledger"},
		{table: "audit-index", partition: "seen/prod/x", read: "admin ledger", put: "ledger", change: "ledger"},
		{table: "audit-index", partition: "usage/prod/github", read: "admin ledger rotation", put: "ledger", change: "ledger"},
		{table: "catalogue", partition: "agent/prod", read: everySealer, put: "admin"},
		{table: "catalogue", partition: "assignment/prod", read: "admin cleanup rotation", put: "admin"},
		{table: "catalogue", partition: "env/prod#0", read: everySealer, put: "admin"},
		{table: "catalogue", partition: "history/prod/github", read: "admin cleanup rotation", put: "admin rotation"},
		{table: "catalogue", partition: "incident/prod", read: "admin cleanup rotation", put: "admin"},
		{table: "catalogue", partition: "notices/prod", read: "admin cleanup rotation", put: "admin rotation"},
		{table: "catalogue", partition: "personal/prod/github/p-alice", read: everySealer, put: "admin rotation", remove: "admin"},
		{table: "catalogue", partition: "policies/prod", read: "admin cleanup proxy rotation", put: "admin"},
		{table: "catalogue", partition: "provider/prod", read: everySealer, put: "admin"},
		{table: "catalogue", partition: "rotation-plan/prod", read: "admin cleanup rotation", put: "admin"},
		{table: "catalogue", partition: "server/prod/github", read: everySealer, put: "admin rotation", remove: "admin"},
		{table: "catalogue", partition: "servers/prod", read: "admin cleanup rotation", put: "admin"},
		{table: "catalogue", partition: "tool/prod/github", read: everySealer, put: "admin"},
		{table: "catalogue", partition: "uses/prod/x", read: "admin cleanup rotation", put: "admin rotation"},
		{table: "grants", partition: "grants/prod/p-alice", read: everySealer, put: "callback", change: everySealer},
		{table: "grants", partition: "registered/prod/okta", read: everySealer, put: "callback", change: "rotation"},
		{table: "grants", partition: "rotation/prod/github", read: "admin rotation", put: "admin rotation", change: "rotation"},
		{table: "grants", partition: "rotations/prod", read: "admin rotation", put: "admin rotation"},
		{table: "grants", partition: "sealed-names/prod", read: "admin", put: "admin"},
		{table: "grants", partition: "sealed/prod/github", read: "admin cleanup proxy rotation", put: "admin cleanup rotation", change: "rotation"},
		{table: "grants/index/due", partition: "due-rotations/prod", read: "rotation"},
		{table: "grants/index/due", partition: "due/prod#0", read: "rotation"},
		{table: "revocations", partition: "marker/prod/change/aws-sm:x", read: "admin callback cleanup proxy revocation rotation", put: "revocation rotation"},
		{table: "revocations", partition: "marker/prod/principal/p-alice", read: "admin callback cleanup proxy revocation rotation", put: "revocation"},
		{table: "revocations", partition: "markers/prod#0", read: "admin callback cleanup proxy revocation rotation", put: "revocation"},
		{table: "revocations", partition: "markers/prod/github", read: "admin callback cleanup proxy revocation rotation", put: "revocation"},
		{table: "revocations", partition: "revocations/prod", read: "admin cleanup revocation", put: "cleanup revocation", remove: "cleanup"},
		{table: "transient", partition: "attempt/prod/x", put: "admin"},
		{table: "transient", partition: "handle/prod/asked", read: "callback proxy", put: "callback proxy", remove: "callback proxy"},
		{table: "transient", partition: "handle/prod/login", read: "callback", put: "callback", remove: "callback"},
		{table: "transient", partition: "handle/prod/ticket", read: "callback proxy", put: "callback proxy", remove: "callback proxy"},
		{table: "transient", partition: "issuer-keys/prod/okta", read: "admin authorizer callback proxy", put: "admin authorizer callback proxy"},
		{table: "transient", partition: "quota/prod/p-alice", read: "proxy", put: "proxy", change: "proxy", remove: "proxy"},
		{table: "transient", partition: "rolling-key/prod", read: "cleanup proxy", put: "proxy"},
		{table: "transient", partition: "sessions/prod/p-alice", read: "admin cleanup", put: "proxy", remove: "cleanup proxy"},
	}
}

// TestWhoReachesEachKindOfRow: a right that is wider by one action or one kind of
// row shows here, whatever the document says.
func TestWhoReachesEachKindOfRow(t *testing.T) {
	d := deploy(t, widest())
	for _, r := range rows() {
		got := reached{r.table, r.partition, d.reaches(t, r, "BatchGetItem", "GetItem", "Query"), d.reaches(t, r, "PutItem", "BatchWriteItem"),
			d.reaches(t, r, "UpdateItem", "ConditionCheckItem"), d.reaches(t, r, "DeleteItem")}
		if got != r {
			t.Errorf("got  %+v,\nwant %+v", got, r)
		}
	}
}

func (d deployed) reaches(t *testing.T, r reached, actions ...string) string {
	t.Helper()
	var may []string
	for _, function := range d.stack.Resources("AWS::Serverless::Function") {
		if slices.ContainsFunc(actions, func(action string) bool {
			return d.decides(t, function, row("", action, r.table, r.partition, "")).Verdict == iam.Allowed
		}) {
			may = append(may, strings.ToLower(strings.TrimSuffix(function, "Function")))
		}
	}
	return strings.Join(may, " ")
}

// TestWhoUsesTheKeyForWhat: every role, the schedules' too, and every purpose.
func TestWhoUsesTheKeyForWhat(t *testing.T) {
	d := deploy(t, widest())
	for _, used := range []struct{ purpose, open, seal, move string }{
		{"grant", everySealer, everySealer, "rotation"},
		{"value", "admin cleanup proxy rotation", "admin rotation", "rotation"},
		{"registration", everySealer, "callback", "rotation"},
		{"rotation", "rotation", "rotation", "rotation"},
		{"issuer-keys", "admin authorizer callback proxy", "admin authorizer callback proxy", ""},
		{"session-key", "cleanup proxy", "proxy", ""},
	} {
		for action, want := range map[string]string{"Decrypt": used.open, "GenerateDataKey": used.seal, "ReEncryptFrom": used.move, "ReEncryptTo": used.move} {
			a := opening("", action, environment, used.purpose, "")
			var may []string
			names, _ := d.named()
			for _, name := range names {
				decision, err := d.account.Decide(iam.Request{Principal: d.role(t, name), Action: a.action, Resource: d.whole(a.resource), Keys: a.keys})
				if err != nil {
					t.Fatal(err)
				}
				if decision.Verdict == iam.Allowed {
					may = append(may, strings.ToLower(strings.TrimSuffix(name, "Role")))
				}
			}
			if got := strings.Join(may, " "); got != want {
				t.Errorf("%s of what is sealed as %s: %q, want %q", action, used.purpose, got, want)
			}
		}
	}
}

// TestCodeConnectsNothing: what Lambda may do to connect a function to a VPC, the
// function's code may not, whichever action it is.
func TestCodeConnectsNothing(t *testing.T) {
	d := deploy(t, widest())
	for action := range unbounded {
		if !strings.HasPrefix(action, "ec2:") {
			continue
		}
		for _, function := range d.stack.Resources("AWS::Serverless::Function") {
			if got := d.decides(t, function, attack{action: action, resource: "*"}).Verdict; got != iam.ExplicitlyDenied {
				t.Errorf("%s by the code of %s is %s", action, function, got)
			}
		}
	}
}
