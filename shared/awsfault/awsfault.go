// Package awsfault reads errors of the AWS SDK for the adapters: what kind of
// trouble it is, and a text that may be logged. Of everything AWS says only
// the error code passes; names, ARNs, roles and messages stay behind, and an
// endpoint in between cannot put its own text where a code belongs.
package awsfault

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

// Fault is one error of the SDK.
type Fault struct {
	Code    string // the service's error code; empty if it never answered
	Passing bool   // throttled, 5xx, network, timeout or cancelled: another try may succeed
	cause   error  // context.Canceled or context.DeadlineExceeded, if that was it
}

// Of reads an error of the SDK.
func Of(err error) Fault {
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return Fault{Passing: true, cause: context.Canceled}
	case errors.Is(err, context.DeadlineExceeded):
		return Fault{Passing: true, cause: context.DeadlineExceeded}
	case !errors.As(err, &api):
		return Fault{Passing: true}
	}
	return Fault{Code: plain(api.ErrorCode()), Passing: mayPass(err, api)}
}

func mayPass(err error, api smithy.APIError) bool {
	if _, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; throttled || api.ErrorFault() == smithy.FaultServer {
		return true
	}
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) &&
		(answer.HTTPStatusCode() >= http.StatusInternalServerError || answer.HTTPStatusCode() == http.StatusTooManyRequests)
}

// Wrap makes the adapter's error: broker.ErrUnavailable if the fault may pass,
// else kind, with what was being done and the code.
func (f Fault) Wrap(doing string, kind error) error {
	if f.Passing {
		kind = broker.ErrUnavailable
	}
	switch {
	case f.cause != nil:
		return fmt.Errorf("%s: %w: %w", doing, kind, f.cause)
	case f.Code == "":
		return fmt.Errorf("%s: %w: no answer", doing, kind)
	}
	return fmt.Errorf("%s: %w: %s", doing, kind, f.Code)
}

// plain passes an error code on if it looks like one.
func plain(code string) string {
	if code == "" || len(code) > 64 {
		return "unknown code"
	}
	for i := range len(code) {
		if c := code[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return "unknown code"
		}
	}
	return code
}
