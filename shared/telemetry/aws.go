package telemetry

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"
)

// requests counts what AWS throttled and what was sent again since a line last
// told it.
type requests struct{ throttled, retried atomic.Int64 }

func (c *requests) take() (throttled, retried int) {
	if c.retried.Load() == 0 && c.throttled.Load() == 0 {
		return 0, 0
	}
	return int(c.throttled.Swap(0)), int(c.retried.Swap(0))
}

// Watch has every client of the configuration counted: not every service has
// metrics of its own throttling, and none of what it cost a caller.
func (h *Handler) Watch(a aws.Config) aws.Config {
	a = a.Copy()
	a.APIOptions = append(slices.Clip(a.APIOptions), func(s *middleware.Stack) error {
		if _, retries := s.Finalize.Get(retryStep); !retries {
			return nil
		}
		return s.Finalize.Insert(middleware.FinalizeMiddlewareFunc("CountAttempts", h.requests.attempts), retryStep, middleware.Before)
	})
	return a
}

// retryStep is the SDK's name of the middleware that sends again.
const retryStep = "Retry"

// attempts looks at what the SDK has kept of a request's attempts when it is over.
func (c *requests) attempts(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	out, kept, err := next.HandleFinalize(ctx, in)
	results, _ := retry.GetAttemptResults(kept)
	throttling := retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
	for i, r := range results.Results {
		if i > 0 {
			c.retried.Add(1)
		}
		if throttling.IsErrorThrottle(r.Err) == aws.TrueTernary {
			c.throttled.Add(1)
		}
	}
	return out, kept, err
}
