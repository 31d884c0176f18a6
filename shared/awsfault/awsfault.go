// Package awsfault reads errors of the AWS SDK for the adapters: what kind of
// trouble it is, and a text that may be logged. Of everything AWS says only
// status and error code pass; names, ARNs, roles and messages stay behind, and an
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
	Code    string // the service's error code; empty if it gave none
	Status  int    // of the HTTP answer; 0 if there was none
	Passing bool   // throttled, 5xx, network, timeout or cancelled: another try may succeed
	cause   error  // context.Canceled or context.DeadlineExceeded, if that was it
}

// Of reads an error of the SDK.
func Of(err error) Fault {
	switch {
	case errors.Is(err, context.Canceled):
		return Fault{Passing: true, cause: context.Canceled}
	case errors.Is(err, context.DeadlineExceeded):
		return Fault{Passing: true, cause: context.DeadlineExceeded}
	}
	var f Fault
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		f.Status = answer.HTTPStatusCode()
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		f.Passing = true // no answer, or one that could not be read
		return f
	}
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	f.Code = Code(api.ErrorCode())
	f.Passing = throttled || api.ErrorFault() == smithy.FaultServer ||
		f.Status >= http.StatusInternalServerError || f.Status == http.StatusTooManyRequests
	return f
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
	case f.Code == "" && f.Status == 0:
		return fmt.Errorf("%s: %w: no answer", doing, kind)
	case f.Code == "":
		return fmt.Errorf("%s: %w: the answer could not be read (HTTP %d)", doing, kind, f.Status)
	case f.Status == 0:
		return fmt.Errorf("%s: %w: %s", doing, kind, f.Code)
	}
	return fmt.Errorf("%s: %w: %s (HTTP %d)", doing, kind, f.Code, f.Status)
}

// Code passes an error code on if it looks like one.
func Code(code string) string {
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
