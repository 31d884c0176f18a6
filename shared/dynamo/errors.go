package dynamo

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

// fault translates what the SDK reports into ErrUnavailable with status and
// code. A missing table and a denied request are among it: nothing was learned
// from them, so they must never look like an absence.
func fault(doing string, err error) error {
	return awsfault.Of(err).Wrap(doing, broker.ErrUnavailable)
}

// refused reports whether a single item's condition did not hold, and the item
// that was there instead.
func refused(err error) (there map[string]types.AttributeValue, ok bool) {
	var conflict *types.ConditionalCheckFailedException
	if errors.As(err, &conflict) {
		return conflict.Item, true
	}
	return nil, false
}
