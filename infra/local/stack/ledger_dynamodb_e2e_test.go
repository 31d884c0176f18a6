//go:build e2e && !nojava

package stack_test

import (
	"testing"

	"bindery/infra/local/parts"
)

func TestTheAuditStreamOfDynamoDBLocalFillsTheIndex(t *testing.T) {
	streamFillsIndex(t, parts.DynamoDBLocal)
}
