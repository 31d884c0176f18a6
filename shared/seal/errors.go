package seal

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"bindery/shared/broker"
)

// translate turns an error of the KMS client into ErrUnavailable (it may pass:
// throttled, 5xx, network, timeout) or ErrKeyUnavailable (KMS refuses:
// disabled, pending deletion, deleted, denied, another key, altered or foreign
// data key). Only the code passes, never the message.
func translate(doing string, err error) error {
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrUnavailable, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrUnavailable, context.DeadlineExceeded)
	case !errors.As(err, &api):
		return fmt.Errorf("%s: %w: no answer", doing, broker.ErrUnavailable)
	case mayPass(err, api):
		return fmt.Errorf("%s: %w: %s", doing, broker.ErrUnavailable, code(api))
	}
	return fmt.Errorf("%s: %w: %s", doing, broker.ErrKeyUnavailable, code(api))
}

func mayPass(err error, api smithy.APIError) bool {
	if _, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; throttled || api.ErrorFault() == smithy.FaultServer {
		return true
	}
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) &&
		(answer.HTTPStatusCode() >= http.StatusInternalServerError || answer.HTTPStatusCode() == http.StatusTooManyRequests)
}

// code is the error code if it looks like one; an endpoint in between could
// have put anything there.
func code(api smithy.APIError) string {
	c := api.ErrorCode()
	if c == "" || len(c) > 64 {
		return "unknown code"
	}
	for i := range len(c) {
		if (c[i]|0x20 < 'a' || c[i]|0x20 > 'z') && (c[i] < '0' || c[i] > '9') {
			return "unknown code"
		}
	}
	return c
}
