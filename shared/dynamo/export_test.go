package dynamo

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// ReadShard gives a DB that reads one copy of the environment's rows.
func (s *DB) ReadShard(n int) *DB {
	other := *s
	other.shard = func() int { return n }
	return &other
}

// Shards is how many copies there are.
const Shards = shards

// Attempts is how often a request is sent before it is given up.
const Attempts = attempts

// BindingItem is the row of a current binding.
func BindingItem(b broker.Binding) (map[string]types.AttributeValue, error) {
	return encode("seed", newBindingRow(b, currentKey(b)))
}
