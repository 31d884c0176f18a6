package awssm

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

// translate turns an error of the client into one of the broker's. What Secrets
// Manager says besides the code (a name, an ARN, a role) stays behind.
//
// A secret that is marked for deletion is InvalidRequestException, and a name
// that cannot exist InvalidParameterException: both are missing. A KMS key
// that refuses shows as DecryptionFailure or, where KMS denies the caller, as
// AccessDeniedException, which cannot be told from a denied secret.
func translate(err error) error {
	const doing = "read from Secrets Manager"
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrUnavailable, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrUnavailable, context.DeadlineExceeded)
	case !errors.As(err, &api):
		return fmt.Errorf("%s: %w: no answer", doing, broker.ErrUnavailable)
	}
	kind := broker.ErrStoreDenied
	switch api.ErrorCode() {
	case "ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException", "ValidationException":
		kind = broker.ErrSecretMissing
	case "DecryptionFailure":
		kind = broker.ErrKeyUnavailable
	}
	if mayPass(err, api) {
		kind = broker.ErrUnavailable
	}
	return fmt.Errorf("%s: %w: %s", doing, kind, code(api))
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
