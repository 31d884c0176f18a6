//go:build e2e && !nojava

package parts

import (
	"testing"
	"time"
)

func TestDynamoDBLocalServesTablesOnLoopbackOnly(t *testing.T) {
	began := time.Now()
	p, err := DynamoDBLocal(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	t.Logf("ready in %s", time.Since(began).Round(time.Millisecond))
	mustListenOnLoopbackOnly(t, p.URL)
	putAndGet(t, p.URL)
	mustBeGone(t, p)
}
