//go:build e2e

package dynamo_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

// since is a history that is written down.
type since struct {
	changed        map[string]int64 // the version it came to
	deleted, moved []string
}

func (h since) Changed(object string, version int64) (int64, bool) {
	return max(version, h.changed[object]), slices.Contains(h.deleted, object)
}

func (h since) GrantMoved(principal, server string) bool {
	return slices.Contains(h.moved, principal+"/"+server)
}

func (h since) ValueMoved(string) (int64, bool) { return 0, false }

// own are tables of their own at an endpoint.
func own(t *testing.T, e endpoint, prefix string) (*dynamo.DB, dynamo.Tables) {
	t.Helper()
	name := func(table string) string { return prefix + "-" + table }
	tables := dynamo.Tables{Catalogue: name("catalogue"), Revocations: name("revocations"), Grants: name("grants"),
		Transient: name("transient"), Audit: name("audit"), AuditIndex: name("audit-index")}
	create(t, e.url, tables)
	return dynamo.New(client(e.url, patient), tables, time.Now), tables
}

// testRefill loses rows and has them put back from a copy.
func testRefill(t *testing.T, e endpoint) {
	env := environment()
	live, tables := own(t, e, env)
	copied, copies := own(t, e, "copy-"+env)
	inhabit(t, copied, env)
	c := client(e.url, patient)
	was := dump(t, c, copies.Catalogue, env)
	refill := func(h since) dynamo.Refilled {
		t.Helper()
		done, err := live.RefillCatalogue(t.Context(), copied, env, h, true)
		must(t, err)
		return done
	}
	if done, err := live.RefillCatalogue(t.Context(), copied, env, since{}, false); err != nil || done.Put != len(was) || len(dump(t, c, tables.Catalogue, env)) != 0 {
		t.Fatalf("a plan: %+v, %v", done, err)
	}
	if done := refill(since{}); done.Put != len(was) || done.There+done.Out+done.Foreign != done.Read-len(was) {
		t.Errorf("refilled %+v of %d rows", done, len(was))
	}
	if now := dump(t, c, tables.Catalogue, env); !sameRows(was, now) {
		t.Error("what is not changed since is not as it was")
	}
	for _, r := range was { // every row that can be is closed, and reads as it should
		_, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(tables.Catalogue), Key: row{"pk": r["pk"], "sk": r["sk"]}})
		must(t, err)
	}
	closed := refill(since{}.all(was, env))
	if len(closed.Closed) == 0 {
		t.Error("nothing came back closed")
	}
	for _, r := range dump(t, c, tables.Catalogue, env) {
		state, ok := r["state"].(*types.AttributeValueMemberS)
		_, versioned := r["version"]
		if ok && versioned && state.Value == string(broker.Active) && !strings.Contains(r["sk"].(*types.AttributeValueMemberS).Value, "version/") {
			t.Errorf("%v %v came back active", r["pk"], r["sk"])
		}
	}
}

// all says of every object in these rows that it came to version 77.
func (h since) all(rows []row, env string) since {
	h.changed = map[string]int64{"environment/" + env: 77}
	for _, r := range rows {
		for kind, name := range map[string]string{"store": "name", "server": "name", "agent": "id", "assignment": "name", "provider": "name", "binding": "name", "tool": "name", "reference": "reference"} {
			v, ok := r[name].(*types.AttributeValueMemberS)
			if !ok {
				continue
			}
			if server, ok := r["server"].(*types.AttributeValueMemberS); ok && (kind == "binding" || kind == "tool") {
				h.changed[kind+"/"+server.Value+"/"+v.Value] = 77
			} else {
				h.changed[kind+"/"+v.Value] = 77
			}
		}
	}
	return h
}

func sameRows(a, b []row) bool {
	if len(a) != len(b) {
		return false
	}
	keyed := map[string]row{}
	for _, r := range a {
		keyed[r["pk"].(*types.AttributeValueMemberS).Value+" "+r["sk"].(*types.AttributeValueMemberS).Value] = r
	}
	for _, r := range b {
		if !reflect.DeepEqual(keyed[r["pk"].(*types.AttributeValueMemberS).Value+" "+r["sk"].(*types.AttributeValueMemberS).Value], r) {
			return false
		}
	}
	return true
}

// testRefillMarkers: a wide marker has eight copies; a later one that stops wins,
// and nothing that lets go does.
func testRefillMarkers(t *testing.T, e endpoint) {
	env := environment()
	live, _ := own(t, e, env)
	copied, _ := own(t, e, "copy-"+env)
	marker := func(kind broker.MarkerKind, id string, epoch int64, revoked bool) broker.Marker {
		return broker.Marker{Environment: env, Kind: kind, ID: id, Epoch: epoch, Revoked: revoked, At: time.Now().UTC(), By: "p-x", Reason: "r", Revocation: "01K"}
	}
	staff := marker(broker.GroupMarker, "staff", 3, true)
	for _, want := range []bool{true, false} { // the second time it is there
		if missing, err := live.RestoreMarker(t.Context(), staff, true); err != nil || missing != want {
			t.Errorf("missing %v, %v", missing, err)
		}
	}
	for shard := range 8 {
		found, err := live.ReadShard(shard).Markers(t.Context(), env, []broker.MarkerKey{staff.Key()})
		if err != nil || len(found) != 1 || found[0].Epoch != 3 {
			t.Errorf("shard %d: %+v, %v", shard, found, err)
		}
	}
	lifted := marker(broker.GroupMarker, "staff", 4, false)
	if missing, err := live.RestoreMarker(t.Context(), lifted, true); err != nil || missing {
		t.Errorf("what stops something was let go: %v, %v", missing, err)
	}
	lifted.ID = "others"
	for _, want := range []bool{true, false} {
		if missing, err := live.RestoreMarker(t.Context(), lifted, true); err != nil || missing != want {
			t.Errorf("missing %v, %v", missing, err)
		}
	}
	must(t, live.PutMarker(t.Context(), marker(broker.GroupMarker, "others", 5, true))) // its epochs go on
	must(t, copied.PutMarker(t.Context(), marker(broker.AgentMarker, "a", 1, true)))
	must(t, copied.PutMarker(t.Context(), marker(broker.AgentMarker, "a", 2, false)))
	must(t, live.PutMarker(t.Context(), marker(broker.AgentMarker, "a", 1, true)))
	must(t, live.PutMarker(t.Context(), marker(broker.ServerMarker, "s", 1, false)))
	must(t, copied.PutMarker(t.Context(), marker(broker.ServerMarker, "s", 1, false)))
	must(t, copied.PutMarker(t.Context(), marker(broker.ServerMarker, "s", 2, true)))
	_, err := live.RefillRevocations(t.Context(), copied, env, true)
	must(t, err)
	found, err := live.Markers(t.Context(), env, []broker.MarkerKey{{Kind: broker.AgentMarker, ID: "a"}, {Kind: broker.ServerMarker, ID: "s"}})
	must(t, err)
	for _, m := range found {
		if !m.Revoked {
			t.Errorf("%s %s is let go by a copy", m.Kind, m.ID)
		}
	}
	if len(found) != 2 {
		t.Errorf("%d markers", len(found))
	}
}

// testRefillUnknown: what a marker of another release stops is not known here, and
// that is said.
func testRefillUnknown(t *testing.T, e endpoint) {
	env := environment()
	live, tables := own(t, e, env)
	copied, copies := own(t, e, "copy-"+env)
	must(t, copied.PutMarker(t.Context(), broker.Marker{Environment: env, Kind: broker.AgentMarker, ID: "a", Epoch: 1, Revoked: true, At: time.Now().UTC(), By: "p-x", Reason: "r", Revocation: "01K"}))
	c := client(e.url, patient)
	for _, r := range dump(t, c, copies.Revocations, env) {
		r["schema"] = &types.AttributeValueMemberN{Value: "99"}
		putRaw(t, c, copies.Revocations, r)
	}
	done, err := live.RefillRevocations(t.Context(), copied, env, true)
	if err != nil || done.Unknown != 1 || done.Foreign+done.Put != 0 || len(dump(t, c, tables.Revocations, env)) != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

// testRefillCards: a card and its head are put back in step with what is left.
func testRefillCards(t *testing.T, e endpoint) {
	env := environment()
	live, tables := own(t, e, env)
	copied, _ := own(t, e, "copy-"+env)
	inhabit(t, copied, env)
	_, err := live.RefillCatalogue(t.Context(), copied, env, since{}, true)
	must(t, err)
	c := client(e.url, patient)
	for _, lost := range []string{"head/", "binding/"} {
		before := dump(t, c, tables.Catalogue, env)
		for _, r := range before {
			if strings.HasPrefix(r["sk"].(*types.AttributeValueMemberS).Value, lost) {
				_, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(tables.Catalogue), Key: row{"pk": r["pk"], "sk": r["sk"]}})
				must(t, err)
			}
		}
		// The history knows of a change that what is left does not: what is left is right.
		_, err := live.RefillCatalogue(t.Context(), copied, env, since{}.all(before, env), true)
		must(t, err)
		after := dump(t, c, tables.Catalogue, env)
		if lost == "head/" && !sameRows(before, after) {
			t.Error("heads do not follow the cards that are there")
		}
		if lost == "binding/" && !sameRows(before, after) {
			t.Error("cards do not follow the heads and versions that are there")
		}
	}
}
