//go:build e2e && !nonode

package e2e

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"bindery/shared/awsclient"
)

// patient has requests wait for as long as a busy machine needs where no fault is
// injected: how soon a healthy endpoint answers here says nothing about the
// product. Where one is, the product's own limits hold.
func patient(a aws.Config, healthy func() bool) aws.Config {
	own := smithyhttp.NewClientHandlerWithOptions(awsclient.Within(nil, time.Minute))
	send := func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		if !healthy() {
			return next.HandleDeserialize(ctx, in)
		}
		unhurried, cancel := context.WithCancel(context.WithoutCancel(ctx))
		context.AfterFunc(ctx, func() {
			if errors.Is(ctx.Err(), context.Canceled) {
				cancel()
			}
		})
		response, metadata, err := own.Handle(unhurried, in.Request)
		return middleware.DeserializeOutput{RawResponse: response}, metadata, err
	}
	a.APIOptions = append(slices.Clone(a.APIOptions), func(s *middleware.Stack) error {
		return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("patient", send), middleware.After)
	})
	return a
}
