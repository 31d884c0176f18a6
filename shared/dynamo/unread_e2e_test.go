//go:build e2e

package dynamo_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

// testRowsPassedOver spoils one row of several. Lists and scans that everything
// depends on give the others, and say that there was one more.
func testRowsPassedOver(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, ctx, c := environment(), t.Context(), client(e.url, patient)
	for _, name := range []string{"a", "bad", "z"} {
		must(t, s.BeginGrant(ctx, grantAt(env, name), consents(0)))
		must(t, s.AddSession(ctx, broker.LiveSession{Environment: env, Digest: broker.Digest("session", name), Server: name, Origin: broker.Digest("origin", name),
			Principal: "p-alice", Binding: "dev", Wrapped: "sealed", Expires: noon.Add(time.Hour)}))
		must(t, s.BeginRotation(ctx, broker.Rotation{Environment: env, ID: "01C" + strings.ToUpper(name), Subject: "binding/github/" + name,
			Step: broker.RotationOrdered, Begun: noon, Moved: noon, Next: noon}))
	}
	for _, table := range []string{tables.Grants, tables.Transient} {
		for _, r := range dump(t, c, table, env) {
			if is(r, "server", "bad") && r["agent"] == nil || is(r, "id", "01CBAD") {
				bad := maps.Clone(r)
				bad["schema"] = &types.AttributeValueMemberN{Value: "99"} // of a later release
				putRaw(t, c, table, bad)
			}
		}
	}
	for what, list := range map[string]func() (int, error){
		"due grants": func() (int, error) {
			all, err := s.DueGrants(ctx, env, noon.Add(2*time.Hour), 10)
			return len(all), err
		},
		"all grants":   func() (int, error) { all, _, err := s.ScanGrants(ctx, env, "", broker.MaxScan); return len(all), err },
		"all sessions": func() (int, error) { all, _, err := s.ScanSessions(ctx, env, "", broker.MaxScan); return len(all), err },
		"due rotations": func() (int, error) {
			all, err := s.DueRotations(ctx, env, noon.Add(time.Hour), 10)
			return len(all), err
		},
	} {
		if n, err := list(); n != 2 || broker.Unread(err) != 1 {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
}

// spoil makes a row that is stored one of a later release, under all its keys.
func spoil(t *testing.T, c *dynamodb.Client, tables dynamo.Tables, env string, of any) {
	t.Helper()
	table, kind, want := tables.AuditIndex, "", map[string]string{}
	switch v := of.(type) {
	case broker.GrantKey:
		table, kind, want = tables.Grants, "grants", map[string]string{"principal": v.Principal, "server": v.Server, "origin": v.Origin}
	case broker.LiveSession:
		table, kind, want = tables.Transient, "sessions", map[string]string{"digest": v.Digest}
	case broker.SealedValue:
		table, kind, want = tables.Grants, "sealed", map[string]string{"id": v.ID}
	case broker.Incident:
		table, kind, want = tables.Catalogue, "incident", map[string]string{"id": v.ID}
	case broker.Revocation:
		table, kind, want = tables.Revocations, "revocations", map[string]string{"id": v.ID}
	case broker.Record:
		kind, want = "entries", map[string]string{"receipt": v.Receipt, "phase": string(v.Phase)}
	case broker.Sighting:
		kind, want = "seen", map[string]string{"principal": v.Principal, "agent": v.Agent, "server": v.Server, "binding": v.Binding}
	case broker.Binding:
		kind, want = "usage", map[string]string{"server": v.Server, "binding": v.Name}
	case broker.SeenVersion:
		kind, want = "rotation", map[string]string{"reference": v.Reference, "version": v.Version}
	}
	spoilt := 0
	for _, r := range dump(t, c, table, env) {
		pk := r["pk"].(*types.AttributeValueMemberS).Value
		if !strings.HasPrefix(pk, kind+"/") || kind == "grants" && r["consented"] == nil {
			continue
		}
		if s, seen := of.(broker.Sighting); seen && !strings.HasSuffix(pk, "/"+string(s.By)+"/"+broker.Digest(s.ID)) {
			continue
		}
		differs := slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(name string) bool { return !is(r, name, want[name]) })
		if differs {
			continue
		}
		r["schema"] = number("99")
		putRaw(t, c, table, r)
		spoilt++
	}
	if spoilt == 0 {
		t.Fatalf("there is no row of %T to spoil", of)
	}
}

func is(r row, name, want string) bool {
	v, ok := r[name].(*types.AttributeValueMemberS)
	return ok && v.Value == want
}
