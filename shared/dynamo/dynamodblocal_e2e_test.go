//go:build e2e && !nojava

package dynamo_test

import (
	"testing"

	"bindery/infra/local/parts"
	"bindery/shared/dynamo"
)

func TestOnDynamoDBLocal(t *testing.T) {
	t.Parallel()
	p, err := parts.DynamoDBLocal(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	create(t, p.URL, tables)
	runAll(t, endpoint{p.URL, func(*testing.T) dynamo.Tables { return tables }})
}
