package dynamo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"bindery/shared/broker"
)

// errRow means that a stored row does not decode: another schema, a missing or
// wrong attribute, or a row that is not the one its key says.
var errRow = errors.New("the row does not decode")

// fault translates what the SDK reports into ErrUnavailable with status and
// code. A missing table and a denied request are among it: nothing was learned
// from them, so they must never look like an absence.
func fault(doing string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrUnavailable, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrUnavailable, context.DeadlineExceeded)
	}
	status := 0
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		return fmt.Errorf("%s: %w: %s (HTTP %d)", doing, broker.ErrUnavailable, plainCode(api.ErrorCode()), status)
	case status != 0:
		return fmt.Errorf("%s: %w: the answer could not be read (HTTP %d %s)", doing, broker.ErrUnavailable, status, http.StatusText(status))
	}
	return fmt.Errorf("%s: %w: no answer", doing, broker.ErrUnavailable)
}

// plainCode passes an error code on if it has the shape of one: the endpoint
// chooses the text, and it may not choose what is logged.
func plainCode(code string) string {
	strange := strings.ContainsFunc(code, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9')
	})
	if code == "" || len(code) > 60 || strange {
		return "unknown code"
	}
	return code
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
