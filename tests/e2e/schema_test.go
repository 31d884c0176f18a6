//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// TestRowsOfALaterReleaseAreRefused, whichever row a call rests on: after a way
// back to an earlier release nothing reads as an absence, or as something else.
func TestRowsOfALaterReleaseAreRefused(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	registered(t, u, d)
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
	d.revoke(broker.AgentMarker, "oidc:somebody-else")
	d.lift(broker.AgentMarker, "oidc:somebody-else")
	d.revoke(broker.PrincipalMarker, person(alice).Principal)
	d.lift(broker.PrincipalMarker, person(alice).Principal)
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
	passed := len(u.arrivals())
	for _, c := range []struct{ table, kind string }{
		{d.Config.Tables.Catalogue, "env/"}, {d.Config.Tables.Catalogue, "server/"}, {d.Config.Tables.Catalogue, "agent/"},
		{d.Config.Tables.Revocations, "marker/" + d.env + "/principal/"}, {d.Config.Tables.Grants, "sealed/"},
	} {
		rows := d.rows(c.table, c.kind)
		if len(rows) == 0 {
			t.Errorf("no row begins with %s", c.kind)
		}
		d.schemas(c.table, rows, "2")
		if a := d.post(alice, "notes"); a.status < http.StatusInternalServerError {
			t.Errorf("%s of a later release: answered %d %s", c.kind, a.status, a.body)
		}
		if len(u.arrivals()) != passed {
			t.Errorf("%s of a later release: the upstream was asked", c.kind)
		}
		d.schemas(c.table, rows, "1")
	}
	d.schemas(d.Config.Tables.Catalogue, d.rows(d.Config.Tables.Catalogue, "server/"), "2")
	a := d.ask(bob, "PUT", "/servers/notes/bindings/dev-notes", body(sealedCard(), "state", "suspended"), "If-Match", `"v1"`)
	if a.status < http.StatusInternalServerError {
		t.Errorf("an administrator replaces what they cannot have read: %d %s", a.status, a.body)
	}
}

// rows are the keys of a table's rows whose partitions begin so.
func (d *desk) rows(table, begins string) (keys []map[string]types.AttributeValue) {
	d.t.Helper()
	out, err := d.direct.Scan(d.t.Context(), &dynamodb.ScanInput{TableName: &table, ProjectionExpression: aws.String("pk, sk")})
	must(d.t, err)
	for _, item := range out.Items {
		if strings.HasPrefix(item["pk"].(*types.AttributeValueMemberS).Value, begins) {
			keys = append(keys, item)
		}
	}
	return keys
}

// schemas has rows be of another schema.
func (d *desk) schemas(table string, keys []map[string]types.AttributeValue, schema string) {
	d.t.Helper()
	for _, key := range keys {
		_, err := d.direct.UpdateItem(d.t.Context(), &dynamodb.UpdateItemInput{TableName: &table, Key: key, UpdateExpression: aws.String("SET #s = :s"),
			ExpressionAttributeNames: map[string]string{"#s": "schema"}, ExpressionAttributeValues: map[string]types.AttributeValue{":s": &types.AttributeValueMemberN{Value: schema}}})
		must(d.t, err)
	}
}
