package wire

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"bindery/shared/awsclient"
	"bindery/shared/awsfault"
	"bindery/shared/broker"
	"bindery/shared/config"
)

// Waker has the deployment's rotation function go on with what is due, and does
// not wait for it. Where there is no function to be invoked, what is due waits for
// the schedule.
func Waker(c config.Config, a aws.Config) func(context.Context) error {
	if c.Rotation == "" {
		return func(context.Context) error { return nil }
	}
	client := lambda.NewFromConfig(a, func(o *lambda.Options) {
		o.HTTPClient = awsclient.Within(o.HTTPClient, HotPath().Keys)
	})
	return func(ctx context.Context) error {
		_, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(c.Rotation), InvocationType: types.InvocationTypeEvent,
			Payload: []byte(`{"task":"rotate"}`)})
		if err != nil {
			return awsfault.Of(err).Wrap("wake the rotation function", broker.ErrUnavailable)
		}
		return nil
	}
}
